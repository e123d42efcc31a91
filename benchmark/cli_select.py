"""`epishot select`: compare methods or settings on inner training cells, never on held-out ones."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tasks.errors import EpishotError

if TYPE_CHECKING:
    from rich.table import Table

    from .inner_selection import InnerScore


def select(
    task: Annotated[str, typer.Option(help="Task name, folder or file.py:factory.")],
    methods: Annotated[str, typer.Option(help="Methods, comma-separated; PREFIX* takes all that begin so.")],
    setting: Annotated[
        list[str] | None,
        typer.Option(help="JSON object of constructor arguments; each is tried on every method. May be repeated."),
    ] = None,
    fold: Annotated[int, typer.Option(help="The one chromosome fold that is used, 1 to 5.")] = 1,
    shots: Annotated[str, typer.Option(help="Support sizes k.")] = "0,16,64",
    draws: Annotated[int, typer.Option(help="Supports per cell.")] = 5,
    seeds: Annotated[int, typer.Option(help="Fits per cell.")] = 1,
    budget: Annotated[float, typer.Option(help="Factor on training steps.")] = 1.0,
    every: Annotated[bool, typer.Option("--every", help="Every training cell as inner cell, not one.")] = False,
    jobs: Annotated[int | None, typer.Option(help="Fits at a time.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the scores to this JSON file.")] = None,
) -> int:
    """Leave one training cell out: which method or setting to name before the held-out cells are looked at.

    Mean chance-corrected AUPR of inner cells on one fold, by fits that saw neither inner nor held-out cell.
    The exit code is 1 if any fit failed.
    """
    from ..methods.registry import METHODS
    from ..tasks.catalog import load_task
    from ..tasks.splits import FOLDS
    from .cli_console import stdout_console
    from .cli_run import default_jobs
    from .executor import Executor
    from .inner_selection import inner_scores
    from .specs import MethodSpec

    if not 1 <= fold <= len(FOLDS):
        raise EpishotError(f"There is no fold {fold}; choose 1 to {len(FOLDS)}.")
    names: list[str] = []
    for name in (part.strip() for part in methods.split(",")):
        found = [known for known in METHODS.names() if known.startswith(name[:-1])] if name.endswith("*") else [name]
        if not found:
            raise EpishotError(f"No method begins with {name[:-1]!r}.")
        names += found
    specs = [MethodSpec(name, text) for name in dict.fromkeys(names) for text in setting or ["{}"]]
    executor = Executor(jobs or default_jobs(), preload=["epishot.benchmark.preload_methods"])
    scores = []
    for score in inner_scores(
        load_task(task),
        specs,
        executor,
        fold=fold - 1,
        shots=sorted({int(k) for k in shots.split(",")}),
        draws=draws,
        seeds=range(seeds),
        budget=budget,
        every=every,
    ):
        scores.append(score)
        if out is not None:
            out.write_text(json.dumps([vars(one) for one in scores], indent=1) + "\n", encoding="utf-8")
    console = stdout_console()
    console.print(_table(scores))
    failed = [one for one in scores if one.error is not None]
    for one in failed:
        console.print(f"{one.method}, {one.inner}, k = {one.k}: {one.error}", markup=False)
    return int(bool(failed))


def _table(scores: list[InnerScore]) -> Table:
    from rich.table import Table
    from rich.text import Text

    shots = sorted({one.k for one in scores})
    values: dict[tuple[str, int], list[float]] = defaultdict(list)
    for one in scores:
        values[one.method, one.k].append(one.corrected)
    mean = {key: sum(found) / len(found) for key, found in values.items()}
    names = sorted({one.method for one in scores}, key=lambda name: -max(mean.get((name, k), -1.0) for k in shots))
    table = Table("method", *(f"k = {k}" for k in shots), title="corrected AUPR, mean over inner cells")
    for name in names:
        table.add_row(Text(name), *(f"{mean[name, k]:.4f}" if (name, k) in mean else "" for k in shots))
    return table

"""`epishot scale`: how time and memory grow with the data, measured on this machine."""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from .scale_stages import Found

_BATCH, _SUPPORT, _QUERY = 16, 16, 64
_SHOTS, _DRAWS = 16, 10


def scale(
    pairs: Annotated[int, typer.Option(min=10_000, help="EP pairs of the largest generated task.")] = 1_000_000,
    cells: Annotated[int, typer.Option(min=2, help="Cells of that task.")] = 8,
    out: Annotated[Path, typer.Option(help="Folder for scale.json and scale.svg.")] = Path("scale"),
    curves: Annotated[bool, typer.Option(help="Also measure cost against pairs, cells, shots and draws.")] = True,
) -> None:
    """Register, split, draw and score a generated task; then plot cost against its sizes (needs matplotlib)."""
    from .atomic import write_bytes

    with tempfile.TemporaryDirectory(prefix="epishot-scale-") as folder:
        os.environ["EPISHOT_CACHE"] = folder
        found: dict[str, object] = {"stages": _largest(Path(folder), pairs, cells)}
        if curves:
            from ..leaderboard.figure_scale import draw_curves
            from .scale_curves import curves as measured

            lines = []
            for curve in measured(min(pairs, 1_000_000), {"draw and gather an episode": draw}):
                typer.echo(f"{curve.stage:28} against {curve.against:6} slope {curve.slope:5.2f}")
                lines.append(curve)
            found["curves"] = [{**asdict(curve), "slope": curve.slope} for curve in lines]
            out.mkdir(parents=True, exist_ok=True)
            typer.echo(draw_curves(lines, out / "scale.svg"))
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / "scale.json", (json.dumps(found, indent=1) + "\n").encode())
    typer.echo(out / "scale.json")


def _largest(folder: Path, pairs: int, cells: int) -> dict[str, Found]:
    from .scale_stages import apart, register, score, split
    from .scale_task import write_scale_task

    task = write_scale_task(folder / "largest", pairs, cells)
    small = write_scale_task(folder / "hundred-thousand", 100_000, cells)
    found = {}
    for name, measure in (
        ("register", lambda: apart(register, task)),
        ("split and draw episodes", lambda: apart(split, task, _SHOTS, _DRAWS)),
        ("draw and gather an episode", lambda: apart(draw, task)),
        ("the same on 100k pairs", lambda: apart(draw, small)),
        ("pooled-logistic-rank", lambda: apart(score, task, "pooled-logistic-rank", _SHOTS, _DRAWS, 1.0)),
        ("protonet", lambda: apart(score, task, "protonet", _SHOTS, _DRAWS, 1.0)),
    ):
        found[name] = measure()
        typer.echo(f"{name:28} " + ", ".join(f"{key} {value:,.6g}" for key, value in found[name].items()))
    return found


def draw(folder: Path) -> Found:
    """Seconds per meta-training episode of 16 + 64 pairs, drawn and gathered; the least of several rounds."""
    import numpy as np

    from ..baselines.meta_training import EpisodeSampler
    from ..methods.base import Reads
    from ..methods.tables import train_table
    from ..tasks.catalog import load_task

    task = load_task(str(folder))
    train = train_table(task, np.flatnonzero(task.columns.cell != 0), frozenset({Reads.FEATURES, Reads.COORDINATES}))
    sampler, features = EpisodeSampler(train, np.random.default_rng(0)), train.pairs.column("features")
    took = []
    for _ in range(20):
        start = time.perf_counter()
        batch = sampler.draw(_BATCH, _SUPPORT, _QUERY)
        np.take(features, np.concatenate([batch.support, batch.query], axis=1), axis=0)
        took.append((time.perf_counter() - start) / _BATCH)
    return {"seconds": float(np.median(took))}

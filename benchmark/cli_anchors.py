"""`epishot leaderboard anchors`: runs beside the published state of the art on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..tasks.errors import EpishotError


def anchors(
    store: Annotated[Path, typer.Option(help="Folder of the run store.")] = Path("runs"),
) -> None:
    """Fold-pooled AP of HMEC, IMR90 and NHEK with 95 % intervals, beside TransEPI's figures, as Markdown.

    Of every method in the run store that has all five folds of a cell under `cell+chrom`, natural supports: task
    `bengi` trains on all other cells, `bengi-transepi` on GM12878 and HeLa only, as TransEPI does.
    """
    from ..tasks.catalog import load_task
    from .anchors import TASKS, anchors, markdown
    from .store import RunStore

    held = [name for name in TASKS if (store / "records" / name).is_dir()]
    found = list(anchors(RunStore(store), {name: load_task(name) for name in held})) if held else []
    if not found:
        raise EpishotError(
            f"There are no complete runs to compare in {store}: `epishot run --task bengi --protocol cell+chrom "
            "--cells HMEC,IMR90,NHEK --shots 0 --methods pooled-trees-rank` makes some."
        )
    typer.echo(markdown(found))

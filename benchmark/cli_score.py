"""`epishot score`: a row for predictions that were made elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from ..tasks.errors import EpishotError

T = TypeVar("T")


def score(
    predictions: Annotated[Path, typer.Argument(help="Table of predictions: .tsv, .csv or .parquet, also .gz.")],
    task: Annotated[str, typer.Option(help="Task name, folder or file.py:factory.")],
    protocol: Annotated[str, typer.Option(help="cell or cell+chrom.")] = "cell+chrom",
    name: Annotated[str | None, typer.Option(help="Name of the row; default the file's name.")] = None,
    columns: Annotated[
        str, typer.Option(help="Columns that are not recognised: score=NAME,gene=NAME,... (pair_id, cell, chrom, ...).")
    ] = "",
    inverse: Annotated[bool, typer.Option("--inverse", help="A lower score means a stronger link.")] = False,
    scale: Annotated[str, typer.Option(help="What a score is: ranks, logits or probabilities.")] = "ranks",
    conflicts: Annotated[
        str, typer.Option(help="Pairs with different scores: refuse, or take the max, mean or min.")
    ] = "refuse",
    fill: Annotated[
        float | None, typer.Option(help="Score of query pairs without a prediction; default: refuse them.")
    ] = None,
    cells: Annotated[str | None, typer.Option(help="Held-out cells to score; default all.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a row made from another file.")] = False,
    store: Annotated[Path, typer.Option(help="Folder of the run store.")] = Path("runs"),
    board: Annotated[Path | None, typer.Option(help="Board folder; default STORE/board.")] = None,
    beside: Annotated[
        Path, typer.Option(help="Board on whose episodes to score, if --board has no rows of the task yet.")
    ] = Path("leaderboard"),
    archive: Annotated[Path | None, typer.Option(help="Folder of full scores; default STORE/archive.")] = None,
) -> None:
    """Score per-pair predictions of a model that cannot be run here, and set them beside the methods."""
    from ..tasks.catalog import load_task
    from ..tasks.splits import parse_protocol
    from . import provenance
    from .atomic import writable_folder
    from .cli_console import stdout_console
    from .cli_leaderboard import show
    from .cli_values import members, words
    from .compact import write_compact
    from .external import keep_scores, summarise_external
    from .external_board import check_name, matching_episodes, records_of, refuse_to_replace
    from .external_columns import parse_mapping
    from .external_prepare import ExternalOptions, Scale, prepare_scores
    from .external_report import report_lines
    from .external_scores import Conflicts
    from .external_table import read_predictions

    given = parse_mapping(columns)
    options = ExternalOptions(
        conflicts=_one(members(Conflicts, conflicts, "--conflicts"), "--conflicts"),
        fill=fill,
        inverse=inverse,
        scale=_one(members(Scale, scale, "--scale"), "--scale"),
        cells=tuple(words(cells)) or None,
    )
    rule = parse_protocol(protocol).value
    found = load_task(task)
    row = name if name is not None else predictions.name.split(".")[0]
    check_name(row, found)
    table = read_predictions(predictions, given)
    folder = writable_folder(board or store / "board", "--board" if board else "--store")
    earlier = records_of(folder, found.card.name, rule)
    refuse_to_replace(row, table.sha256, earlier, replace=replace)
    # On the published rows' episodes, the row can be published beside them.
    neighbours = earlier or records_of(beside, found.card.name, rule)
    episodes = matching_episodes(found, rule, neighbours)
    scores = prepare_scores(found, episodes, table, given, options)
    summary = summarise_external(
        found,
        episodes,
        scores,
        row,
        options,
        earlier=neighbours,
        command=provenance.printable_command(sys.argv[1:]),
    )
    record = keep_scores(summary.record, episodes, scores, archive or store / "archive")
    write_compact(folder, record, summary.replicates)
    show(folder, folder, stdout_console())
    assert record.external is not None
    for line in report_lines(record.external):
        typer.echo(line)


def _one(options: tuple[T, ...], option: str) -> T:
    if len(options) != 1:
        raise EpishotError(f"{option} takes one of its values.")
    return options[0]

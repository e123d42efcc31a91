"""`epishot leaderboard figures`: the board as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..leaderboard.figure_format import FigureFormat
from .cli_leaderboard import BoardOption, board_folder, read_board


def figures(
    board: BoardOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default figures/ in the board folder.")] = None,
    kind: Annotated[FigureFormat, typer.Option("--format", help="File format.")] = FigureFormat.SVG,
) -> None:
    """Draw learning curves, quality against cost, and a heat map of every table (needs matplotlib)."""
    from ..leaderboard.figures import write_figures

    folder = board_folder(board)
    for path in write_figures(read_board(folder), out or folder / "figures", kind):
        typer.echo(path)

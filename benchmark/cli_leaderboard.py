"""`epishot leaderboard`: print a board and write its files, from compact records alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tasks.errors import EpishotError

if TYPE_CHECKING:
    from rich.console import Console

#: Looked at in this order when no board is named: the published one, then that of the run store.
_DEFAULT_BOARDS = (Path("leaderboard"), Path("runs") / "board")


def leaderboard(
    board: Annotated[
        Path | None, typer.Option(help="Board folder; default leaderboard/ if it has records, else runs/board/.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the files are written; default the board folder.")] = None,
) -> None:
    """Rebuild the leaderboard from compact records, print it and write Markdown, CSV and JSON."""
    from .cli_console import stdout_console

    folder = board or next((path for path in _DEFAULT_BOARDS if (path / "records").is_dir()), _DEFAULT_BOARDS[0])
    show(folder, out or folder, stdout_console())


def show(board: Path, out: Path, console: Console) -> None:
    """Print the board of a folder and write its files to `out`.

    Raises:
        EpishotError: the folder has no records, or `out` cannot be written to.
    """
    if not (board / "records").is_dir():
        raise EpishotError(
            f"There are no records in {board}; run something first (`epishot run --suite demo`), or name another "
            "folder with --board."
        )
    from ..leaderboard.board import Loaded, build_board
    from ..leaderboard.export import write_board
    from ..leaderboard.terminal import print_board
    from .atomic import writable_folder
    from .compact import read_compact

    writable_folder(out, "--out")
    found = build_board(Loaded(record, replicates) for record, replicates in read_compact(board))
    print_board(found, console)
    write_board(found, out)

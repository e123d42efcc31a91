"""`epishot leaderboard`: print a board and write its files, from compact records alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tasks.errors import EpishotError

if TYPE_CHECKING:
    from rich.console import Console

    from ..leaderboard.board import Board

#: Looked at in this order when no board is named: the published one, then that of the run store.
_DEFAULT_BOARDS = (Path("leaderboard"), Path("runs") / "board")


_BOARD_HELP = "Board folder; default leaderboard/ if it has records, else runs/board/."
BoardOption = Annotated[Path | None, typer.Option("--board", help=_BOARD_HELP)]

app = typer.Typer(
    help="Rebuild the leaderboard from compact records: print it and write all its files; or write the page alone.",
    invoke_without_command=True,
)


@app.callback()
def leaderboard(
    context: typer.Context,
    board: BoardOption = None,
    out: Annotated[Path | None, typer.Option(help="Where the files are written; default the board folder.")] = None,
) -> None:
    """Rebuild the leaderboard from compact records, print it, write Markdown, CSV, JSON, LaTeX and the page."""
    if context.invoked_subcommand is not None:
        # Options stand after the subcommand; taken silently, they would be ignored.
        if board or out:
            raise EpishotError(f"Give --board and --out after `{context.invoked_subcommand}`.")
        return
    from .cli_console import stdout_console

    folder = board_folder(board)
    show(folder, out or folder, stdout_console())


@app.command()
def html(
    board: BoardOption = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; default leaderboard.html in the board folder.")
    ] = None,
) -> None:
    """Write the leaderboard as one self-contained HTML file, to be opened from disk."""
    from ..leaderboard.page.build import page_html
    from .atomic import write_bytes

    folder = board_folder(board)
    path = out or folder / "leaderboard.html"
    page = page_html(read_board(folder)).encode()
    try:
        write_bytes(path, page)
    except OSError as error:
        raise EpishotError(
            f"{path} cannot be written to ({error.strerror}); choose another file with --out."
        ) from error
    typer.echo(f"{path} ({len(page) / 1000:,.0f} kB): open it in a browser.")


def board_folder(board: Path | None) -> Path:
    """The folder that was named, else the first default one that has records."""
    return board or next((path for path in _DEFAULT_BOARDS if (path / "records").is_dir()), _DEFAULT_BOARDS[0])


def show(board: Path, out: Path, console: Console) -> None:
    """Print the board of a folder and write its files to `out`.

    Raises:
        EpishotError: the folder has no records, or `out` cannot be written to.
    """
    from ..leaderboard.export import write_board
    from ..leaderboard.terminal import print_board
    from .atomic import writable_folder

    found = read_board(board)
    writable_folder(out, "--out")
    print_board(found, console)
    write_board(found, out)


def read_board(folder: Path) -> Board:
    """The board of a folder.

    Raises:
        EpishotError: the folder has no records, or holds some that cannot be read or compared.
    """
    if not (folder / "records").is_dir():
        raise EpishotError(
            f"There are no records in {folder}; run something first (`epishot run --suite demo`), or name another "
            "folder with --board."
        )
    from ..leaderboard.board import Loaded, build_board
    from .compact import read_compact

    return build_board(Loaded(record, replicates) for record, replicates in read_compact(folder))

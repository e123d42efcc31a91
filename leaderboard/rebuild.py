"""The generated files of a board, made again from its records."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ..benchmark.findings import Finding, Status
from ..benchmark.replace_files import JOURNAL
from ..tasks.errors import EpishotError
from .board import Loaded, build_board
from .export import write_board


def rebuild(records: Iterable[Loaded], board: Path, folder: Path) -> list[Path]:
    """Write the files that the records give into `folder`, with the text that people wrote around them in `board`.

    Returns:
        The files written.

    Raises:
        EpishotError: the records cannot stand in one board.
    """
    built = build_board(records)
    folder.mkdir(parents=True, exist_ok=True)
    for path in board.glob("*.md"):
        shutil.copyfile(path, folder / path.name)
    return write_board(built, folder)


def check_files(board: Path, records: Iterable[Loaded]) -> list[Finding]:
    """Whether the generated files of a board equal a rebuild byte for byte; the findings `files`."""
    if (board / JOURNAL).exists():
        text = "a publication was interrupted: publish anything again to put the board back as it was"
        return [Finding("files", JOURNAL, Status.FAILED, text)]
    with tempfile.TemporaryDirectory() as folder:
        try:
            written = rebuild(records, board, Path(folder))
        except EpishotError as error:
            return [Finding("files", board.name, Status.FAILED, str(error))]
        return [_compare(board / path.name, path) for path in written]


def _compare(published: Path, again: Path) -> Finding:
    if not published.is_file():
        text = "it is missing; `epishot leaderboard` writes it"
        return Finding("files", published.name, Status.FAILED, text)
    old, new = published.read_bytes(), again.read_bytes()
    if old == new:
        return Finding("files", published.name, Status.VERIFIED, "equal to a rebuild")
    lines = zip(old.split(b"\n"), new.split(b"\n"), strict=False)
    line = next((number for number, (a, b) in enumerate(lines, 1) if a != b), min(old.count(b"\n"), new.count(b"\n")))
    text = f"line {line} is not what the records give; if nobody edited it by hand, `epishot leaderboard` renews it"
    return Finding("files", published.name, Status.FAILED, text)

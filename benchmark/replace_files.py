"""Several files replaced together: all of them or none, also if the process is killed in between.

New contents are first written beside their targets, then a journal names them all, then each takes its target's
name. The journal is deleted last, so one that is found means that the files must be put back as they were.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..tasks.errors import EpishotError
from .atomic import PARTIAL_SUFFIX, write_bytes

JOURNAL = ".publishing.json"


class _Change(NamedTuple):
    """One file: where it goes, its new content, and where its old one is kept meanwhile (all in one folder)."""

    target: Path
    new: Path
    old: Path


@contextmanager
def exclusively(folder: Path) -> Iterator[None]:
    """Keep other publishers off a folder, and put back what one that was killed left half done.

    Raises:
        EpishotError: somebody else is publishing to the folder.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EpishotError(f"Another process is publishing to {folder}; wait until it is done.") from None
        recover(folder)
        yield
    finally:
        os.close(handle)


def replace_files(folder: Path, contents: Mapping[Path, Path]) -> list[Path]:
    """Give files new contents, all or none. Files whose content is the same are not touched.

    Args:
        folder: where the journal is kept meanwhile. contents: target -> file with the new content.

    Returns:
        The targets that changed.

    Raises:
        OSError: something could not be written; everything is as before.
    """
    changes = []
    for target, source in contents.items():
        if target.is_file() and not target.is_symlink() and _same(target, source):
            continue
        token = secrets.token_hex(4)
        place = target.parent / f".{target.name}.{token}"
        changes.append(_Change(target, Path(f"{place}.new{PARTIAL_SUFFIX}"), Path(f"{place}.old{PARTIAL_SUFFIX}")))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(source, changes[-1].new)
        except BaseException:
            _discard(changes)
            raise
    if not changes:
        return []
    journal = [[os.path.relpath(path, folder) for path in change] for change in changes]
    try:
        write_bytes(folder / JOURNAL, json.dumps(journal).encode())
        for change in changes:
            if change.target.exists():
                _keep(change.target, change.old)
            os.replace(change.new, change.target)
    except BaseException:
        recover(folder)
        _discard(changes)
        raise
    (folder / JOURNAL).unlink()
    _discard(changes)
    return [change.target for change in changes]


def recover(folder: Path) -> None:
    """Put everything back that an unfinished replacement changed; nothing to do if there is no journal."""
    try:
        journal = json.loads((folder / JOURNAL).read_bytes())
    except FileNotFoundError:
        return
    changes = [_Change(*((folder / path) for path in paths)) for paths in journal]
    for change in changes:
        if change.old.exists():
            os.replace(change.old, change.target)
        elif not change.new.exists():  # it had no predecessor, and has already taken its name
            change.target.unlink(missing_ok=True)
    (folder / JOURNAL).unlink()
    _discard(changes)


def _discard(changes: list[_Change]) -> None:
    for change in changes:
        change.new.unlink(missing_ok=True)
        change.old.unlink(missing_ok=True)


def _keep(target: Path, old: Path) -> None:
    try:
        os.link(target, old)
    except OSError:  # a file system without hard links
        _copy(target, old)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("xb") as new:
        while block := old.read(1 << 20):
            new.write(block)
        new.flush()
        os.fsync(new.fileno())


def _same(one: Path, other: Path) -> bool:
    import filecmp

    return filecmp.cmp(one, other, shallow=False)

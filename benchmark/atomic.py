"""Files that exist whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..tasks.errors import EpishotError

#: Marks files that a killed process left behind; they are never read.
PARTIAL_SUFFIX = ".partial"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it is flushed to disk and takes the name `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL_SUFFIX}")
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def writable_folder(path: Path, option: str) -> Path:
    """Make the folder if need be and make sure that files can be written there.

    Raises:
        EpishotError: it cannot be made or written to; the text names the option that changes it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{secrets.token_hex(4)}{PARTIAL_SUFFIX}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise EpishotError(
            f"The folder {path} cannot be written to ({error.strerror}); choose another one with {option}."
        ) from error
    return path


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)

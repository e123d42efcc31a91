"""Validated tables on disk, so that a source is parsed once and memory-mapped afterwards.

The key covers everything the table depends on: the pinned bytes of the sources, the card and the code of
the builder. A stale table is therefore never found, and no version has to be raised by hand.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from .card import TaskCard
from .schema import SCHEMA_VERSION
from .sources import CACHE_VARIABLE, Manifest, cache_folder

#: Modules every builder goes through.
_SHARED_CODE = ("parse", "problems", "schema", "validate", "table_cache", "large_table")


def cached_table(
    card: TaskCard,
    manifest: Manifest,
    names: Iterable[str],
    builder: str | Sequence[str],
    build: Callable[[], pa.Table],
) -> pa.Table:
    """The table that `build()` makes, from the cache if it was made before.

    Args:
        card: the task card.
        manifest, names: the source files the table is built from.
        builder: `__name__` of the module, or of all modules, whose code builds it.
        build: makes the validated table; may raise `EpishotError`.
    """
    key = _key(card, manifest, names, builder)
    path = cache_folder() / "tables" / f"{card.name}-{key[:32]}.arrow"
    table = _read(path)
    if table is None:
        table = build().combine_chunks()
        _write(table, path)
    return table


def _key(card: TaskCard, manifest: Manifest, names: Iterable[str], builder: str | Sequence[str]) -> str:
    digest = hashlib.sha256(f"{SCHEMA_VERSION}\n{card.model_dump_json()}\n".encode())
    for name in names:
        digest.update(f"{name} {manifest.file(name).sha256}\n".encode())
    for name in [builder] if isinstance(builder, str) else builder:
        digest.update(Path(str(sys.modules[name].__file__)).read_bytes())
    digest.update(shared_code().encode())
    return digest.hexdigest()


def shared_code() -> str:
    """sha256 (hex) of the modules that every table goes through."""
    files = [Path(__file__).with_name(f"{name}.py") for name in _SHARED_CODE]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _read(path: Path) -> pa.Table | None:
    try:
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid):
        return None


def _write(table: pa.Table, path: Path) -> None:
    """Write atomically; a cache that cannot be written costs time, never the result."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".table-")
        try:
            with os.fdopen(handle, "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
                # One batch, so that a column is read back as one chunk and features stay a view.
                writer.write_table(table, max_chunksize=max(1, table.num_rows))
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        warnings.warn(
            f"The built table cannot be kept in {path.parent} ({error.strerror or error}); it will be built "
            f"again next time. Set {CACHE_VARIABLE} to a folder that can be written.",
            stacklevel=2,
        )

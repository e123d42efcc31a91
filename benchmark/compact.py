"""The compact records of a board folder: one JSON and one Parquet of bootstrap replicates per method.

`<board>/records/<task>/<protocol>/<method>.json` and `<method>.replicates.parquet` beside it (columns: entry
int32, replicates fixed-size list of 1,000 float32).
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..tasks.errors import EpishotError
from .atomic import whole_file
from .records import CompactRecord

if TYPE_CHECKING:
    import pyarrow as pa


def replicates_digest(replicates: np.ndarray) -> str:
    """sha256 (hex) of replicates as little-endian float32, row by row."""
    return hashlib.sha256(np.ascontiguousarray(replicates, dtype="<f4").tobytes()).hexdigest()


def record_path(board: Path, record: CompactRecord) -> Path:
    """Where a compact record lies in a board folder."""
    return board / "records" / record.task / record.protocol / f"{record.method.name}.json"


def compact_json(record: CompactRecord) -> bytes:
    """A compact record as it is written; one without an audit does not mention it, as before there were audits."""
    return (record.model_dump_json(indent=1, exclude={"audit"} if record.audit is None else None) + "\n").encode()


def write_compact(board: Path, record: CompactRecord, replicates: np.ndarray) -> Path:
    """Write a compact record and its replicates, each atomically, the record last; equal input, equal bytes.

    Args:
        board: board folder, created if need be.
        record: the record. replicates: (rows, B) float32 that it refers to.

    Returns:
        Path of the JSON.

    Raises:
        EpishotError: the folder cannot be written.
        ValueError: the replicates are not those of the record.
    """
    if replicates_digest(replicates) != record.replicates_sha256:
        raise ValueError("these replicates do not belong to this record")
    path = record_path(Path(board), record)
    parts = (
        (_replicates_path(path), _to_parquet(replicates)),
        (path, compact_json(record)),
    )
    try:
        for target, content in parts:
            with whole_file(target) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise EpishotError(
            f"The board folder {board} cannot be written to ({error.strerror}); choose another one with --board."
        ) from error
    return path


def read_compact(board: Path) -> list[tuple[CompactRecord, np.ndarray]]:
    """All compact records of a board folder with their (rows, B) float32 replicates, in order of path.

    Raises:
        EpishotError: a record cannot be read, or its replicates are missing or not those it was written with.
    """
    return [_read(path) for path in sorted((Path(board) / "records").glob("*/*/*.json"))]


def has_replicates(path: Path, record: CompactRecord) -> bool:
    """Whether the replicates beside the compact record at `path` are there and are its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = _from_table(pq.read_table(_replicates_path(path)))
    except (OSError, pa.ArrowException, KeyError):
        return False
    return replicates_digest(found) == record.replicates_sha256


def _read(path: Path) -> tuple[CompactRecord, np.ndarray]:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pydantic import ValidationError

    try:
        record = CompactRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise EpishotError(
            f"{path} is not a compact record of this version ({str(error).splitlines()[0]}): "
            "delete it, and run its suite again with `epishot run`."
        ) from error
    try:
        replicates = _from_table(pq.read_table(_replicates_path(path)))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise EpishotError(f"The replicates beside {path} cannot be read: restore them or run again.") from error
    if replicates_digest(replicates) != record.replicates_sha256:
        raise EpishotError(f"The replicates beside {path} are not those of the record: restore both or run again.")
    return record, replicates


def _replicates_path(record: Path) -> Path:
    return record.with_name(f"{record.stem}.replicates.parquet")


def _to_parquet(replicates: np.ndarray) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, width = replicates.shape
    flat = pa.array(np.ascontiguousarray(replicates, dtype=np.float32).reshape(-1))
    table = pa.table(
        {
            "entry": pa.array(np.arange(rows, dtype=np.int32)),
            "replicates": pa.FixedSizeListArray.from_arrays(flat, width),
        }
    )
    buffer = io.BytesIO()
    # Random mantissas gain nothing from dictionaries, and statistics of them mean nothing.
    pq.write_table(table, buffer, compression="zstd", use_dictionary=False, write_statistics=False)
    return buffer.getvalue()


def _from_table(table: pa.Table) -> np.ndarray:
    column = table["replicates"].combine_chunks()
    width = column.type.list_size
    chunks = column.chunks if hasattr(column, "chunks") else [column]
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks]
    values = np.concatenate(flat) if flat else np.empty(0, dtype=np.float32)
    return values.astype(np.float32, copy=False).reshape(-1, width)

"""Tables larger than the memory: validated chunk by chunk into files that are mapped, never read as a whole.

<folder>/rows.arrow      every column but the features, one record batch per chunk (Arrow IPC)
<folder>/features.f32    the features, n x F float32, so that they are one array whatever the chunks
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from .card import TaskCard
from .errors import EpishotError
from .schema import arrow_schema
from .sources import CACHE_VARIABLE

ROWS_FILE, FEATURES_FILE = "rows.arrow", "features.f32"


def write_table(chunks: Iterable[pa.Table], card: TaskCard, folder: Path) -> pa.Table:
    """Write the chunks of an EP table and map what was written; the folder appears complete or not at all.

    Args:
        chunks: of the card's schema, in order; an error in them leaves nothing behind.
        card: the task card. folder: to be made.

    Raises:
        EpishotError: the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".table-"))
    except OSError as error:
        raise EpishotError(
            f"The table cannot be kept in {folder.parent} ({error.strerror or error}): set {CACHE_VARIABLE} to "
            "a folder that can be written."
        ) from error
    try:
        schema = _rows_schema(card)
        with (
            open(partial / ROWS_FILE, "wb") as rows,
            open(partial / FEATURES_FILE, "wb") as features,
            pa.ipc.new_file(rows, schema) as writer,
        ):
            for chunk in chunks:
                writer.write_table(chunk.select(schema.names))
                for part in chunk["features"].chunks:
                    features.write(part.flatten().to_numpy())
        # Another process may have made the same folder meanwhile; then its files are as good.
        if not folder.exists():
            os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    found = map_table(card, folder)
    assert found is not None, "it was just written"
    return found


def map_table(card: TaskCard, folder: Path) -> pa.Table | None:
    """The table of a folder as views of its files; None if there is none or its files do not fit each other."""
    try:
        with pa.memory_map(str(folder / ROWS_FILE)) as source:
            rows = pa.ipc.open_file(source).read_all()
        width = len(card.features)
        values = (
            np.memmap(folder / FEATURES_FILE, dtype=np.float32, mode="r") if width else np.empty(0, dtype=np.float32)
        )
    except (OSError, ValueError, pa.ArrowInvalid):
        return None
    schema = arrow_schema(width, sequences=card.sequence_length is not None)
    if values.size != rows.num_rows * width or rows.schema.names != _rows_schema(card).names:
        return None
    if width:
        features = pa.FixedSizeListArray.from_arrays(
            pa.Array.from_buffers(pa.float32(), values.size, [None, pa.py_buffer(values)]), width
        )
    else:
        features = pa.array([[]] * rows.num_rows, pa.list_(pa.float32(), 0))
    columns = [features if name == "features" else rows[name] for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def _rows_schema(card: TaskCard) -> pa.Schema:
    schema = arrow_schema(len(card.features), sequences=card.sequence_length is not None)
    return schema.remove(schema.get_field_index("features"))

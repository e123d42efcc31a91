"""The monitors of a training as one tidy table: step, stage, cell, monitor, value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_SCHEMA = pa.schema(
    [
        ("step", pa.int32()),
        ("stage", pa.string()),
        ("cell", pa.string()),
        ("monitor", pa.string()),
        ("value", pa.float64()),
    ]
)


class Row(NamedTuple):
    """One value; cell is None for what concerns all cells, "held-out" for the cell that is not trained on."""

    step: int
    stage: str
    cell: str | None
    monitor: str
    value: float


class Monitors:
    """All rows of one training, in the order of their steps."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, rows: Iterator[Row] | list[Row]) -> None:
        """Append rows."""
        self.rows += rows

    def series(self, monitor: str, cell: str | None = None) -> np.ndarray:
        """Values of a monitor over the logged steps; empty if it was never logged."""
        return np.array([row.value for row in self.rows if row.monitor == monitor and row.cell == cell])

    def last(self, monitor: str, cell: str | None = None) -> float:
        """The last value, NaN if it was never logged."""
        found = self.series(monitor, cell)
        return float(found[-1]) if found.size else float("nan")

    def cells(self, monitor: str) -> dict[str, float]:
        """The last value in every cell."""
        return {row.cell: row.value for row in self.rows if row.monitor == monitor and row.cell is not None}

    def known(self, monitor: str) -> np.ndarray:
        """The last value in every training cell."""
        return np.array([value for cell, value in self.cells(monitor).items() if cell != "held-out"])

    def names(self, start: str) -> list[str]:
        """Names of the monitors that begin so, in alphabetical order."""
        return sorted({row.monitor for row in self.rows if row.monitor.startswith(start)})

    def write(self, path: Path) -> None:
        """One Parquet file."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(_SCHEMA)
        pq.write_table(pa.table([pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)], _SCHEMA), path)

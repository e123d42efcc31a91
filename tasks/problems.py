"""A collector of problems in a table: every finding counted, the first few of each kind spelled out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .errors import TableError

#: Findings of one kind that are spelled out; the rest of that kind is counted.
SHOWN_PER_KIND = 5


class ProblemList:
    """Problems of one table, named by file, row, column and value.

    Args:
        where: the file, or a name for the whole table.
        files: (file name, number of rows) in row order, when the table joins several files.
    """

    def __init__(self, where: str, files: Sequence[tuple[str, int]] = ()) -> None:
        self.where = where
        self._names = [name for name, _ in files]
        self._ends = np.cumsum([rows for _, rows in files])
        self._messages: list[str] = []
        self._total = 0
        #: Table row of row 0 of the chunk that is being checked.
        self.first_row = 0

    def place(self, row: int) -> str:
        """File and 1-based data row (a header line is not counted) of the 0-based row of the chunk."""
        row += self.first_row
        if not self._names:
            return f"{self.where}, row {row + 1}"
        file = int(np.searchsorted(self._ends, row, side="right"))
        before = int(self._ends[file - 1]) if file else 0
        return f"{self._names[file]}, row {row - before + 1}"

    def add(self, message: str) -> None:
        """Record one problem of the table as a whole."""
        self._messages.append(f"{self.where}: {message}")
        self._total += 1

    def add_rows(
        self, bad: np.ndarray, column: str, values: Sequence[object], what: str | Callable[[int], str]
    ) -> None:
        """Record one problem for every row that `bad` marks.

        Args:
            bad: (n,) bool.
            column: column name.
            values: (n,) values as the source has them.
            what: what is wrong with the value, or a function of the 0-based row that says so.
        """
        rows = np.flatnonzero(bad)
        self._total += rows.size
        for row in rows[:SHOWN_PER_KIND].tolist():
            text = what(row) if callable(what) else what
            self._messages.append(f"{self.place(row)}, column {column!r}: {_show(values[row])} {text}")
        if (more := rows.size - SHOWN_PER_KIND) > 0:
            kind = "the same problem" if callable(what) else f"a value that {what}"
            self._messages.append(f"{self.where}, column {column!r}: {more} more row(s) with {kind}")

    def __bool__(self) -> bool:
        return bool(self._total)

    def raise_if_any(self) -> None:
        """Raise what was collected.

        Raises:
            TableError: at least one problem was recorded.
        """
        if self._total:
            raise TableError(self.where, self._messages, total=self._total)


def _show(value: object) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""A table that grows while a method trains under observation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .monitor_table import Row

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

#: Heading, monitor and the cell it is shown of ("mean" = over training cells).
_COLUMNS = (
    ("AUPR U, training", "aupr-u", "mean"),
    ("AUPR U, unseen", "aupr-u", "held-out"),
    ("log loss, unseen", "log-loss", "held-out"),
    ("sd of scores", "score-sd", "mean"),
    ("saturated", "saturation", "mean"),
    ("cell in z", "cell-information", None),
    ("env. ratio", "environment-ratio", None),
    ("T", "temperature", None),
)


class ProgressTable:
    """A listener of `audit_energy`: one line for every logged step, drawn live.

    Use as a context manager around the audit.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live
        from rich.table import Table

        self._table = Table(box=None, pad_edge=False)
        for heading in ("step", "stage", *(heading for heading, _, _ in _COLUMNS)):
            self._table.add_column(heading, justify="left" if heading == "stage" else "right")
        self._live = Live(self._table, console=console, refresh_per_second=4)

    def __enter__(self) -> ProgressTable:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        if not self._live.console.is_terminal:
            self._live.console.print()

    def __call__(self, rows: Sequence[Row]) -> None:
        """Add the line of one logged step."""
        cells = [f"{value:.3g}" for value in (_value(rows, monitor, cell) for _, monitor, cell in _COLUMNS)]
        self._table.add_row(str(rows[0].step), rows[0].stage, *cells)


def _value(rows: Sequence[Row], monitor: str, cell: str | None) -> float:
    if cell == "mean":
        own = [row.value for row in rows if row.monitor == monitor and row.cell not in (None, "held-out")]
        return sum(own) / len(own) if own else float("nan")
    return next((row.value for row in rows if row.monitor == monitor and row.cell == cell), float("nan"))

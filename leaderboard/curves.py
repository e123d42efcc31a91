"""Learning curves: the macro means of one task and protocol over k, taken from the board's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .board import Board, BoardTable, Row
from .statistics import MacroScore


@dataclass(frozen=True)
class Curve:
    """One row followed over k.

    Attributes:
        points: macro score per k of the panel; None where the row has none.
        zero_shot: it uses no support, so that every point is its k = 0 result.
        constant: it orders nothing at any k.
    """

    name: str
    kind: str
    points: tuple[MacroScore | None, ...]
    zero_shot: bool
    constant: bool

    @property
    def last(self) -> MacroScore | None:
        """The score at the largest k that has one."""
        return next((point for point in reversed(self.points) if point is not None), None)


@dataclass(frozen=True)
class CurvePanel:
    """All curves of one task, protocol, regime and balance.

    Attributes:
        shots: the k of the points, ascending. cells: the cells of the macro mean at each k.
        groups: per k, names in tie group 1.
        curves: best at the largest k first; reference rows before all.
    """

    task: str
    protocol: str
    regime: str
    balance: str
    shots: tuple[int, ...]
    cells: tuple[tuple[str, ...], ...]
    groups: tuple[frozenset[str], ...]
    curves: tuple[Curve, ...]

    @property
    def same_cells(self) -> bool:
        """Whether all points are means over the same cells: else they may not be compared over k."""
        return len(set(self.cells)) == 1


def curve_panels(board: Board) -> list[CurvePanel]:
    """One panel per task, protocol, regime and balance with macro means at two or more k (k = 0 counts)."""
    panels = []
    for task, protocol in dict.fromkeys((table.key.task, table.key.protocol) for table in board.tables):
        tables = [t for t in board.tables if (t.key.task, t.key.protocol) == (task, protocol) and t.macro_cells]
        zero = [table for table in tables if table.key.k == 0]
        for kind in dict.fromkeys((t.key.regime, t.key.balance) for t in tables if t.key.k > 0):
            found = zero + [t for t in tables if t.key.k > 0 and (t.key.regime, t.key.balance) == kind]
            if len(found) > 1:
                panels.append(_panel(task, protocol, *kind, found))
    return panels


def _panel(task: str, protocol: str, regime: str, balance: str, tables: Sequence[BoardTable]) -> CurvePanel:
    rows = [{row.name: row for row in table.rows} for table in tables]
    names = dict.fromkeys(name for found in reversed(rows) for name in found)
    curves = [_curve([found.get(name) for found in rows]) for name in names]
    curves = [curve for curve in curves if curve.last is not None]
    curves.sort(key=lambda c: (c.kind != "reference", -(c.last.value if c.last else 0.0), c.name))
    return CurvePanel(
        task,
        protocol,
        regime,
        balance,
        tuple(table.key.k for table in tables),
        tuple(table.macro_cells for table in tables),
        tuple(frozenset(row.name for row in table.rows if row.group == 1) for table in tables),
        tuple(curves),
    )


def _curve(rows: Sequence[Row | None]) -> Curve:
    known = [row for row in rows if row is not None]
    first = known[0]
    return Curve(
        first.name,
        first.kind,
        tuple(row.macro if row else None for row in rows),
        known[-1].zero_shot,
        all(row.constant for row in known),
    )

"""Supports as a method is given them: tables in place of row numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..methods.base import Balance, Reads, Regime, Supports
from ..methods.tables import pair_table

if TYPE_CHECKING:
    from ..tasks.task import Task


def support_table(task: Task, rows: np.ndarray, regime: Regime, balance: Balance, reads: frozenset[Reads]) -> Supports:
    """The supports whose pairs are the (E, k) `rows` of the task's table; their labels only if `regime` shows them."""
    pool, place = np.unique(rows, return_inverse=True)
    return Supports(
        regime=regime,
        balance=balance,
        pool=pair_table(task, pool, reads),
        rows=place.reshape(rows.shape).astype(np.int64),
        label=task.columns.label[rows] if regime is Regime.LABELLED else None,
    )

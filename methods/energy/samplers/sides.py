"""Dividing a cell's rows by locus into those for supports and those for queries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Share of a cell's loci on the support side.
_SUPPORT_SIDE = 0.3
_TRIES = 20


class Side(NamedTuple):
    """Row numbers by label."""

    positive: np.ndarray
    negative: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, label: np.ndarray) -> Side:
        """Split `rows` by `label` (n,)."""
        return cls(rows[label[rows] == 1], rows[label[rows] == 0])


class Partition(NamedTuple):
    """One way to divide: no locus is on both sides, and the query has both classes."""

    support: Side
    query: Side


def divide(rows: np.ndarray, label: np.ndarray, loci: np.ndarray, rng: np.random.Generator) -> Partition:
    """Divide rows that hold both classes.

    Args:
        rows: (m,) of one cell, or of all. label, loci: (n,) of the table. rng: decides.

    Returns:
        Both classes on the query side. Where too few loci carry positives, the support side may lack a class or be
        empty; only a single locus is divided by rows.
    """
    names, code = np.unique(loci[rows], return_inverse=True)
    for _ in range(_TRIES):
        side = (rng.random(names.size) < _SUPPORT_SIDE)[code]
        query = label[rows[~side]]
        if side.any() and 0 < query.sum() < query.size:
            return Partition(Side.of(rows[side], label), Side.of(rows[~side], label))
    whole = Side.of(rows, label)
    # Loci without a positive can serve the support as long as the query keeps some negatives.
    bare = ~np.isin(loci[whole.negative], loci[whole.positive])
    spare = whole.negative[bare]
    if 0 < spare.size < whole.negative.size:
        return Partition(Side(whole.positive[:0], spare), Side(whole.positive, whole.negative[~bare]))
    if spare.size > 1:
        keep = loci[spare] == loci[spare[0]]
        if keep.all():
            keep = np.arange(spare.size) < 1
        return Partition(Side(whole.positive[:0], spare[~keep]), Side(whole.positive, spare[keep]))
    return Partition(Side(whole.positive[:0], whole.negative[:0]), whole)


def outside(rows: np.ndarray, label: np.ndarray, loci: np.ndarray, query: Side) -> Side:
    """The rows at loci that the query does not have."""
    taken = np.unique(loci[np.concatenate([query.positive, query.negative])])
    return Side.of(rows[~np.isin(loci[rows], taken)], label)

"""The training cell that an audit keeps out of training, and what is asked about it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ....tasks.errors import EpishotError
from ...base import Balance, PairTable, Regime, Supports, TrainTable, no_support
from ..samplers.loci import locus_groups

#: A held-out cell needs so many rows of each class.
_LEAST = 12
_EPISODES, _SHOTS = 6, 64
_POOL_SHARE, _QUERY_ROWS = 0.4, 600


class HeldOut(NamedTuple):
    """A cell that was not trained on (or, where there are too few, one that was, treated as unknown: `seen`).

    Attributes:
        query: scored pairs, at natural prevalence. label: theirs. pool: pairs of other loci, with pool_label.
        cell_table: all its pairs without coordinates, for transductive methods; else None.
        rows: (E, k) pool rows of E supports. seen: its rows train the model too.
    """

    query: PairTable
    label: np.ndarray
    pool: PairTable
    pool_label: np.ndarray
    cell_table: PairTable | None
    rows: np.ndarray
    seen: bool

    def supports(self, regime: Regime) -> Supports:
        """E natural supports of k pairs; one empty support in regime none."""
        if regime is Regime.NONE:
            return no_support(self.query)
        label = self.pool_label[self.rows] if regime is Regime.LABELLED else None
        return Supports(regime, Balance.NATURAL, self.pool, self.rows, label)


def hold_out(train: TrainTable, rng: np.random.Generator, *, transductive: bool) -> tuple[TrainTable, HeldOut]:
    """Take out the cell with the median number of positives.

    Returns:
        The rest, cells coded anew, and the cell; all rows where fewer than three cells have enough of both classes.

    Raises:
        EpishotError: no cell has enough rows of both classes.
    """
    counts = {}
    for code in range(train.n_cells):
        label = train.label[train.cell == code]
        if min(label.sum(), label.size - label.sum()) >= _LEAST:
            counts[code] = int(label.sum())
    if not counts:
        raise EpishotError(f"No training cell has {_LEAST} pairs of each class, so there is nothing to audit on.")
    chosen = sorted(counts, key=lambda code: (counts[code], code))[len(counts) // 2]
    own = np.flatnonzero(train.cell == chosen)
    pool, query = _divided(train.pairs.take(own), train.label[own], rng)
    whole = train.pairs.take(own)
    bare = replace(
        whole, chrom=None, enhancer_start=None, enhancer_end=None, tss=None, strand=None, element=None, gene=None
    )
    size = min(_SHOTS, pool.size // 2)
    seen = len(counts) < 3
    held = HeldOut(
        query=whole.take(query),
        label=train.label[own][query],
        pool=whole.take(pool),
        pool_label=train.label[own][pool],
        cell_table=bare if transductive else None,
        rows=np.stack([rng.permutation(pool.size)[:size] for _ in range(_EPISODES)]),
        seen=seen,
    )
    if seen:
        return train, held
    rest = np.flatnonzero(train.cell != chosen)
    cells, place = np.unique(train.cell[rest], return_inverse=True)
    return TrainTable(train.pairs.take(rest), train.label[rest], place.astype(np.int32), cells.size), held


def _divided(pairs: PairTable, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the pool and of the query, by locus where there are several loci with positives."""
    loci = locus_groups(pairs)
    names, code = np.unique(loci, return_inverse=True)
    for _ in range(20):
        side = (rng.random(names.size) < _POOL_SHARE)[code]
        if 0 < label[side].sum() < side.sum() and 0 < label[~side].sum() < (~side).sum() and side.sum() >= 16:
            break
    else:
        side = rng.random(pairs.n) < _POOL_SHARE
    query = rng.permutation(np.flatnonzero(~side))[:_QUERY_ROWS]
    return np.flatnonzero(side), np.sort(query)

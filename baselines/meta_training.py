"""Meta-training episodes drawn from the training cells, shaped like the ones of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..methods.base import Balance, PairTable, TrainTable

#: Share of a cell's rows that the support side of a partition gets; about the share of the support pool
#: of protocol `cell`.
_SUPPORT_SHARE = 0.25
_PARTITIONS_PER_CELL = 16
#: Cells of more than 262,144 pairs have fewer, down to the least: every partition holds the row numbers of its cell.
_ROWS_OF_PARTITIONS = 1 << 22
_LEAST_PARTITIONS = 4
#: Pools of fewer than this many times k rows are permuted as a whole; in larger ones repeats are rare.
_CROWDED = 4


class MetaBatch(NamedTuple):
    """T meta-training tasks of k support and q query pairs, as row numbers of the training table.

    Attributes:
        support: (T, k) int64; negatives before positives where balanced. Row 0 stands for padding.
        weight: (T, k) float32, 1 for a drawn pair, 0 for padding: where a cell has too few pairs to draw, at the end
            of the support or of each half, and the last place of a balanced support of odd k.
        query: (T, q) int64, drawn with replacement, so that it keeps the natural prevalence of any cell.
        cell: (T,) int64 training cell of each task.
        balance: how the supports were drawn.
    """

    support: np.ndarray
    weight: np.ndarray
    query: np.ndarray
    cell: np.ndarray
    balance: Balance


class _Partition(NamedTuple):
    """One division of a cell's rows into a support side and a query side without common loci."""

    support: np.ndarray
    support_by_label: tuple[np.ndarray, np.ndarray]
    query: np.ndarray


class EpisodeSampler:
    """Draws tasks: a training cell, a support from some of its chromosomes, a query from the others.

    Support and query of one task share no chromosome, as in the benchmark: with rows split at random a
    gene's transcripts would stand on both sides, and meta-training would reward remembering genes.
    """

    def __init__(self, train: TrainTable, generator: np.random.Generator) -> None:
        """Prepare the partitions of every training cell.

        Args:
            train: training rows; chromosomes (else genes, else rows) keep loci together.
            generator: source of every draw.
        """
        self._generator = generator
        groups = locus_groups(train.pairs)
        self._cells = np.unique(train.cell).astype(np.int64)
        self._partitions = [_partitions(_rows_of(train, cell), groups, train.label, generator) for cell in self._cells]

    def draw(self, n_tasks: int, k: int, n_query: int, balance: Balance = Balance.NATURAL) -> MetaBatch:
        """Draw tasks; cells are equally likely, whatever their size.

        A support side with fewer than k pairs (balanced: fewer than k/2 of a label) gives all it can, in
        the requested balance; the rest is padding.

        Args:
            n_tasks: T. k: pairs per support (0 is valid). n_query: q. balance: of the supports.

        Returns:
            T tasks of one k.
        """
        rng = self._generator
        chosen = rng.integers(len(self._cells), size=n_tasks)
        which = rng.integers([len(self._partitions[cell]) for cell in chosen])
        sides = [self._partitions[cell][index] for cell, index in zip(chosen, which, strict=True)]
        if balance is Balance.BALANCED:
            by_label = [[side.support_by_label[label] for side in sides] for label in (0, 1)]
            each = np.minimum(*(_sizes(rows) for rows in by_label))
            halves = [_some(rows, each, k // 2, rng) for rows in by_label]
            # An odd k leaves its last place empty.
            support, weight = (
                np.pad(np.concatenate(both, axis=1), ((0, 0), (0, k % 2))) for both in zip(*halves, strict=True)
            )
        else:
            pools = [side.support for side in sides]
            support, weight = _some(pools, _sizes(pools), k, rng)
        queries = [side.query for side in sides]
        places = rng.integers(_sizes(queries)[:, None], size=(n_tasks, n_query))
        return MetaBatch(support, weight, _gathered(queries, places), self._cells[chosen], balance)


def locus_groups(pairs: PairTable) -> np.ndarray:
    """(n,) group of each pair that must stay on one side: chromosome, else gene, else the row itself."""
    for code in (pairs.chrom, pairs.gene):
        if code is not None and np.unique(code).size > 1:
            return np.asarray(code)
    return np.arange(pairs.n)


def _rows_of(train: TrainTable, cell: int) -> np.ndarray:
    """Row numbers of a cell; int32, as every partition holds them again."""
    return np.flatnonzero(train.cell == cell).astype(np.int32)


def _partitions(rows: np.ndarray, groups: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> list[_Partition]:
    found, group = np.unique(groups[rows], return_inverse=True)
    if found.size == 1:
        found, group = rows, np.arange(rows.size)
    sizes = np.bincount(group, minlength=found.size)
    partitions = []
    for _ in range(min(_PARTITIONS_PER_CELL, max(_LEAST_PARTITIONS, _ROWS_OF_PARTITIONS // rows.size))):
        order = rng.permutation(found.size)
        # At least one group on either side, however unequal they are.
        reached = int(np.searchsorted(np.cumsum(sizes[order]), _SUPPORT_SHARE * rows.size)) + 1
        taken = np.zeros(found.size, dtype=bool)
        taken[order[: min(reached, max(found.size - 1, 1))]] = True
        support, query = rows[taken[group]], rows[~taken[group]]
        query = query if query.size else rows
        by_label = (support[label[support] == 0], support[label[support] == 1])
        partitions.append(_Partition(support, by_label, query))
    return partitions


def _some(
    pools: Sequence[np.ndarray], most: np.ndarray, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """`most` (T,), at most k, distinct members of each pool: (T, k) rows, and (T, k) weights, 0 for padding."""
    places = _distinct(_sizes(pools), k, rng)
    drawn = np.arange(k) < most[:, None]
    return _gathered(pools, places) * drawn, drawn.astype(np.float32)


def _distinct(sizes: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """(T, k) distinct places below each size in random order; where there are fewer, the rest is 0."""
    crowded = sizes < _CROWDED * k
    places = rng.integers(np.where(crowded, 1, sizes)[:, None], size=(len(sizes), k))
    while (repeats := _repeats(places, ~crowded))[0].size:
        places[repeats] = rng.integers(sizes[repeats[0]])
    for task in np.flatnonzero(crowded):
        some = rng.permutation(sizes[task])[:k]
        places[task, : some.size] = some
    return places


def _repeats(places: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Line and column of every place that stands further left in its line too, in the lines `among`."""
    ascending = np.sort(places, axis=1)
    some = np.flatnonzero((ascending[:, 1:] == ascending[:, :-1]).any(axis=1) & among)
    order = places[some].argsort(axis=1, kind="stable")
    ascending = ascending[some]
    line, after = np.nonzero(ascending[:, 1:] == ascending[:, :-1])
    return some[line], order[line, after + 1]


def _gathered(pools: Sequence[np.ndarray], places: np.ndarray) -> np.ndarray:
    """(T, n) int64 members of each pool at the (T, n) places; 0 from an empty pool."""
    rows = np.zeros(places.shape, dtype=np.int64)
    for row, pool, at in zip(rows, pools, places, strict=True):
        if pool.size:
            row[:] = pool.take(at)
    return rows


def _sizes(pools: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([pool.size for pool in pools])

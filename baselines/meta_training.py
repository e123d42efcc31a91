"""Meta-training episodes drawn from the training cells, shaped like the ones of the benchmark."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..methods.base import Balance, PairTable, TrainTable

#: Share of a cell's rows that the support side of a partition gets; about the share of the support pool
#: of protocol `cell`.
_SUPPORT_SHARE = 0.25
_PARTITIONS_PER_CELL = 16


class MetaBatch(NamedTuple):
    """T meta-training tasks of k support and q query pairs, as row numbers of the training table.

    Attributes:
        support: (T, k) int64.
        weight: (T, k) float32, 1 for a drawn pair, 0 for padding (a cell with fewer than k pairs to draw).
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
        support = np.zeros((n_tasks, k), dtype=np.int64)
        weight = np.zeros((n_tasks, k), dtype=np.float32)
        query = np.empty((n_tasks, n_query), dtype=np.int64)
        chosen = rng.integers(len(self._cells), size=n_tasks)
        for task, cell in enumerate(chosen):
            options = self._partitions[cell]
            partition = options[rng.integers(len(options))]
            if balance is Balance.BALANCED:
                each = min(k // 2, *(side.size for side in partition.support_by_label))
                rows = np.concatenate([_some(side, each, rng) for side in partition.support_by_label])
            else:
                rows = _some(partition.support, k, rng)
            support[task, : rows.size] = rows
            weight[task, : rows.size] = 1.0
            query[task] = partition.query[rng.integers(partition.query.size, size=n_query)]
        return MetaBatch(support, weight, query, self._cells[chosen], balance)


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
    for _ in range(_PARTITIONS_PER_CELL):
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


def _some(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """At most `size` distinct members of `rows`."""
    return rows[rng.choice(rows.size, size=min(size, rows.size), replace=False, shuffle=False)]

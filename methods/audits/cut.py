"""What a method is audited on: one held-out cell and chromosome fold of a task, small enough for many fits."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from ...tasks.errors import EpishotError
from ...tasks.splits import Protocol, Split, cell_splits
from ...tasks.task import Task
from ..base import Reads, TrainTable
from ..check_case import Case
from ..tables import cell_table, fit_context, pair_table, train_table

#: Rows at most: of the query, of the support pool, of each training cell, and of each in a method's own audit, which
#: fits once and would see more overfitting than there is in few rows.
MAX_QUERY, MAX_POOL, MAX_TRAIN, MAX_OWN_TRAIN = 1500, 1000, 1000, 10_000


@dataclass(frozen=True, eq=False)
class AuditCut:
    """The data of an audit.

    Attributes:
        case: training cells without the query's chromosomes; query, pool and cell table in shuffled order.
        seen: the same training rows, and others of the same cells on the query's own chromosomes, which share its loci.
        cell_label: labels of the rows of `case.cell_table`, -1 unknown.
        split: where it was cut from, with the rows that were kept.
    """

    case: Case
    seen: TrainTable
    cell_label: np.ndarray
    split: Split


def audit_split(task: Task, seed: int) -> Split:
    """The split with the most query positives, with at most so many rows as an audit needs.

    Raises:
        EpishotError: no fold has positives and negatives in query and support pool.
    """
    columns = task.columns
    positives = np.bincount(columns.cell[columns.label == 1], minlength=len(task.card.cells))
    cell = task.card.cells[int(np.argmax(positives))]
    splits = [
        split
        for split in cell_splits(task, Protocol.CELL_CHROM, [cell])
        if split.train_rows.size
        and all(np.unique(columns.label[rows]).size == 2 for rows in (split.query_rows, split.pool_rows))
    ]
    if not splits:
        raise EpishotError(
            f"No chromosome fold of cell {cell!r} of task {task.card.name!r} holds both classes in query and support "
            "pool; audit on a larger task."
        )
    best = max(splits, key=lambda split: int((columns.label[split.query_rows] == 1).sum()))
    rng = _stream(seed, 0)
    train = best.train_rows
    kept = [_some(train[columns.cell[train] == code], MAX_TRAIN, rng) for code in np.unique(columns.cell[train])]
    return Split(
        Protocol.CELL_CHROM,
        cell,
        best.fold,
        np.sort(np.concatenate(kept)),
        _some(best.pool_rows, MAX_POOL, rng),
        _some(best.query_rows, MAX_QUERY, rng),
    )


def cut(task: Task, split: Split, reads: Set[Reads], *, seed: int, budget: float) -> AuditCut:
    """The arrays of a split, as the runner would hand them over, with the labels beside them."""
    columns = task.columns
    rng = _stream(seed, 1)
    pool, query = rng.permutation(split.pool_rows), rng.permutation(split.query_rows)
    table = rng.permutation(np.union1d(pool, query))
    cells = np.unique(columns.cell[split.train_rows])
    others = np.setdiff1d(np.flatnonzero(np.isin(columns.cell, cells) & (columns.label >= 0)), split.train_rows)
    # Rows on the query's chromosomes are what "seen" adds; rows of other chromosomes would only be more data.
    others = others[np.isin(columns.chrom[others], np.unique(columns.chrom[query]))]
    more = [_some(others[columns.cell[others] == code], MAX_TRAIN, rng) for code in cells]
    case = Case(
        train=train_table(task, split.train_rows, reads),
        context=fit_context(task, seed=seed, budget=budget),
        pool=pair_table(task, pool, reads),
        pool_label=columns.label[pool],
        query=pair_table(task, query, reads),
        query_label=columns.label[query],
        cell_table=cell_table(task, table, reads),
    )
    seen = train_table(task, np.sort(np.concatenate([split.train_rows, *more])), reads)
    return AuditCut(case, seen, columns.label[table], split)


def own_train(task: Task, split: Split, reads: Set[Reads], seed: int) -> TrainTable:
    """The training rows of the fold that an audit was cut from, for the method's own audit."""
    splits = cell_splits(task, Protocol.CELL_CHROM, [split.cell])
    rows = next(one for one in splits if one.fold == split.fold).train_rows
    code, rng = task.columns.cell[rows], _stream(seed, 2)
    kept = [_some(rows[code == one], MAX_OWN_TRAIN, rng) for one in np.unique(code)]
    return train_table(task, np.sort(np.concatenate(kept)), reads)


def _some(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many of the rows, ascending."""
    return rows if rows.size <= most else np.sort(rng.choice(rows, most, replace=False))


def _stream(seed: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, 9000 + number]))

"""From task rows to the label-free arrays a method is given: only what it declared to read."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from functools import lru_cache

import numpy as np

from ..tasks.errors import EpishotError
from ..tasks.task import Task
from .base import FitContext, PairTable, Reads, TrainTable

_UNKNOWN_BASE = 4


def pair_table(task: Task, rows: np.ndarray, reads: Set[Reads]) -> PairTable:
    """The pairs `rows` of a task without labels, undeclared columns left out.

    A column that the whole task lacks (no features, no sequences, no distance at all) is None as well,
    whatever rows are asked for, so that training and held-out tables of one task always agree.

    Args:
        task: the task.
        rows: (n,) row numbers of its table, any order.
        reads: what the method declared.

    Returns:
        n pairs. Identities are arbitrary numbers: they tell nothing of the order of the source file. With
        `coordinates`, element and gene are shared over cells. With `context` alone they are the cell's own:
        a candidate list can be counted, but no gene can be recognised in another cell.
    """
    rows = np.asarray(rows, dtype=np.int64)
    columns = task.columns
    taken: dict[str, np.ndarray | None] = {}
    if Reads.FEATURES in reads and columns.features.shape[1]:
        taken["features"] = columns.features[rows]
    if Reads.DISTANCE in reads and not np.isnan(columns.distance).all():
        taken["distance"] = columns.distance[rows]
    if Reads.SEQUENCE in reads:
        taken["enhancer_sequence"] = _sequences(task, "enhancer", rows)
        taken["promoter_sequence"] = _sequences(task, "promoter", rows)
    if Reads.COORDINATES in reads:
        for name in ("chrom", "enhancer_start", "enhancer_end", "tss", "strand"):
            taken[name] = getattr(columns, name)[rows]
    if reads & {Reads.COORDINATES, Reads.CONTEXT}:
        scope = "task" if Reads.COORDINATES in reads else "cell"
        for name in ("element", "gene"):
            taken[name] = _identities(task, name, scope)[rows]
    return PairTable(n=rows.size, **taken)


def cell_table(task: Task, rows: np.ndarray, reads: Set[Reads]) -> PairTable:
    """All pairs of a held-out cell, for a transductive method.

    Without `context` they come without coordinates and identities: counting a gene's candidates is reading
    the candidate list, and must be declared.
    """
    return pair_table(task, rows, reads if Reads.CONTEXT in reads else set(reads) - {Reads.COORDINATES})


def train_table(task: Task, rows: np.ndarray, reads: Set[Reads]) -> TrainTable:
    """The labelled pairs `rows` of the training cells; cells are re-coded anonymously 0..n_cells-1.

    Raises:
        EpishotError: a row has no label, or there are no rows.
    """
    rows = np.asarray(rows, dtype=np.int64)
    label = task.columns.label[rows]
    if rows.size == 0 or (label < 0).any():
        problem = "no training rows" if rows.size == 0 else f"{(label < 0).sum()} training rows without a label"
        raise EpishotError(f"Task {task.card.name!r} gave {problem}; train on labelled rows only.")
    cells, cell = np.unique(task.columns.cell[rows], return_inverse=True)
    return TrainTable(pairs=pair_table(task, rows, reads), label=label, cell=cell.astype(np.int32), n_cells=cells.size)


def fit_context(task: Task, *, seed: int = 0, budget: float = 1.0) -> FitContext:
    """The `FitContext` of a task: feature names and activity columns come from its card."""
    names = task.card.feature_names
    return FitContext(
        seed=seed,
        feature_names=names,
        activity=tuple(names.index(name) for name in task.card.activity),
        budget=budget,
    )


@lru_cache(maxsize=16)
def _identities(task: Task, name: str, scope: str) -> np.ndarray:
    """Identity of every row's element or gene as a number drawn at random, equal in the whole task or cell.

    Args:
        task: the task. name: "element" or "gene".
        scope: "task", or "cell" where one gene must have another number in each cell.

    Returns:
        (n,) int32 over all rows of the task.
    """
    code = getattr(task.columns, name).astype(np.int64)
    if scope == "cell":
        code = task.columns.cell * (code.max(initial=0) + 1) + code
    distinct, inverse = np.unique(code, return_inverse=True)
    key = hashlib.sha256(f"{task.card.name} {task.card.version} {name} {scope}".encode()).digest()[:16]
    stream = np.random.Generator(np.random.Philox(key=np.frombuffer(key, dtype=np.uint64)))
    return stream.permutation(distinct.size).astype(np.int32)[inverse]


def forget_identities() -> None:
    """Let go of tasks whose identities were made."""
    _identities.cache_clear()


def _sequences(task: Task, side: str, rows: np.ndarray) -> np.ndarray | None:
    """Sequences of one length for the whole task, so that a network sees the same width everywhere."""
    codes = task.sequences(side, rows)
    if codes is None or task.card.sequence_length is None:
        return codes
    length = task.card.sequence_length[0 if side == "enhancer" else 1]
    missing = length - codes.shape[1]
    return np.pad(codes, ((0, 0), (0, max(missing, 0))), constant_values=_UNKNOWN_BASE)

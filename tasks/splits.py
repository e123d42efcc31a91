"""Cell splits: training cells, one held-out cell, and which of its rows are support pool and query.

Protocol `cell`: all rows of all other cells train; in the held-out cell the card's pool chromosomes are
the support pool and all other rows the query. Protocol `cell+chrom`: five folds of chromosomes; each is
the query of a model that saw neither the held-out cell nor the fold's chromosomes, and the support pool
is the held-out cell outside the fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from .errors import EpishotError
from .identity import LOCUS_KINDS, locus_codes, rows_sharing

if TYPE_CHECKING:
    from .task import Task


class Protocol(StrEnum):
    """What is kept apart."""

    CELL = "cell"  #: the held-out cell; loci may occur in training
    CELL_CHROM = "cell+chrom"  #: the held-out cell and the fold's chromosomes (strict)


#: Chromosome folds of `cell+chrom`, as in TransEPI (Chen et al. 2022), written without "chr".
FOLDS: tuple[tuple[str, ...], ...] = (
    ("1", "10", "15", "21"),
    ("3", "4", "7", "19", "X"),
    ("2", "9", "13", "17", "22"),
    ("12", "14", "16", "18", "20"),
    ("5", "6", "8", "11"),
)


@dataclass(frozen=True, eq=False)
class Split:
    """One held-out cell (and fold). Only labelled rows appear; all row numbers are ascending int64.

    Attributes:
        protocol: `cell` or `cell+chrom`.
        cell: the held-out cell.
        fold: chromosome fold, 0..4; always 0 under `cell`.
        train_rows: rows of the training cells.
        pool_rows: rows of the held-out cell from which supports are drawn.
        query_rows: rows of the held-out cell that are scored.
        dropped_train, dropped_pool: rows taken out of training and pool because they share a gene, element
            or 1 kb promoter bin with the query (under `cell`, training may share loci and nothing is
            taken out of it).
        unplaced: labelled rows of the held-out cell on no fold's chromosome, hence in no query (`cell+chrom`).
    """

    protocol: Protocol
    cell: str
    fold: int
    train_rows: np.ndarray
    pool_rows: np.ndarray
    query_rows: np.ndarray
    dropped_train: int = 0
    dropped_pool: int = 0
    unplaced: int = 0

    @property
    def name(self) -> str:
        """How messages call the split."""
        return self.cell if self.protocol is Protocol.CELL else f"{self.cell}, fold {self.fold}"


def cell_splits(task: Task, protocol: Protocol | str, cells: Sequence[str] | None = None) -> list[Split]:
    """All splits of a task in the order of the card's cells, then of the folds.

    Folds (under `cell`: cells) without query rows are left out. Rows without a label take no part. Cells of
    one family are held out together. Offending loci (a gene on two chromosomes, say) cost training and
    pool rows, never query rows; the split counts them.

    Args:
        task: the task.
        protocol: `cell` or `cell+chrom`.
        cells: held-out cells; all cells of the card by default.

    Raises:
        EpishotError: an unknown protocol or cell, or no chromosome to split by.
    """
    protocol = parse_protocol(protocol)
    codes = {task.cell_code(cell) for cell in (task.card.cells if cells is None else cells)}
    if (task.columns.chrom < 0).all() and len(task):
        raise EpishotError(
            f"Task {task.card.name!r} has no enhancer chromosomes, so no protocol can separate its loci: "
            "add the column enhancer_chrom."
        )
    make = _cell_split if protocol is Protocol.CELL else _fold_splits
    found = [split for code in sorted(codes) for split in make(task, code)]
    return [split for split in found if split.query_rows.size]


def parse_protocol(protocol: Protocol | str) -> Protocol:
    """The protocol of that name.

    Raises:
        EpishotError: there is none.
    """
    try:
        return Protocol(protocol)
    except ValueError:
        known = ", ".join(p.value for p in Protocol)
        raise EpishotError(f"There is no protocol {protocol!r}; choose one of {known}.") from None


def _cell_split(task: Task, code: int) -> list[Split]:
    held, training = _labelled_sides(task, code)
    pool_names = {_bare(name) for name in task.card.support_pool_chromosomes}
    in_pool = _chromosome_mask(task.columns.chromosomes, pool_names)[task.columns.chrom]
    query = np.flatnonzero(held & ~in_pool)
    pool, dropped = _apart(task, np.flatnonzero(held & in_pool), query)
    cell = task.card.cells[code]
    return [Split(Protocol.CELL, cell, 0, np.flatnonzero(training), pool, query, dropped_pool=dropped)]


def _fold_splits(task: Task, code: int) -> list[Split]:
    columns = task.columns
    held, training = _labelled_sides(task, code)
    enhancer_fold = _fold_of(columns.chromosomes)[columns.chrom]
    # A pair whose promoter's chromosome is not given counts as lying on the enhancer's.
    promoter_fold = np.where(
        columns.promoter_chrom < 0, enhancer_fold, _fold_of(columns.chromosomes)[columns.promoter_chrom]
    )
    splits = []
    for fold in range(len(FOLDS)):
        outside = (enhancer_fold >= 0) & (enhancer_fold != fold) & (promoter_fold != fold)
        query = np.flatnonzero(held & (enhancer_fold == fold))
        pool, dropped_pool = _apart(task, np.flatnonzero(held & outside), query)
        train, dropped_train = _apart(task, np.flatnonzero(training & outside), query)
        splits.append(
            Split(
                Protocol.CELL_CHROM,
                task.card.cells[code],
                fold,
                train,
                pool,
                query,
                dropped_train=dropped_train,
                dropped_pool=dropped_pool,
                unplaced=int((held & (enhancer_fold < 0)).sum()),
            )
        )
    return splits


def _labelled_sides(task: Task, code: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the labelled rows of the held-out cell and of the cells outside its family."""
    columns, card = task.columns, task.card
    family = [card.cells.index(member) for member in card.family(card.cells[code])]
    labelled = columns.label >= 0
    return labelled & (columns.cell == code), labelled & ~np.isin(columns.cell, family)


def _apart(task: Task, rows: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, int]:
    """The rows that share no locus with the query, and how many were dropped."""
    codes = locus_codes(task)
    shared = np.zeros(rows.size, dtype=bool)
    for kind in LOCUS_KINDS:
        shared |= rows_sharing(codes[kind], rows, query)
    return rows[~shared], int(shared.sum())


def _bare(name: str) -> str:
    """Chromosome name without the "chr" of UCSC-style tables."""
    return name[3:] if name[:3].lower() == "chr" else name


def _chromosome_mask(chromosomes: Sequence[str], wanted: set[str]) -> np.ndarray:
    """(C + 1,) bool by chromosome code; the last slot is what code -1 (missing) hits."""
    return np.array([*(_bare(name) in wanted for name in chromosomes), False], dtype=bool)


def _fold_of(chromosomes: Sequence[str]) -> np.ndarray:
    """(C + 1,) fold by chromosome code, -1 outside all folds and for code -1."""
    fold = {name: number for number, names in enumerate(FOLDS) for name in names}
    return np.array([*(fold.get(_bare(name), -1) for name in chromosomes), -1], dtype=np.int64)

"""The overlap audit: proof that a split keeps apart what its protocol promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .errors import OverlapError
from .identity import LOCUS_KINDS, locus_codes, rows_sharing
from .splits import Protocol

if TYPE_CHECKING:
    from .splits import Split
    from .task import Task

_EXAMPLE_COLUMN = {"gene": "gene_id", "element": "enhancer_id"}


def audit_overlap(task: Task, split: Split) -> None:
    """Check that no gene, element or 1 kb promoter bin is shared by what the protocol keeps apart.

    Support pool and query are kept apart under both protocols, training and query under `cell+chrom`.
    Under every protocol the query is also kept out of training and pool row by row, and all cells of
    the held-out cell's family out of training. A missing identity is never shared.

    Raises:
        OverlapError: naming what is shared, an example and the count.
    """
    _audit_cells(task, split)
    _audit_side(task, split, split.pool_rows, "support pool", tuple(LOCUS_KINDS))
    strict = tuple(LOCUS_KINDS) if split.protocol is Protocol.CELL_CHROM else ()
    _audit_side(task, split, split.train_rows, "training", strict)


def shared_loci(task: Task, split: Split) -> dict[str, float]:
    """Shares (0..1) of the query rows whose gene, element, promoter bin or enhancer-gene pair is in training.

    Returns:
        "gene", "element", "promoter_bin", "pair" -> share; all 0 under `cell+chrom`.
    """
    return {
        kind: float(rows_sharing(codes, split.query_rows, split.train_rows).mean())
        for kind, codes in locus_codes(task).items()
    }


def _audit_cells(task: Task, split: Split) -> None:
    card, cell = task.card, task.columns.cell
    held = task.cell_code(split.cell)
    for rows, side in ((split.pool_rows, "support pool"), (split.query_rows, "query")):
        if (cell[rows] != held).any():
            raise OverlapError(f"Split {split.name}: the {side} has rows of another cell; rebuild the split.")
    family = [card.cells.index(member) for member in card.family(split.cell)]
    inside = np.isin(cell[split.train_rows], family)
    if inside.any():
        member = card.cells[cell[split.train_rows[int(np.argmax(inside))]]]
        raise OverlapError(
            f"Split {split.name}: {int(inside.sum())} training row(s) come from {member}, which the task card "
            "holds out; rebuild the split."
        )


def _audit_side(task: Task, split: Split, rows: np.ndarray, side: str, kinds: tuple[str, ...]) -> None:
    queried = np.zeros(len(task), dtype=bool)
    queried[split.query_rows] = True
    same = rows[queried[rows]]
    if same.size:
        raise OverlapError(
            f"Split {split.name}: {same.size} row(s) are in both {side} and query (row {same[0]}, "
            f"pair {task.table['pair_id'][int(same[0])].as_py()!r}); rebuild the split."
        )
    for kind in kinds:
        codes = locus_codes(task)[kind]
        shared = rows_sharing(codes, rows, split.query_rows)
        if shared.any():
            row = int(rows[int(np.argmax(shared))])
            distinct = np.unique(codes[rows[shared]]).size
            raise OverlapError(
                f"Split {split.name}: {side} and query share {distinct} {LOCUS_KINDS[kind]}(s), e.g. "
                f"{_example(task, kind, row)}, in {int(shared.sum())} {side} row(s); drop these rows from the "
                f"{side} (`cell_splits` does) or correct the identities in the EP table."
            )


def _example(task: Task, kind: str, row: int) -> str:
    if kind in _EXAMPLE_COLUMN:
        return repr(task.table[_EXAMPLE_COLUMN[kind]][row].as_py())
    columns = task.columns
    start = int(columns.tss[row]) // 1000 * 1000
    return f"{columns.chromosomes[columns.promoter_chrom[row]]}:{start}-{start + 1000}"

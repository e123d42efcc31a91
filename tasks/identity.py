"""When do two EP pairs share a locus? If they share the gene, the element or the 1 kb promoter bin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from .task import Task

#: What support and query may not have in common, with the word used in messages.
LOCUS_KINDS: Mapping[str, str] = {"gene": "gene", "element": "element", "promoter_bin": "1 kb promoter bin"}

_CACHE: WeakKeyDictionary[Task, Mapping[str, np.ndarray]] = WeakKeyDictionary()


def locus_codes(task: Task) -> Mapping[str, np.ndarray]:
    """Identity of each row's gene, element and promoter bin, and of its enhancer-gene pair.

    Returns:
        "gene", "element", "promoter_bin", "pair" -> (n,) int32 codes, dense from 0, shared over cells; -1
        where the source has no value. A missing identity is never equal to another missing one.
    """
    if task not in _CACHE:
        columns = task.columns
        gene = _without_blanks(task, "gene_id", columns.gene)
        element = _without_blanks(task, "enhancer_id", columns.element)
        pair = np.where((gene < 0) | (element < 0), -1, columns.pair)
        _CACHE[task] = {
            "gene": gene,
            "element": element,
            "promoter_bin": _dense(columns.promoter_bin),
            "pair": pair.astype(np.int32),
        }
    return _CACHE[task]


def rows_sharing(codes: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of `rows` have an identity that occurs among `others`; (len(rows),) bool.

    Args:
        codes: (n,) int32 identities as in `locus_codes`; negative ones are never shared.
        rows, others: row numbers.
    """
    # One spare slot at the end takes the missing code -1 and is cleared again.
    seen = np.zeros(int(codes.max(initial=-1)) + 2, dtype=bool)
    seen[codes[others]] = True
    seen[-1] = False
    return seen[codes[rows]]


def _without_blanks(task: Task, column: str, codes: np.ndarray) -> np.ndarray:
    """The codes with -1 where the source's text is empty."""
    import pyarrow.compute as pc

    blank = pc.equal(pc.binary_length(task.table[column]), 0).to_numpy()
    return np.where(blank, -1, codes).astype(np.int32)


def _dense(codes: np.ndarray) -> np.ndarray:
    """Renumber sparse codes from 0 and keep -1."""
    values, dense = np.unique(codes, return_inverse=True)
    return (dense - int(np.searchsorted(values, 0))).clip(min=-1).astype(np.int32)

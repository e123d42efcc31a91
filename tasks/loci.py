"""Locus clusters: enhancers so close together that their pairs are not independent evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .identity import locus_codes

if TYPE_CHECKING:
    from .task import Task

GAP_BP = 25_000


def locus_clusters(task: Task, rows: np.ndarray, gap_bp: int = GAP_BP) -> np.ndarray:
    """Single-linkage clusters of enhancers whose intervals are at most `gap_bp` apart, per chromosome.

    A row without enhancer coordinates belongs to the cluster of its gene (of its own, if it has none).
    Only the given rows link clusters to each other.

    Args:
        task: the task.
        rows: (m,) row numbers, in any order.
        gap_bp: largest gap in bp between the end of one enhancer and the start of the next.

    Returns:
        (m,) int64 cluster numbers from 0 without gaps: along the genome first, then genes, then single rows.
    """
    columns = task.columns
    rows = np.asarray(rows, dtype=np.int64)
    chrom = columns.chrom[rows].astype(np.int64)
    start, end = columns.enhancer_start[rows], columns.enhancer_end[rows]
    placed = np.flatnonzero((chrom >= 0) & (start >= 0) & (end >= 0))
    # One sort by (chromosome, start); a cluster ends where the next start lies beyond the furthest end so far.
    order = placed[np.lexsort((start[placed], chrom[placed]))]
    sorted_chrom = chrom[order]
    # Shifting each chromosome past the previous one makes one running maximum serve all of them.
    offset = sorted_chrom * (int(end.max(initial=0)) + gap_bp + 2)
    reach = np.maximum.accumulate(end[order] + offset)
    first = np.ones(order.size, dtype=bool)
    first[1:] = (start[order][1:] + offset[1:] > reach[:-1] + gap_bp) | (np.diff(sorted_chrom) != 0)
    cluster = np.full(rows.size, -1, dtype=np.int64)
    cluster[order] = np.cumsum(first) - 1
    unplaced = np.flatnonzero(cluster < 0)
    if unplaced.size:
        gene = locus_codes(task)["gene"][rows[unplaced]].astype(np.int64)
        unknown = gene < 0
        gene[unknown] = gene.max(initial=0) + 1 + np.arange(unknown.sum())
        cluster[unplaced] = int(first.sum()) + np.unique(gene, return_inverse=True)[1]
    return cluster

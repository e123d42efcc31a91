"""Loci of training pairs: what is kept apart between support and query, and out of the encoder's training."""

from __future__ import annotations

import numpy as np

from ...base import PairTable


def locus_groups(pairs: PairTable) -> np.ndarray:
    """The coarsest known locus of each pair: its chromosome, else its gene, else its element, else its row.

    Rows of one enhancer-gene pair carry identical labels, so a split by rows would show the query's labels
    in the support. Coordinates are read for this split only, never as an input of the model.

    Returns:
        (n,) int64 codes 0..G-1 with G >= 2 (unless there is one pair).
    """
    for column in (pairs.chrom, pairs.gene, pairs.element):
        if column is not None:
            codes = np.unique(column, return_inverse=True)[1].astype(np.int64)
            if codes.max(initial=0) > 0:
                return codes
    return np.arange(pairs.n, dtype=np.int64)


def reserve(groups: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Choose whole groups, at random, that hold about `share` of the rows.

    Returns:
        (n,) bool, True for the chosen rows; nothing where a group is too large for the share.
    """
    sizes = np.bincount(groups)
    chosen = np.zeros(sizes.size, dtype=bool)
    wanted, taken = share * groups.size, 0
    for group in rng.permutation(sizes.size):
        if taken < wanted and taken + sizes[group] <= 1.5 * wanted:
            chosen[group] = True
            taken += int(sizes[group])
    return chosen[groups]

"""Swap AUC: the same enhancer-gene pair, two held-out cells, different labels. Does the score order them?

A per-pair prior cannot (it gives both cells the same score: 1/2); only what differs between the cells can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .query_facts import QueryFacts

#: Below this many pairs swap AUC is undefined.
MIN_PAIRS = 50


class Swaps(NamedTuple):
    """All comparisons of a set of queries, by position in the concatenated collapsed queries.

    Attributes:
        positive, negative: (m,) int64 positions of a pair where it interacts and where it does not.
        weight: (m,) float64: 1 / comparisons of that pair, so that each enhancer-gene pair counts once.
        pairs: number of enhancer-gene pairs with at least one comparison.
    """

    positive: np.ndarray
    negative: np.ndarray
    weight: np.ndarray
    pairs: int


def find_swaps(queries: Sequence[QueryFacts]) -> Swaps:
    """Every (pair, cell where it is positive, cell where it is negative).

    Args:
        queries: facts of all folds of all held-out cells; a pair occurs at most once per cell.
    """
    codes = np.concatenate([query.collapse.codes for query in queries] or [np.empty(0, dtype=np.int64)])
    labels = np.concatenate([query.collapse.labels for query in queries] or [np.empty(0, dtype=np.int8)])
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.append(True, np.diff(codes[order]) != 0)) if codes.size else np.empty(0, int)
    positive, negative, weight, pairs = [], [], [], 0
    for places in np.split(order, bounds[1:]):
        hit, miss = places[labels[places] == 1], places[labels[places] != 1]
        if hit.size and miss.size:
            positive.append(np.repeat(hit, miss.size))
            negative.append(np.tile(miss, hit.size))
            weight.append(np.full(hit.size * miss.size, 1.0 / (hit.size * miss.size)))
            pairs += 1
    if not pairs:
        return Swaps(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), 0)
    return Swaps(np.concatenate(positive), np.concatenate(negative), np.concatenate(weight), pairs)


def swap_auc(swaps: Swaps, queries: Sequence[QueryFacts], scores: Sequence[np.ndarray]) -> np.ndarray:
    """Share of comparisons in which the interacting copy scores higher (ties 1/2), mean over pairs.

    Args:
        swaps: comparisons found in `queries`.
        scores: per query (R, n_query): logits, or within-episode quantiles.

    Returns:
        (R,) float64; NaN below 50 pairs.
    """
    if swaps.pairs < MIN_PAIRS:
        return np.full(scores[0].shape[0], np.nan)
    collapsed = np.concatenate([query.collapse(part) for query, part in zip(queries, scores, strict=True)], axis=1)
    difference = collapsed[:, swaps.positive] - collapsed[:, swaps.negative]
    return ((np.sign(difference) + 1.0) / 2.0) @ swaps.weight / swaps.pairs


def quantiles(scores: np.ndarray) -> np.ndarray:
    """Within-episode quantiles: mean rank (ties shared) / n of each row of (R, n) scores."""
    from scipy.stats import rankdata

    return rankdata(scores, method="average", axis=1) / scores.shape[1]

"""Average precision: tie-exact, batched over score vectors that share one set of labels.

AP = (1/P) sum over positives i of TP(s_i) / N(s_i), where TP and N count the positives and the rows that
score at least s_i. That is scikit-learn's step-wise definition (sum over thresholds of recall gain x
precision), written over positives, so that one sort per vector is all it costs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .reasons import undefined

#: Elements sorted at a time: a few MB, so that the passes after the sort stay in cache.
_CHUNK = 1 << 18


class PositiveRanks(NamedTuple):
    """Where the P positives stand in each of E rankings, best first; everything ranking metrics need.

    Attributes:
        n: rows per ranking.
        at_least: (E, P) int64 number of rows that score at least as high as the positive (itself included).
        above: (E, P) int64 number of rows that score strictly higher.
        true_at_least: (E, P) int64 number of positives that score at least as high.
    """

    n: int
    at_least: np.ndarray
    above: np.ndarray
    true_at_least: np.ndarray


def positive_ranks(scores: np.ndarray, labels: np.ndarray) -> PositiveRanks:
    """Rank the positives of each score vector.

    Args:
        scores: (E, n) finite floats, larger = more likely positive.
        labels: (n,) 0 / 1.

    Raises:
        ValueError: shapes disagree, or a score is not finite.
    """
    scores, positive = _checked(scores, labels)
    n_episodes, n = scores.shape
    n_positive = int(positive.sum())
    out = PositiveRanks(n, *(np.empty((n_episodes, n_positive), dtype=np.int64) for _ in range(3)))
    step = max(1, _CHUNK // max(n, 1))
    for start in range(0, n_episodes, step):
        part = slice(start, min(start + step, n_episodes))
        _rank_into(out, part, scores[part], positive)
    return out


def _rank_into(out: PositiveRanks, part: slice, scores: np.ndarray, positive: np.ndarray) -> None:
    rows = scores.shape[0]
    n_positive = out.at_least.shape[1]
    order = np.argsort(-scores, axis=1)
    # Positions (0 = best) of the positives; each row of the ranking holds exactly P of them.
    place = np.nonzero(positive[order])[1].reshape(rows, n_positive)
    counting = np.arange(1, n_positive + 1)
    ranked = np.take_along_axis(scores, order, axis=1)
    tied = ranked[:, 1:] == ranked[:, :-1]
    if not tied.any():
        out.at_least[part] = place + 1
        out.above[part] = place
        out.true_at_least[part] = counting
        return
    first, last = _tie_group_bounds(tied)
    out.above[part] = np.take_along_axis(first, place, axis=1)
    out.at_least[part] = np.take_along_axis(last, place, axis=1) + 1
    ends = out.at_least[part]
    if n_positive:
        out.true_at_least[part] = _tie_group_bounds(ends[:, 1:] == ends[:, :-1])[1] + 1


def _tie_group_bounds(tied_with_previous: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last index of the tie group at each of m + 1 places, from (E, m) ties of neighbours."""
    rows, m = tied_with_previous.shape
    index = np.arange(m + 1)
    first = np.zeros((rows, m + 1), dtype=np.int64)
    np.copyto(first[:, 1:], index[1:], where=~tied_with_previous)
    np.maximum.accumulate(first, axis=1, out=first)
    last = np.full((rows, m + 1), m, dtype=np.int64)
    np.copyto(last[:, :-1], index[:-1], where=~tied_with_previous)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    return first, last


def average_precision(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve (step-wise), one value per score vector.

    Args:
        scores: (E, n) finite floats, larger = more likely positive.
        labels: (n,) 0 / 1.

    Returns:
        (E,) float64 in (0, 1]; NaN where `undefined` gives a reason (P = 0, P = n, n < 2).

    Raises:
        ValueError: shapes disagree, or a score is not finite.
    """
    scores, positive = _checked(scores, labels)
    if undefined(positive.size, int(positive.sum())):
        return np.full(scores.shape[0], np.nan)
    return average_precision_of(positive_ranks(scores, positive))


def average_precision_of(ranks: PositiveRanks) -> np.ndarray:
    """Average precision (E,) from ranks of P >= 1 positives."""
    return (ranks.true_at_least / ranks.at_least).mean(axis=1)


def weighted_average_precision(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision of weighted rows: TP and N become sums of weights.

    Args:
        scores: (E, n) finite floats. labels: (n,) 0 / 1. weights: (n,) >= 0.

    Returns:
        (E,) float64; NaN where the positives or the negatives have no weight.

    Raises:
        ValueError: shapes disagree, a score is not finite, or a weight is negative.
    """
    scores, positive = _checked(scores, labels)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != positive.shape or not (weights >= 0).all():
        raise ValueError("weights must be (n,) and not negative")
    # Rows without weight change nothing; without them every precision below is defined.
    keep = weights > 0
    scores, positive, weights = scores[:, keep], positive[keep], weights[keep]
    total = weights[positive].sum()
    out = np.full(scores.shape[0], np.nan)
    if total == 0 or positive.all():
        return out
    for e, row in enumerate(scores):
        order = np.argsort(-row)
        ranked, weight = row[order], weights[order]
        true = np.where(positive[order], weight, 0.0)
        ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), ranked.size - 1)
        hits = np.cumsum(true)[ends]
        precision = hits / np.cumsum(weight)[ends]
        out[e] = (np.diff(hits, prepend=0.0) * precision).sum() / total
    return out


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores = np.asarray(scores, dtype=np.float64)
    positive = np.asarray(labels) == 1
    if scores.ndim != 2 or positive.shape != scores.shape[1:]:
        raise ValueError(f"scores {scores.shape} and labels {positive.shape} must be (E, n) and (n,)")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    return scores, positive

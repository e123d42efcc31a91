"""Ranking metrics beside average precision, all from the ranks of the positives and all tie-exact."""

from __future__ import annotations

import numpy as np

from .average_precision import PositiveRanks


def auroc(ranks: PositiveRanks) -> np.ndarray:
    """Area under the ROC curve: P(positive above negative) + P(tie) / 2.

    Args:
        ranks: ranks of 1 <= P < n positives in E rankings.

    Returns:
        (E,) float64.
    """
    n_positive = ranks.above.shape[1]
    n_negative = ranks.n - n_positive
    # Mean rank from the bottom, ties shared; then the Mann-Whitney count.
    from_bottom = ranks.n - (ranks.above + ranks.at_least - 1) / 2.0
    wins = from_bottom.sum(axis=1) - n_positive * (n_positive + 1) / 2.0
    return wins / (n_positive * n_negative)


def precision_at_recall(ranks: PositiveRanks, percent: int = 70) -> np.ndarray:
    """Precision at the highest threshold that finds at least `percent` % of the positives.

    Args:
        ranks: ranks of P >= 1 positives in E rankings.
        percent: recall in percent, 1..100 (an integer, so that the comparison is exact).

    Returns:
        (E,) float64.
    """
    n_positive = ranks.above.shape[1]
    needed = -(-percent * n_positive // 100)
    # Positives are ordered best first: the needed-th one sits in the tie group that reaches the recall.
    at = max(needed, 1) - 1
    return ranks.true_at_least[:, at] / ranks.at_least[:, at]


def f1_at_share(ranks: PositiveRanks, share: float) -> np.ndarray:
    """F1 when the best `share` of the rows are called positive.

    Where the border falls into a tie group, its rows are taken at random: F1 is linear in the true
    positives, so the expectation over that choice is exact.

    Args:
        ranks: ranks of P >= 1 positives in E rankings.
        share: predicted-positive share in [0, 1], rounded to whole rows (at least one).

    Returns:
        (E,) float64.
    """
    n_positive = ranks.above.shape[1]
    called = min(max(1, round(share * ranks.n)), ranks.n)
    size = ranks.at_least - ranks.above
    found = np.clip((called - ranks.above) / size, 0.0, 1.0).sum(axis=1)
    return 2.0 * found / (called + n_positive)

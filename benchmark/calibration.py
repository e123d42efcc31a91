"""Metrics of probabilities, for methods whose scores are logits."""

from __future__ import annotations

import numpy as np

ECE_BINS = 15


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Logistic function, without overflow."""
    from scipy.special import expit

    return expit(logits)


def brier(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean squared error of the probabilities.

    Args:
        probability: (E, n) in [0, 1]. labels: (n,) 0 / 1.

    Returns:
        (E,) float64.
    """
    return np.square(probability - labels).mean(axis=1)


def expected_calibration_error(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """ECE over 15 equal-width bins: sum over bins of (n_b / n) |mean label - mean probability|.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, eq. 3.

    Args:
        probability: (E, n) in [0, 1]. labels: (n,) 0 / 1.

    Returns:
        (E,) float64.
    """
    n_episodes, n = probability.shape
    bins = np.minimum((probability * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    out = np.empty(n_episodes)
    for e in range(n_episodes):
        gap = np.bincount(bins[e], weights=labels - probability[e], minlength=ECE_BINS)
        out[e] = np.abs(gap).sum() / n
    return out


def f1_at_half(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """F1 of calling positive what has probability >= 1/2, that is logit >= 0.

    Args:
        logits: (E, n). labels: (n,) 0 / 1 with at least one positive.

    Returns:
        (E,) float64, 0 where nothing true is called.
    """
    called = logits >= 0
    found = (called & (labels == 1)).sum(axis=1)
    return 2.0 * found / (called.sum(axis=1) + (labels == 1).sum())

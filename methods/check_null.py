"""The permutation distribution of AUPR: what a method may reach on labels that mean nothing."""

from __future__ import annotations

import numpy as np

PERMUTATIONS = 1999


def permutation_p(scores: np.ndarray, label: np.ndarray, seed: int) -> float:
    """One-sided p-value of the mean average precision of (E, n) scores under permuted (n,) labels."""
    rng = np.random.Generator(np.random.Philox(seed))
    labels = np.stack([label, *(rng.permutation(label) for _ in range(PERMUTATIONS))])
    precision = np.mean([average_precisions(row, labels) for row in scores], axis=0)
    return float((precision >= precision[0] - 1e-12).mean())


def average_precisions(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tie-exact average precision of (n,) scores against each of (B, n) labellings; (B,)."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(labels[:, order], axis=1, dtype=np.float64)[:, ends]
    gained = np.diff(hits, axis=1, prepend=0.0)
    return (gained * hits / (ends + 1)).sum(axis=1) / hits[:, -1]

"""The tests by which an audit decides: exact under exchangeability, so that their level is what it says."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ..check_null import average_precisions
from ..features import cell_ranks

#: Level of a test on which a finding rests.
LEVEL = 0.01
FLIPS = 9999


def auprs(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Average precision of each row of (E, n) scores; (E,)."""
    return np.array([average_precisions(row, label[None])[0] for row in scores])


def sign_flip_p(differences: np.ndarray, seed: int = 0) -> float:
    """One-sided p-value that (R,) paired differences are positive on average: signs flipped at random."""
    rng = np.random.Generator(np.random.Philox(key=[seed, 4711]))
    signs = rng.choice((-1.0, 1.0), size=(FLIPS, differences.size))
    observed = float(differences.mean())
    reached = int(((signs @ differences) / differences.size >= observed - 1e-12).sum())
    return (1 + reached) / (1 + FLIPS)


def two_sample_p(one: np.ndarray, other: np.ndarray) -> float:
    """p-value that two groups of vectors, (m, n) each, have one distribution: energy distance, all regroupings.

    Its smallest value is 2 / C(2m, m): 0.0079 for m = 5.
    """
    both = np.concatenate([one, other])
    m = len(one)
    distance = np.sqrt(np.maximum(((both[:, None] - both[None]) ** 2).sum(axis=2), 0.0))

    def energy(first: tuple[int, ...]) -> float:
        a = list(first)
        b = [i for i in range(2 * m) if i not in first]
        within = distance[np.ix_(a, a)].sum() + distance[np.ix_(b, b)].sum()
        return float(2 * distance[np.ix_(a, b)].sum() - within)

    observed = energy(tuple(range(m)))
    found = [energy(chosen) for chosen in combinations(range(2 * m), m)]
    return float(np.mean([value >= observed - 1e-9 for value in found]))


def share_explained(scores: np.ndarray, groups: np.ndarray) -> float:
    """Share of the variance of (n,) scores that lies between groups; 0 for constant scores."""
    total = float(scores.var())
    if total <= 1e-24:
        return 0.0
    _, code = np.unique(groups, return_inverse=True)
    mean = np.bincount(code, weights=scores) / np.bincount(code)
    return 1.0 - float(np.mean((scores - mean[code]) ** 2)) / total


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """The larger of the Pearson and Spearman correlations of two (n,) score vectors; 0 if either is constant."""
    if min(float(one.std()), float(other.std())) <= 1e-12:
        return 0.0
    first, second = (cell_ranks(values[:, None], values[:, None])[:, 0] for values in (one, other))
    return float(max(np.corrcoef(one, other)[0, 1], np.corrcoef(first, second)[0, 1]))


def standing(value: float, others: np.ndarray) -> float:
    """By how many standard deviations a value lies above others of the same kind."""
    return float((value - others.mean()) / max(float(others.std(ddof=1)), 1e-9))

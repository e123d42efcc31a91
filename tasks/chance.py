"""What a ranker without any knowledge scores: the exact expectation of average precision."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=4096)
def chance_aupr(n: int, positives: int) -> float:
    """Expected average precision of a uniformly random order of n pairs, P of them positive.

    E = [H_n + (P - 1)/(n - 1) (n - H_n)] / n with the harmonic number H_n = sum 1/i. It is above the
    prevalence P/n, and much so for few pairs (n = 64, P = 6: .147 against .094).

    Args:
        n: pairs, >= 1.
        positives: P, 0..n.

    Returns:
        E in (0, 1]; 1 for P = n; NaN for P = 0, where average precision is undefined.

    Raises:
        ValueError: n < 1 or P outside 0..n.
    """
    if n < 1 or not 0 <= positives <= n:
        raise ValueError(f"chance AUPR needs n >= 1 and 0 <= positives <= n; got n = {n}, positives = {positives}")
    if positives == 0:
        return math.nan
    if positives == n:
        return 1.0
    return float(chance_auprs(np.array([n]), np.array([positives]))[0])


def chance_auprs(n: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """`chance_aupr` of many queries at once, without the special cases.

    Args:
        n: (B,) pairs, >= 2. positives: (B,) P, 1..n.

    Returns:
        (B,) float64.
    """
    from scipy.special import digamma

    harmonic = digamma(n + 1.0) + np.euler_gamma
    return (harmonic + (positives - 1.0) / (n - 1.0) * (n - harmonic)) / n

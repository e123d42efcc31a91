"""Exact P(y=1) given all that a method may read, by one-dimensional quadrature.

Given sequence, distance, cell and measured features, the quantity V that enters the coupling (U itself, or
U plus the bilinear term) is Gaussian with known mean and variance, so

    P(y=1 | x, c) = integral of sigma(logit_c(v)) N(v; mean, sd^2) dv,

a smooth integrand on which Gauss-Hermite quadrature converges geometrically.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit

NODES = 64


def expected_probability(
    logit: Callable[[np.ndarray], np.ndarray], mean: np.ndarray, sd: float, nodes: int = NODES
) -> np.ndarray:
    """E[sigma(logit(V))] for V ~ N(mean, sd^2), for each of n means.

    Args:
        logit: elementwise function of an array of any shape.
        mean: (n,) means of V.
        sd: standard deviation of V.
        nodes: number of Gauss-Hermite nodes.

    Returns:
        (n,) float64 in (0, 1).
    """
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    values = mean[:, None] + sd * points[None, :]
    return expit(logit(values)) @ (weights / weights.sum())

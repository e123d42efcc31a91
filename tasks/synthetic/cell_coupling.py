"""What a cell's coupling is made of: the logit as a function of U, and what chance decides of it.

U has mean 0 and variance 1 in every cell. Where a coupling is affine in U, its canonical form is
logit = a(c) U + b(c); a and b are then the only identifiable quantities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from .ceiling import NODES, expected_probability
from .settings import Settings

Logit = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class CellCoupling:
    """Coupling of one cell.

    Attributes:
        logit: elementwise logit as a function of V (= U, or U plus the bilinear term).
        slope, offset: canonical a(c), b(c); NaN where the logit is not affine.
        embedding: (2,) e(c) of the bilinear term, zero without one.
        parameters: the coupling's own parameters by name.
    """

    logit: Logit
    slope: float
    offset: float
    embedding: np.ndarray = field(default_factory=lambda: np.zeros(2))
    parameters: dict[str, float] = field(default_factory=dict)


class Line(NamedTuple):
    """A straight line slope U + offset that stands for a logit."""

    slope: float
    offset: float


class Draw(NamedTuple):
    """What chance decides of a cell's coupling.

    Attributes:
        offset: logits added to the typical offset.
        height: standard normal number behind slope, gate, resistance or half point.
        openness: openness of the chromatin; open means a low temperature where T depends on c.
        angle: direction of e(c) in radians.
    """

    offset: float
    height: float
    openness: float
    angle: float


def balanced_offset(slope: float, prevalence: float, sd: float = 1.0) -> float:
    """b with E[sigma(slope V + b)] = prevalence for V ~ N(0, sd^2)."""
    return solve(lambda b: lambda v: slope * v + b, prevalence, sd)


def solve(family: Callable[[float], Logit], prevalence: float, sd: float = 1.0) -> float:
    """Parameter t with E[sigma(family(t)(V))] = prevalence for V ~ N(0, sd^2)."""
    centre = np.zeros(1)

    def excess(parameter: float) -> float:
        return float(expected_probability(family(parameter), centre, sd)[0]) - prevalence

    return float(brentq(excess, -60.0, 60.0, xtol=1e-12))


def affine(slope: float, offset: float, **parameters: float) -> CellCoupling:
    """logit = slope U + offset."""
    return CellCoupling(lambda u: slope * u + offset, slope, offset, parameters=parameters)


def slope_of(settings: Settings, drawn: Draw) -> float:
    """Log-normal slope with mean `slope` and standard deviation `slope_sd` over cells."""
    spread = np.sqrt(np.log1p((settings.slope_sd / settings.slope) ** 2))
    return float(settings.slope * np.exp(spread * drawn.height - spread**2 / 2))


def linearise(logit: Logit, nodes: int = NODES) -> Line:
    """Statistical linearisation: the line nearest to F(U) in mean square for U ~ N(0, 1).

    Its slope is E[U F(U)] = E[F'(U)] (Stein's lemma), its offset E[F(U)]; by Gauss-Hermite quadrature, and exact
    where F is affine.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    value = logit(points)
    return Line(float((weights * points) @ value), float(weights @ value))

"""The true couplings: how the intrinsic potential U and the cell form the logit of P(y=1 | x, c).

U has mean 0 and variance 1 in every cell. Where a coupling is affine in U, its canonical form is
logit = a(c) U + b(c); a and b are then the only identifiable quantities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from .ceiling import expected_probability
from .nuisance import OFFSET_PER_CODE, codes
from .settings import Coupling, Nuisance, Settings
from .streams import spread_normal, spread_uniform

Logit = Callable[[np.ndarray], np.ndarray]

#: Strength of the bilinear term, in standard deviations of U.
BILINEAR = 1.0
_HILL_POWER = 3.0


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


def couplings(settings: Settings, openness: np.ndarray) -> list[CellCoupling]:
    """Draw the coupling of every cell.

    Args:
        settings: settings of the simulation.
        openness: (C,) openness of the cells; open chromatin has a low temperature where T depends on c.
    """
    n = settings.cells
    offset = settings.offset_sd * spread_normal(settings.seed, "offset", n)
    if settings.nuisance is Nuisance.SHORTCUT:
        offset = OFFSET_PER_CODE * codes(settings.seed, n)
    height = spread_normal(settings.seed, "slope", n)
    build = _BUILDERS[settings.coupling]
    return [build(settings, index, offset[index], height[index], openness[index]) for index in range(n)]


def balanced_offset(slope: float, prevalence: float, sd: float = 1.0) -> float:
    """b with E[sigma(slope V + b)] = prevalence for V ~ N(0, sd^2)."""
    return _solve(lambda b: lambda v: slope * v + b, prevalence, sd)


def _solve(family: Callable[[float], Logit], prevalence: float, sd: float = 1.0) -> float:
    centre = np.zeros(1)

    def excess(parameter: float) -> float:
        return float(expected_probability(family(parameter), centre, sd)[0]) - prevalence

    return float(brentq(excess, -60.0, 60.0, xtol=1e-12))


def _affine(slope: float, offset: float, **parameters: float) -> CellCoupling:
    return CellCoupling(lambda u: slope * u + offset, slope, offset, parameters=parameters)


def _additive(settings: Settings, index: int, offset: float, height: float, openness: float) -> CellCoupling:
    """Additive energy: (U - R(c)) / T, one T; the resistance R >= 0 only suppresses."""
    temperature = 1.0 / settings.slope
    typical = -balanced_offset(settings.slope, settings.prevalence) * temperature
    resistance = max(0.0, typical - offset * temperature)
    return _affine(settings.slope, -resistance / temperature, R=resistance, T=temperature)


def _multiplicative(
    settings: Settings, index: int, offset: float, height: float, openness: float
) -> CellCoupling:
    """Multiplicative modulation: (M(c) U + B(c)) / T(c), M > 0, T > 0; a = M/T, b = B/T.

    Slopes are log-normal with mean `slope` and standard deviation `slope_sd`.
    """
    spread = np.sqrt(np.log1p((settings.slope_sd / settings.slope) ** 2))
    slope = float(settings.slope * np.exp(spread * height - spread**2 / 2))
    offset = balanced_offset(slope, settings.prevalence) + offset
    temperature = float(np.exp(-0.3 * openness))
    return _affine(slope, offset, M=slope * temperature, B=offset * temperature, T=temperature)


def _gate(settings: Settings, index: int, offset: float, height: float, openness: float) -> CellCoupling:
    """Gate: s sigma(R(c)) softplus(U) - t; a closed gate blocks, since the gated potential is positive."""
    gain = 2.0 * settings.slope

    def gated(openness: float) -> Callable[[float], Logit]:
        share = expit(1.5 + 0.35 * openness)
        return lambda threshold: lambda u: gain * share * np.logaddexp(0.0, u) - threshold

    threshold = _solve(gated(0.0), settings.prevalence)
    return CellCoupling(
        gated(height)(threshold), np.nan, np.nan, parameters={"R": 1.5 + 0.35 * height, "t": threshold}
    )


def _saturating(settings: Settings, index: int, offset: float, height: float, openness: float) -> CellCoupling:
    """Saturating suppression: (U - u0) / (1 + R(c)) / T with R >= 0: a temperature of the cell's own."""
    resistance = float(np.clip(0.4 + 0.25 * height, 0.0, None))
    temperature = 1.0 / (1.4 * settings.slope)
    origin = -balanced_offset(settings.slope, settings.prevalence) / settings.slope
    slope = 1.0 / (1.0 + resistance) / temperature
    return _affine(slope, -origin * slope, R=resistance, T=temperature, u0=origin)


def _hill(settings: Settings, index: int, offset: float, height: float, openness: float) -> CellCoupling:
    """Hill: s (h - h0), h = U+^n / (U+^n + K(c)^n), U+ = softplus(U), n = 3; bounded on both sides."""
    gain = 3.5 * settings.slope

    def occupied(half: float) -> Callable[[float], Logit]:
        def family(threshold: float) -> Logit:
            def logit(u: np.ndarray) -> np.ndarray:
                power = np.logaddexp(0.0, u) ** _HILL_POWER
                return gain * power / (power + half**_HILL_POWER) - threshold

            return logit

        return family

    threshold = _solve(occupied(1.2), settings.prevalence)
    half = float(1.2 * np.exp(0.08 * height))
    return CellCoupling(
        occupied(half)(threshold), np.nan, np.nan, parameters={"K": half, "h0": threshold / gain}
    )


def _xdependent(settings: Settings, index: int, offset: float, height: float, openness: float) -> CellCoupling:
    """Low-rank bilinear: (U + z^T W e(c) - R(c)) / T with rank 2 and |e(c)| = 1."""
    sd = float(np.hypot(1.0, BILINEAR))
    slope = settings.slope / sd
    resistance = max(0.0, -(balanced_offset(slope, settings.prevalence, sd) + offset) / slope)
    angle = 2 * np.pi * spread_uniform(settings.seed, "angle", settings.cells)[index]
    base = _affine(slope, -resistance * slope, R=resistance, T=1.0 / slope)
    return CellCoupling(
        base.logit,
        base.slope,
        base.offset,
        embedding=np.array([np.cos(angle), np.sin(angle)]),
        parameters=base.parameters,
    )


def _none(settings: Settings, index: int, offset: float, height: float, openness: float) -> CellCoupling:
    """Label independent of x, the same prevalence in every cell."""
    constant = float(np.log(settings.prevalence / (1 - settings.prevalence)))
    return CellCoupling(lambda u: np.full_like(u, constant), 0.0, constant)


_BUILDERS: dict[Coupling, Callable[[Settings, int, float, float, float], CellCoupling]] = {
    Coupling.ADDITIVE: _additive,
    Coupling.MULTIPLICATIVE: _multiplicative,
    Coupling.GATE: _gate,
    Coupling.SATURATING: _saturating,
    Coupling.HILL: _hill,
    Coupling.XDEPENDENT: _xdependent,
    Coupling.NONE: _none,
}

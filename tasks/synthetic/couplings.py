"""The true couplings: how the intrinsic potential U and the cell form the logit of P(y=1 | x, c).

U has mean 0 and variance 1 in every cell. Where a coupling is affine in U, its canonical form is
logit = a(c) U + b(c); a and b are then the only identifiable quantities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from .ceiling import expected_probability
from .nuisance import offsets
from .settings import Coupling, Nuisance, Settings
from .streams import spread_normal, spread_uniform

Logit = Callable[[np.ndarray], np.ndarray]

#: Strength of the bilinear term, in standard deviations of U.
BILINEAR = 0.7
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


class _Draw(NamedTuple):
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


def couplings(settings: Settings, openness: np.ndarray) -> list[CellCoupling]:
    """Draw the coupling of every cell.

    Args:
        settings: settings of the simulation.
        openness: (C,) openness of the cells.
    """
    n = settings.cells
    offset = settings.offset_sd * spread_normal(settings.seed, "offset", n)
    if settings.nuisance is Nuisance.SHORTCUT:
        offset = offsets(settings.seed, n)
    height = spread_normal(settings.seed, "slope", n)
    angle = 2 * np.pi * spread_uniform(settings.seed, "angle", n)
    columns = np.column_stack([offset, height, openness, angle]).tolist()
    return [_BUILDERS[settings.coupling](settings, _Draw(*row)) for row in columns]


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


def _additive(settings: Settings, drawn: _Draw) -> CellCoupling:
    """Additive energy: (U - R(c)) / T, one T; the resistance R >= 0 only suppresses."""
    temperature = 1.0 / settings.slope
    typical = -balanced_offset(settings.slope, settings.prevalence) * temperature
    resistance = max(0.0, typical - drawn.offset * temperature)
    return _affine(settings.slope, -resistance / temperature, R=resistance, T=temperature)


def _slope(settings: Settings, drawn: _Draw) -> float:
    """Log-normal slope with mean `slope` and standard deviation `slope_sd` over cells."""
    spread = np.sqrt(np.log1p((settings.slope_sd / settings.slope) ** 2))
    return float(settings.slope * np.exp(spread * drawn.height - spread**2 / 2))


def _multiplicative(settings: Settings, drawn: _Draw) -> CellCoupling:
    """Multiplicative modulation: (M(c) U + B(c)) / T(c), M > 0, T > 0; a = M/T, b = B/T."""
    slope = _slope(settings, drawn)
    offset = balanced_offset(slope, settings.prevalence) + drawn.offset
    temperature = float(np.exp(-0.3 * drawn.openness))
    return _affine(slope, offset, M=slope * temperature, B=offset * temperature, T=temperature)


def _gate(settings: Settings, drawn: _Draw) -> CellCoupling:
    """Gate: s sigma(R(c)) softplus(U) - t; a closed gate blocks, since the gated potential is positive."""
    gain = 2.0 * settings.slope

    def gated(resistance: float) -> Callable[[float], Logit]:
        share = expit(resistance)
        return lambda threshold: lambda u: gain * share * np.logaddexp(0.0, u) - threshold

    threshold = _solve(gated(1.5), settings.prevalence)
    resistance = 1.5 + 0.35 * drawn.height
    return CellCoupling(gated(resistance)(threshold), np.nan, np.nan, parameters={"R": resistance, "t": threshold})


def _saturating(settings: Settings, drawn: _Draw) -> CellCoupling:
    """Saturating suppression: (U - u0) / (1 + R(c)) / T with R >= 0: a temperature of the cell's own.

    The origin u0 is common, so the suppression draws all logits of a cell towards 0.
    """
    temperature = 1.0 / (settings.slope + 2 * settings.slope_sd)
    resistance = max(0.0, 1.0 / (temperature * _slope(settings, drawn)) - 1.0)
    origin = -balanced_offset(settings.slope, settings.prevalence) / settings.slope
    slope = 1.0 / (1.0 + resistance) / temperature
    return _affine(slope, -origin * slope, R=resistance, T=temperature, u0=origin)


def _hill(settings: Settings, drawn: _Draw) -> CellCoupling:
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
    half = float(1.2 * np.exp(0.08 * drawn.height))
    return CellCoupling(occupied(half)(threshold), np.nan, np.nan, parameters={"K": half, "h0": threshold / gain})


def _xdependent(settings: Settings, drawn: _Draw) -> CellCoupling:
    """Low-rank bilinear: (U + z^T W e(c) - R(c)) / T with rank 2 and |e(c)| = 1."""
    sd = float(np.hypot(1.0, BILINEAR))
    slope = settings.slope / sd
    resistance = max(0.0, -(balanced_offset(slope, settings.prevalence, sd) + drawn.offset) / slope)
    base = _affine(slope, -resistance * slope, R=resistance, T=1.0 / slope)
    return CellCoupling(
        base.logit,
        base.slope,
        base.offset,
        embedding=np.array([np.cos(drawn.angle), np.sin(drawn.angle)]),
        parameters=base.parameters,
    )


def _none(settings: Settings, drawn: _Draw) -> CellCoupling:
    """Label independent of x, the same prevalence in every cell."""
    constant = float(np.log(settings.prevalence / (1 - settings.prevalence)))
    return CellCoupling(lambda u: np.full_like(u, constant), 0.0, constant)


_BUILDERS: dict[Coupling, Callable[[Settings, _Draw], CellCoupling]] = {
    Coupling.ADDITIVE: _additive,
    Coupling.MULTIPLICATIVE: _multiplicative,
    Coupling.GATE: _gate,
    Coupling.SATURATING: _saturating,
    Coupling.HILL: _hill,
    Coupling.XDEPENDENT: _xdependent,
    Coupling.NONE: _none,
}

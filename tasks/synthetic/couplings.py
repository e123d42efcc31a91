"""The true couplings: how the intrinsic potential U and the cell form the logit of P(y=1 | x, c)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from .cell_coupling import CellCoupling, Draw, Logit, affine, balanced_offset, slope_of, solve
from .hill_coupling import hill
from .nuisance import offsets
from .settings import Coupling, Nuisance, Settings
from .streams import spread_normal, spread_uniform


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
    return [_BUILDERS[settings.coupling](settings, Draw(*row)) for row in columns]


def _additive(settings: Settings, drawn: Draw) -> CellCoupling:
    """Additive energy: (U - R(c)) / T, one T; the resistance R >= 0 only suppresses."""
    temperature = 1.0 / settings.slope
    typical = -balanced_offset(settings.slope, settings.prevalence) * temperature
    resistance = max(0.0, typical - drawn.offset * temperature)
    return affine(settings.slope, -resistance / temperature, R=resistance, T=temperature)


def _multiplicative(settings: Settings, drawn: Draw) -> CellCoupling:
    """Multiplicative modulation: (M(c) U + B(c)) / T(c), M > 0, T > 0; a = M/T, b = B/T."""
    slope = slope_of(settings, drawn)
    offset = balanced_offset(slope, settings.prevalence) + drawn.offset
    temperature = float(np.exp(-0.3 * drawn.openness))
    return affine(slope, offset, M=slope * temperature, B=offset * temperature, T=temperature)


def _interaction(settings: Settings, drawn: Draw) -> CellCoupling:
    """Interaction: (U - R(c) + lambda U R(c)) / T; the resistance that lowers the offset flattens the slope.

    Antagonism, lambda < 0: slope = mean slope + (slope_sd / offset_sd) x (offset - typical offset).
    """
    typical = balanced_offset(settings.slope, settings.prevalence)
    ratio = settings.slope_sd / settings.offset_sd if settings.offset_sd else 0.0
    # The slope of a cell without resistance.
    full = settings.slope - ratio * typical
    resistance = max(0.0, -(typical + drawn.offset)) / full
    return affine(
        full - ratio * full * resistance, -full * resistance, R=resistance, T=1.0 / full, **{"lambda": -ratio}
    )


def _gate(settings: Settings, drawn: Draw) -> CellCoupling:
    """Gate: s sigma(R(c)) softplus(U) - t; a closed gate blocks, since the gated potential is positive."""

    def gated(share: float) -> Callable[[float], Logit]:
        return lambda threshold: lambda u: gain * share * np.logaddexp(0.0, u) - threshold

    if settings.full_spread:
        # E[sigma(U)] = 1/2, so the mean slope is gain x share / 2.
        gain = 2.0 * _steepest(settings)
        threshold = solve(gated(2.0 * settings.slope / gain), settings.prevalence)
        share = 2.0 * _flatter(settings, drawn) / gain
        resistance = float(np.log(share / (1.0 - share)))
    else:
        gain = 2.0 * settings.slope
        threshold = solve(gated(float(expit(1.5))), settings.prevalence)
        resistance = 1.5 + 0.35 * drawn.height
    logit = gated(float(expit(resistance)))(threshold)
    return CellCoupling(logit, np.nan, np.nan, parameters={"R": resistance, "t": threshold})


def _literal_gate(settings: Settings, drawn: Draw) -> CellCoupling:
    """Literal gate: (U - u0) sigma(R(c)) / T: a closing gate draws all logits of a cell towards 0."""
    open_slope = _steepest(settings)
    slope = _flatter(settings, drawn)
    origin = -balanced_offset(settings.slope, settings.prevalence) / settings.slope
    resistance = float(np.log(slope / (open_slope - slope)))
    return affine(slope, -origin * slope, R=resistance, T=1.0 / open_slope, u0=origin)


def _steepest(settings: Settings) -> float:
    """Slope of a cell whose gate is fully open."""
    return settings.slope + 2 * settings.slope_sd


def _flatter(settings: Settings, drawn: Draw) -> float:
    """The cell's slope, below the steepest one: no gate is fully open."""
    return min(slope_of(settings, drawn), 0.98 * _steepest(settings))


def _saturating(settings: Settings, drawn: Draw) -> CellCoupling:
    """Saturating suppression: (U - u0) / (1 + R(c)) / T with R >= 0: a temperature of the cell's own.

    The origin u0 is common, so the suppression draws all logits of a cell towards 0.
    """
    temperature = 1.0 / (settings.slope + 2 * settings.slope_sd)
    resistance = max(0.0, 1.0 / (temperature * slope_of(settings, drawn)) - 1.0)
    origin = -balanced_offset(settings.slope, settings.prevalence) / settings.slope
    slope = 1.0 / (1.0 + resistance) / temperature
    return affine(slope, -origin * slope, R=resistance, T=temperature, u0=origin)


def _xdependent(settings: Settings, drawn: Draw) -> CellCoupling:
    """Low-rank bilinear: (U + z^T W e(c) - R(c)) / T with rank 2 and |e(c)| = 1."""
    sd = float(np.hypot(1.0, settings.bilinear))
    slope = settings.slope / sd
    resistance = max(0.0, -(balanced_offset(slope, settings.prevalence, sd) + drawn.offset) / slope)
    base = affine(slope, -resistance * slope, R=resistance, T=1.0 / slope)
    return CellCoupling(
        base.logit,
        base.slope,
        base.offset,
        embedding=np.array([np.cos(drawn.angle), np.sin(drawn.angle)]),
        parameters=base.parameters,
    )


def _none(settings: Settings, drawn: Draw) -> CellCoupling:
    """Label independent of x, the same prevalence in every cell."""
    constant = float(np.log(settings.prevalence / (1 - settings.prevalence)))
    return CellCoupling(lambda u: np.full_like(u, constant), 0.0, constant)


_BUILDERS: dict[Coupling, Callable[[Settings, Draw], CellCoupling]] = {
    Coupling.ADDITIVE: _additive,
    Coupling.MULTIPLICATIVE: _multiplicative,
    Coupling.INTERACTION: _interaction,
    Coupling.GATE: _gate,
    Coupling.LITERAL_GATE: _literal_gate,
    Coupling.SATURATING: _saturating,
    Coupling.HILL: hill,
    Coupling.XDEPENDENT: _xdependent,
    Coupling.NONE: _none,
}

"""The Hill coupling: s (h - h0), h = U+^n / (U+^n + K(c)^n), U+ = softplus(U), n = 3; bounded on both sides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from ..errors import EpishotError
from .cell_coupling import CellCoupling, Draw, Logit, linearise, solve
from .settings import Settings

_POWER = 3.0
#: Half point of a typical cell.
_HALF = 1.2
#: Standard deviation over cells of the natural log of the half point: little, or found between 0 and the widest.
_LITTLE = 0.08
_WIDEST = 2.0
_CELL_NODES = 16


def hill(settings: Settings, drawn: Draw) -> CellCoupling:
    """The coupling of one cell; the threshold h0 is common and gives a typical cell its prevalence.

    Raises:
        EpishotError: no half points let the offset vary by `offset_sd`, since the logit is bounded.
    """
    gain = (4.5 if settings.full_spread else 3.5) * settings.slope
    threshold = solve(_family(gain, _HALF), settings.prevalence)
    spread = _spread(gain, settings.offset_sd) if settings.full_spread else _LITTLE
    half = float(_HALF * np.exp(spread * drawn.height))
    return CellCoupling(_family(gain, half)(threshold), np.nan, np.nan, parameters={"K": half, "h0": threshold / gain})


def _family(gain: float, half: float) -> Callable[[float], Logit]:
    """Logits of the half point, by threshold."""

    def family(threshold: float) -> Logit:
        def logit(u: np.ndarray) -> np.ndarray:
            power = np.logaddexp(0.0, u) ** _POWER
            return gain * power / (power + half**_POWER) - threshold

        return logit

    return family


def _spread(gain: float, offset_sd: float) -> float:
    """Standard deviation of log K under which E[logit(U)] has standard deviation `offset_sd` over cells."""
    heights, weights = np.polynomial.hermite_e.hermegauss(_CELL_NODES)
    weights = weights / weights.sum()

    def excess(spread: float) -> float:
        offset = np.array([linearise(_family(gain, _HALF * float(np.exp(spread * z)))(0.0)).offset for z in heights])
        return float(np.sqrt(weights @ (offset - weights @ offset) ** 2)) - offset_sd

    if excess(_WIDEST) < 0:
        raise EpishotError(
            f"A Hill coupling of slope {gain / 4.5:g} is bounded too tightly for offsets of standard deviation "
            f"{offset_sd:g}; raise the slope or lower offset_sd."
        )
    return float(brentq(excess, 0.0, _WIDEST, xtol=1e-12))

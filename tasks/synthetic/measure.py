"""Chromatin features: noisy linear readouts of the latents, and what they tell about the latents.

A side is measured once per element and cell, so the rows of one element share its values and no averaging
over rows can remove noise. The published value is a strictly increasing function of the readout whose scale
differs between cells: the information is the same, the units are not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..card import Feature
from .cells import CellLine
from .streams import stream

UNIT = "signal, arbitrary units with a cell-specific scale"
#: Standard deviation of the measurement noise; a readout's signal has a variance of about 1.
NOISE_SD = 0.4
#: Natural log of the published value per unit of readout.
LOG_GAIN = 0.6


class Readout(NamedTuple):
    """One feature.

    Attributes:
        mark: what is measured.
        loading: weights of (activity, architecture, repression), or of contact for the window.
    """

    mark: str
    loading: tuple[float, ...]


_ELEMENT_MARKS = (
    Readout("DNase", (0.9, 0.3, -0.3)),
    Readout("H3K27ac", (1.0, 0.0, -0.3)),
    Readout("CTCF", (0.1, 1.0, 0.0)),
    Readout("H3K27me3", (-0.2, 0.0, 1.0)),
)

#: Features of each side, in column order: enhancer, promoter, window.
READOUTS: dict[str, tuple[Readout, ...]] = {
    "enhancer": (*_ELEMENT_MARKS, Readout("H3K4me1", (0.7, 0.1, 0.0))),
    "promoter": (*_ELEMENT_MARKS, Readout("H3K4me3", (0.8, 0.0, -0.4))),
    "window": (
        Readout("RAD21", (0.9,)),
        Readout("CTCF", (-0.6,)),
        Readout("H3K36me3", (0.5,)),
    ),
}

FEATURES: tuple[Feature, ...] = tuple(
    Feature(name=f"{readout.mark}_{side}", unit=UNIT, side=side)  # type: ignore[arg-type]
    for side, readouts in READOUTS.items()
    for readout in readouts
)

#: Features whose geometric mean is the enhancer's activity.
ACTIVITY = ("DNase_enhancer", "H3K27ac_enhancer")


class Posterior(NamedTuple):
    """Gaussian posterior of n latents of k columns.

    Attributes:
        mean: (n, k).
        covariance: (k, k), the same for every row.
    """

    mean: np.ndarray
    covariance: np.ndarray


def loadings(side: str) -> np.ndarray:
    """(F_side, k) loadings of a side's features."""
    return np.array([readout.loading for readout in READOUTS[side]])


def measure(seed: int, cell: CellLine, side: str, latent: np.ndarray) -> np.ndarray:
    """(n, F_side) readouts of (n, k) latents: linear plus Gaussian measurement noise."""
    signal = latent @ loadings(side).T
    noise = stream(seed, "noise", side, cell.name).standard_normal(signal.shape)
    return signal + NOISE_SD * noise


def infer(side: str, prior_mean: np.ndarray, prior_variance: np.ndarray, readout: np.ndarray) -> Posterior:
    """Condition the latents on their readouts (linear Gaussian model, exact).

    Args:
        side: "enhancer", "promoter" or "window".
        prior_mean: (n, k) mean given sequence, distance and cell.
        prior_variance: (k,) independent prior variances.
        readout: (n, F_side) readouts.
    """
    weight = loadings(side)
    precision = 1.0 / NOISE_SD**2
    covariance = np.linalg.inv(np.diag(1.0 / prior_variance) + precision * weight.T @ weight)
    mean = (prior_mean / prior_variance + precision * readout @ weight) @ covariance
    return Posterior(mean, covariance)


def publish(seed: int, cell: CellLine, side: str, readout: np.ndarray, scale_sd: float) -> np.ndarray:
    """(n, F_side) float32 > 0: scale(cell, feature) x exp(gain x readout), as a signal track would show it."""
    draw = stream(seed, "scale", side, cell.name).standard_normal(readout.shape[1])
    return np.exp(scale_sd * draw + LOG_GAIN * readout).astype(np.float32)

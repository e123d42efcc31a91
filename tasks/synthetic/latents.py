"""Latent state of elements in a cell: a mean given sequence and cell, plus a Gaussian latent term."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import motifs
from .cells import CellLine, occupancy
from .streams import stream

#: Latent programmes of an enhancer and of a promoter, in column order.
PROGRAMMES = ("activity", "architecture", "repression")

#: Latent columns of a pair: three of the enhancer, three of the promoter, contact.
ENHANCER = slice(0, 3)
PROMOTER = slice(3, 6)
CONTACT = slice(6, 7)
WIDTH = 7

#: Share of a latent's variance (1 in all) that sequence and cell, or distance, explain.
_SEQUENCE_SHARE = 0.5
_DISTANCE_SHARE = 0.6

#: (7,) variance of the Gaussian latent terms.
LATENT_VARIANCE = np.array([1 - _SEQUENCE_SHARE] * 6 + [1 - _DISTANCE_SHARE])

_LOG10_DISTANCE_MEAN = 5.1
_LOG10_DISTANCE_SD = 0.6


class Latent(NamedTuple):
    """Latents of n elements or pairs.

    Attributes:
        mean: (n, k) expectation given sequence and cell (contact: given distance).
        value: (n, k) the latents: mean + Gaussian term.
    """

    mean: np.ndarray
    value: np.ndarray


def programme_mean(cell: CellLine, content: np.ndarray) -> np.ndarray:
    """(n, 3) expected programmes of all elements of one side.

    Programmes are relative: the cell's transcription machinery is limited, so each column is centred and
    scaled over the elements of the genome, in every cell anew.

    Args:
        cell: the cell line.
        content: (n, factors) motif content of all elements of the side.
    """
    raw = occupancy(cell, content) @ motifs.effects()
    return np.sqrt(_SEQUENCE_SHARE) * (raw - raw.mean(axis=0)) / raw.std(axis=0)


def contact_mean(distance: np.ndarray) -> np.ndarray:
    """(n, 1) expected contact: log-linear in distance, i.e. contact frequency decays as a power law.

    Args:
        distance: (n,) bp.
    """
    standard = -(np.log10(distance) - _LOG10_DISTANCE_MEAN) / _LOG10_DISTANCE_SD
    return np.sqrt(_DISTANCE_SHARE) * standard[:, None]


def draw(seed: int, cell: CellLine, what: str, mean: np.ndarray, variance: np.ndarray) -> Latent:
    """Add independent Gaussian latent terms, once per element and cell (contact: once per pair and cell).

    Args:
        seed: seed of the task.
        cell: the cell line.
        what: "enhancer", "promoter" or "contact"; names the random stream.
        mean: (n, k).
        variance: (k,) variances of the terms.
    """
    term = stream(seed, "latent", what, cell.name).standard_normal(mean.shape) * np.sqrt(variance)
    return Latent(mean, mean + term)

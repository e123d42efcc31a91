"""Pairs as a float matrix: raw or per-cell ranked features and log10 distance, in one place for all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from .base import PairTable, TrainTable


class Scale(StrEnum):
    """How chromatin features are put on a common scale."""

    RAW = "raw"  #: the source's values
    RANK = "rank"  #: average rank / n inside the cell, in (0, 1]; needs the cell table (transductive)


def cell_ranks(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Average rank / n of `values` within the columns of `reference`.

    Ties share their average rank, as in scipy.stats.rankdata(method="average") / n when `values` are rows
    of `reference`. Feature scales differ between cells by up to two orders of magnitude; ranks mend that.

    Args:
        values: (m, F) floats. reference: (n, F) floats: all pairs of the same cell.

    Returns:
        (m, F) float32 in [0.5/n, 1].
    """
    n = reference.shape[0]
    out = np.empty(values.shape, dtype=np.float32)
    for column in range(values.shape[1]):
        ordered = np.sort(reference[:, column])
        low = np.searchsorted(ordered, values[:, column], side="left")
        high = np.searchsorted(ordered, values[:, column], side="right")
        out[:, column] = (low + np.maximum(high, low + 1) + 1) / (2 * n)
    return np.clip(out, None, 1.0, out=out)


def log10_distance(distance: np.ndarray) -> np.ndarray:
    """log10 of the distance in bp, at least 1 bp; unknown stays NaN. Returns (n,) float32."""
    return np.log10(np.maximum(distance, 1.0)).astype(np.float32)


@dataclass(frozen=True)
class FeatureMatrix:
    """Turns pairs into a matrix: F scaled features, then log10 distance (never ranked).

    Attributes:
        scale: raw or rank. With `rank`, the method must declare `transductive`.
    """

    scale: Scale

    def of_train(self, train: TrainTable) -> np.ndarray:
        """(n, F + 1) float32; ranks are taken within each training cell."""
        pairs = train.pairs
        features = _features(pairs)
        if self.scale is Scale.RANK:
            ranked = np.empty_like(features)
            for cell in range(train.n_cells):
                rows = np.flatnonzero(train.cell == cell)
                ranked[rows] = cell_ranks(features[rows], features[rows])
            features = ranked
        return _join(features, pairs)

    def of_cell(self, pairs: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """(n, F + 1) float32 of pairs of the held-out cell; ranks are taken within `cell_table`."""
        features = _features(pairs)
        if self.scale is Scale.RANK:
            if cell_table is None:
                raise ValueError("Rank scaling needs the cell table: declare the method transductive.")
            features = cell_ranks(features, _features(cell_table))
        return _join(features, pairs)


def _features(pairs: PairTable) -> np.ndarray:
    return (
        np.empty((pairs.n, 0), np.float32)
        if pairs.features is None
        else pairs.features.astype(np.float32, copy=False)
    )


def _join(features: np.ndarray, pairs: PairTable) -> np.ndarray:
    distance = np.zeros(pairs.n) if pairs.distance is None else pairs.distance
    return np.column_stack([features, log10_distance(distance)]).astype(np.float32, copy=False)

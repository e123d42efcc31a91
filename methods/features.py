"""Pairs as a float matrix: raw or per-cell ranked features and log10 distance, in one place for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np

from ..tasks.errors import MethodError
from .base import PairTable, TrainTable

#: Rows of which temporary copies are made at a time.
_BLOCK_ROWS = 1 << 16


class Scale(StrEnum):
    """How chromatin features are put on a common scale."""

    RAW = "raw"  #: the source's values
    RANK = "rank"  #: average rank / n inside the cell, in (0, 1]; needs the cell table (transductive)


def cell_ranks(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Average rank / n of `values` within the columns of `reference`.

    Ties share their average rank, as in scipy.stats.rankdata(method="average") / n when `values` are rows
    of `reference`. Feature scales differ between cells by up to two orders of magnitude; ranks mend that.
    Missing values (NaN) stay NaN and count for nothing in `reference`.

    Args:
        values: (m, F) floats. reference: (n, F) floats: all pairs of the same cell.

    Returns:
        (m, F) float32 in (0, 1], NaN where `values` are.
    """
    out = np.empty(values.shape, dtype=np.float32)
    for column in range(values.shape[1]):
        own = values[:, column]
        known = reference[:, column]
        known = known[~np.isnan(known)]
        if values is reference and known.size == own.size:
            out[:, column] = _own_ranks(own)  # a cell against itself: one sort, no searches
            continue
        n = known.size
        known = np.sort(known)
        low = np.searchsorted(known, own, side="left")
        high = np.searchsorted(known, own, side="right")
        ranks = np.minimum((low + np.maximum(high, low + 1) + 1) / (2 * max(n, 1)), 1.0)
        out[:, column] = np.where(np.isnan(own), np.nan, ranks)
    return out


def _own_ranks(values: np.ndarray) -> np.ndarray:
    """Average rank / n of (n,) values among themselves."""
    n = values.size
    order = np.argsort(values)
    ordered = values[order]
    start = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if n else np.empty(0, int)
    end = np.append(start[1:], n)[: start.size]
    ranks = np.empty(n, dtype=np.float64)
    ranks[order] = np.repeat((start + end + 1) / (2 * max(n, 1)), end - start)
    return ranks


def log10_distance(distance: np.ndarray) -> np.ndarray:
    """log10 of the distance in bp, at least 1 bp; unknown stays NaN. Returns (n,) float32."""
    return np.log10(np.maximum(distance, 1.0)).astype(np.float32)


@dataclass(frozen=True)
class FeatureMatrix:
    """Turns pairs into a matrix: F scaled features, then log10 distance (never ranked).

    Missing features and unknown distances stay NaN; `Standardiser` turns them into the training mean.

    Attributes:
        scale: raw or rank. With `rank`, the method must declare `transductive`.
    """

    scale: Scale

    def of_train(self, train: TrainTable) -> np.ndarray:
        """(n, F + 1) float32; ranks are taken within each training cell."""
        pairs = train.pairs
        features = _features(pairs)
        if self.scale is Scale.RAW:
            return _join(features, pairs)
        joined = np.empty((pairs.n, features.shape[1] + 1), dtype=np.float32)
        for cell in range(train.n_cells):
            rows = np.flatnonzero(train.cell == cell)
            own = features[rows]
            joined[rows, :-1] = cell_ranks(own, own)
        joined[:, -1] = _log10_distance(pairs)
        return joined

    def of_cell(self, pairs: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """(n, F + 1) float32 of pairs of the held-out cell; ranks are taken within `cell_table`.

        Raises:
            MethodError: rank scaling without a cell table.
        """
        if self.scale is Scale.RAW:
            return _join(_features(pairs), pairs)
        if cell_table is None:
            raise MethodError("Rank scaling needs the cell table; declare `transductive = True`.")
        return _join(_RANKS.of(pairs, cell_table), pairs)


@dataclass(frozen=True)
class Standardiser:
    """Zero mean, unit variance per column, learned once; missing values become the mean, that is 0.

    Attributes:
        mean, scale: (F,) float64; the scale of a constant column is 1, as in scikit-learn.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray) -> Standardiser:
        """Learn from an (n, F) matrix, n >= 1, ignoring NaN; a column without any value has mean 0."""
        count = np.maximum(_summed(matrix, lambda part: ~np.isnan(part)), 1)
        mean = _summed(matrix, lambda part: np.nan_to_num(part.astype(np.float64))) / count
        variance = _summed(matrix, lambda part: np.nan_to_num(part - mean) ** 2) / count
        # Rounding leaves a constant column with a variance near 1e-32, which must not be divided by.
        constant = variance <= 10 * np.finfo(np.float64).eps * np.maximum(mean**2, np.finfo(np.float64).tiny)
        return cls(mean=mean, scale=np.where(constant, 1.0, np.sqrt(variance)))

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """Standardise an (m, F) matrix; returns float64 without NaN."""
        out = matrix - self.mean
        out /= self.scale
        return np.nan_to_num(out, copy=False, nan=0.0)


def _summed(matrix: np.ndarray, values: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Column sums (F,) float64 of `values` of a matrix, a block of rows at a time, added in the order of the rows."""
    total = np.zeros(matrix.shape[1])
    for start in range(0, len(matrix), _BLOCK_ROWS):
        block = values(matrix[start : start + _BLOCK_ROWS])
        total = np.add.reduce(np.concatenate([total[None], block]), axis=0)
    return total


def _features(pairs: PairTable) -> np.ndarray:
    return (
        np.empty((pairs.n, 0), np.float32) if pairs.features is None else pairs.features.astype(np.float32, copy=False)
    )


class _KeptRanks:
    """Ranks of tables in their cell, kept while somebody holds the table: a fit's query is the same for all supports.

    Tables are told apart by identity, and their columns are not to be changed.
    """

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[PairTable, tuple[ReferenceType[PairTable], np.ndarray]] = WeakKeyDictionary()

    def of(self, pairs: PairTable, cell_table: PairTable) -> np.ndarray:
        """(n, F) float32, read-only."""
        kept = self._kept.get(pairs)
        if kept is not None and kept[0]() is cell_table:
            return kept[1]
        reference = _features(cell_table)
        ranks = cell_ranks(reference if pairs is cell_table else _features(pairs), reference)
        ranks.setflags(write=False)
        self._kept[pairs] = (ref(cell_table), ranks)
        return ranks


_RANKS = _KeptRanks()


def _join(features: np.ndarray, pairs: PairTable) -> np.ndarray:
    return np.column_stack([features, _log10_distance(pairs)]).astype(np.float32, copy=False)


def _log10_distance(pairs: PairTable) -> np.ndarray:
    return log10_distance(np.zeros(pairs.n) if pairs.distance is None else pairs.distance)

"""Network inputs: ranked features and log10 distance on a fixed scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..methods.base import PairTable, TrainTable
from ..methods.device import placed
from ..methods.features import FeatureMatrix, Scale, log10_distance

_MATRIX = FeatureMatrix(Scale.RANK)
#: Standard deviation of a rank / n without ties.
_RANK_SD = 12**-0.5
_MINIMAL_SD = 1e-6


@dataclass(frozen=True)
class RankedInputs:
    """Maps pairs to (n, F + 1) float32 network inputs of roughly zero mean and unit variance.

    Ranks are scaled by the constants of the uniform distribution, not by their spread in the training
    cells: a mark that is almost all zero there has tied ranks of tiny spread, and dividing by it would
    throw a cell in which the mark is present far outside the range that the network was trained on.

    Attributes:
        distance_mean, distance_sd: of log10 distance over the training rows.
    """

    distance_mean: float
    distance_sd: float

    @classmethod
    def fit(cls, train: TrainTable) -> RankedInputs:
        """Measure the scale of log10 distance on the training rows (unknown distances left out)."""
        distance = train.pairs.distance
        known = np.empty(0) if distance is None else log10_distance(distance[np.isfinite(distance)])
        if known.size == 0 or known.std() < _MINIMAL_SD:
            return cls(float(known.mean()) if known.size else 0.0, 1.0)
        return cls(float(known.mean(dtype=np.float64)), float(known.std(dtype=np.float64)))

    def of_train(self, train: TrainTable) -> Tensor:
        """Inputs of the training rows, ranked within each training cell."""
        return self._scaled(_MATRIX.of_train(train))

    def of_cell(self, pairs: PairTable, cell_table: PairTable | None) -> Tensor:
        """Inputs of pairs of the held-out cell, ranked within `cell_table`."""
        return self._scaled(_MATRIX.of_cell(pairs, cell_table))

    def _scaled(self, matrix: np.ndarray) -> Tensor:
        """Scale a matrix that nobody else holds, in place: copies of millions of rows are what memory goes to."""
        ranks, distance = matrix[:, :-1], matrix[:, -1]
        ranks -= np.float32(0.5)
        ranks /= np.float32(_RANK_SD)
        distance -= np.float32(self.distance_mean)
        distance /= np.float32(self.distance_sd)
        # An unknown value becomes the average one.
        return placed(np.nan_to_num(matrix, copy=False, nan=0.0))

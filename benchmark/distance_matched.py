"""Distance-matched AUPR: how well are pairs ordered among pairs of equal distance?

No sampling: in 0.1-wide bins of log10 distance the negatives are weighted so that their total weight is
5 times the bin's positives. A ranker that knows nothing but distance is then near 1/6 whatever the task.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BIN_WIDTH = 0.1
NEGATIVES_PER_POSITIVE = 5.0


class DistanceWeights(NamedTuple):
    """Row weights of the distance-matched AUPR.

    Attributes:
        weight: (n,) float64: 1 for matched positives, 5 p_b / n_b for the negatives of bin b, 0 for rows left out.
        unmatched: positives left out, because their bin holds no negative or their distance is unknown.
        positives: all positives.
    """

    weight: np.ndarray
    unmatched: int
    positives: int

    @property
    def defined(self) -> bool:
        """Whether at least half of the positives (and one of them) are matched."""
        return self.positives > self.unmatched and 2 * self.unmatched <= self.positives


def distance_weights(distance: np.ndarray, labels: np.ndarray) -> DistanceWeights:
    """Weights that give every distance bin five times as much negative as positive weight.

    Args:
        distance: (n,) bp, any sign; NaN where unknown. Distances below 1 bp count as 1 bp.
        labels: (n,) 0 / 1.
    """
    positive = np.asarray(labels) == 1
    known = np.isfinite(distance)
    weight = np.zeros(positive.size)
    matched = np.zeros(positive.size, dtype=bool)
    if known.any():
        magnitude = np.log10(np.maximum(np.abs(distance[known]), 1.0))
        # The nudge keeps decade borders, whose logarithm may round either way, in the upper bin.
        bins = np.floor(magnitude / BIN_WIDTH + 1e-9).astype(np.int64)
        n_bins = int(bins.max()) + 1
        hits = np.bincount(bins[positive[known]], minlength=n_bins)
        misses = np.bincount(bins[~positive[known]], minlength=n_bins)
        per_negative = NEGATIVES_PER_POSITIVE * hits / np.maximum(misses, 1)
        matched[known] = positive[known] & (misses[bins] > 0)
        weight[known] = np.where(positive[known], matched[known], per_negative[bins])
    return DistanceWeights(weight, int(positive.sum() - matched.sum()), int(positive.sum()))

"""Bootstrap intervals."""

from __future__ import annotations

import numpy as np


def percentile_interval(replicates: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The central `level` of the replicates.

    Args:
        replicates: (B,) finite values.
    """
    low, high = np.quantile(replicates, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)

"""A cell read by what can be observed without labels: statistics of its chromatin features."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from ....tasks.errors import MethodError
from ..parts import CellFacts, Estimator, SupportRows
from .rows import Readout

#: Quantiles of each feature, beside its mean and sd.
LEVELS = (0.1, 0.5, 0.9)
#: Directions in which cells may differ, at most.
_DIRECTIONS = 8
#: Training cells at which their differences count half.
_HALF_CELLS = 16.0
#: Distance from the mean cell, in sd, beyond which an embedding hardly moves.
_BOUND = 3.0


def cell_statistics(features: np.ndarray) -> np.ndarray:
    """Label-free statistics of a cell's chromatin: mean, sd and quantiles .1, .5, .9 of each feature.

    Values are first put on the scale sign(x) log(1 + |x|), since raw signals span orders of magnitude. Missing
    values (NaN) are left out; a feature that is missing throughout has NaN statistics.

    Args:
        features: (n, F) raw features of all pairs of one cell, n and F >= 1.

    Returns:
        (5 F,) float64, F means first, then the sds and each quantile; the same to the last bit in any row order.

    Raises:
        MethodError: features is not a matrix, or an empty one.
    """
    if features.ndim != 2 or not features.size:
        raise MethodError(f"Statistics of a cell need an (n, F) matrix that is not empty, not shape {features.shape}.")
    values = features.astype(np.float64)
    # Sums depend on the order of their terms in the last bits; sorted, they do not depend on that of the rows.
    values = np.sort(np.sign(values) * np.log1p(np.abs(values)), axis=0)
    return np.stack([_column(values[:, f]) for f in range(values.shape[1])], axis=1).ravel()


def _column(ordered: np.ndarray) -> np.ndarray:
    known = ordered[~np.isnan(ordered)]
    if not known.size:
        return np.full(2 + len(LEVELS), np.nan)
    return np.array([known.mean(), known.std(), *np.quantile(known, LEVELS)])


def hull_gap(statistics: np.ndarray, training: np.ndarray) -> float:
    """How far a cell lies outside the convex hull of the training cells.

    Statistics are divided by their sd over the training cells (by 1 where that is 0), and those that are NaN
    anywhere are left out. The nearest point of the hull is the solution of a non-negative least-squares problem:
    with columns x_i - v, minimising |X w|^2 + (1 - sum w)^2 over w >= 0 gives weights proportional to it.
    With more statistics than cells nearly every cell lies outside; compare with the gaps of training cells to
    the others.

    Args:
        statistics: (V,) of the cell. training: (n_cells, V).

    Returns:
        Root mean square gap in training sds, >= 0; 0 inside the hull. NaN if no statistic is known.

    Raises:
        MethodError: the shapes do not agree, or there is no training cell.
    """
    if training.ndim != 2 or statistics.shape != training.shape[1:] or not training.shape[0]:
        raise MethodError(
            f"A cell of {statistics.shape} statistics cannot be compared with training cells of shape {training.shape}."
        )
    known = np.isfinite(training).all(0) & np.isfinite(statistics)
    if not known.any():
        return float("nan")
    cells = training[:, known].astype(np.float64)
    scale = cells.std(0)
    away = ((cells - statistics[known]) / np.where(scale > 0, scale, 1.0)).T
    size = float(np.abs(away).max())
    if size == 0.0:
        return 0.0
    weights, _ = nnls(np.vstack([away / size, np.ones(cells.shape[0])]), np.append(np.zeros(away.shape[0]), 1.0))
    gap = float(np.sqrt(np.mean(np.square(away @ (weights / weights.sum())))))
    return gap if gap > 1e-9 * size else 0.0


class CellFeatures(Estimator):
    """e = f(v_c): an unseen cell is placed among the training cells by its own chromatin; no support is needed.

    v_c is standardised and projected on the directions in which the training cells differ (at most 8, and one
    fewer than cells), all in units of the widest one, so that narrow directions, which a few cells cannot tell
    from noise, count little. Differences are shrunk by n / (n + 16) for n training cells and bounded, lest a cell far
    outside be extrapolated to. f has no bias: the mean training cell, and an unknown statistic, give 0.

    Args:
        size: d_e. observed: (n_cells, V) statistics of the training cells, NaN = unknown.
    """

    mean: Tensor
    scale: Tensor
    basis: Tensor

    def __init__(self, size: int, observed: Tensor) -> None:
        super().__init__()
        self.size = size
        values = observed.to(torch.float64)
        mean = torch.nan_to_num(values.nanmean(0))
        centred = torch.nan_to_num(values - mean)
        scale = centred.square().mean(0).sqrt()
        scale = torch.where(scale > 1e-12, scale, torch.ones_like(scale))
        n_cells = observed.shape[0]
        _, singular, right = torch.linalg.svd(centred / scale, full_matrices=False)
        count = max(1, min(_DIRECTIONS, n_cells - 1, right.shape[0]))
        widest = (singular[0] / n_cells**0.5).clamp_min(1e-12)
        directions = right[:count] * (singular[:count] > 1e-9 * singular[0]).unsqueeze(1)
        basis = (directions / widest).T * n_cells / (n_cells + _HALF_CELLS)
        for name, value in (("mean", mean), ("scale", scale), ("basis", basis)):
            self.register_buffer(name, value.to(torch.get_default_dtype()))
        self.readout = Readout(count, size, width=16)

    def forward(self, support: SupportRows, facts: CellFacts) -> Tensor:
        """E cells -> (E, size); the support is not read.

        Raises:
            MethodError: the cells' statistics are missing or have another width than the training cells'.
        """
        observed = facts.observed
        if observed is None or observed.shape[1] != self.mean.shape[0]:
            found = "none" if observed is None else str(observed.shape[1])
            raise MethodError(f"Reading a cell by its chromatin needs {self.mean.shape[0]} statistics; got {found}.")
        standard = torch.nan_to_num((observed.to(self.mean.dtype) - self.mean) / self.scale)
        scores = standard @ self.basis
        embedding: Tensor = self.readout(scores / torch.sqrt(1.0 + scores.square().sum(1, keepdim=True) / _BOUND**2))
        return embedding

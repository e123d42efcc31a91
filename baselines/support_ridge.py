"""Support-only ridge logistic regression: what the labelled support is worth without any training cell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import expit

from ..methods.base import FitContext, Method, PairTable, Reads, Regime, Supports, TrainTable
from ..methods.features import FeatureMatrix, Scale, Standardiser
from ..tasks.errors import MethodError

_MAX_STEPS = 100
_HALVINGS = 30


class SupportRidge(Method):
    """L2 logistic regression fitted on each support alone; the training cells are ignored.

    Features are the cell's ranks and log10 distance, standardised over the whole (label-free) cell table,
    so that the design matrix does not depend on the support. The loss is scikit-learn's:
    |w|^2 / 2 + C sum_i log(1 + exp(-y_i (w.x_i + b))), the intercept unpenalised. A support of one class,
    and the empty one, fit no slope: every pair gets log((positives + 1) / (negatives + 1)).

    Args:
        C: inverse strength of the penalty, > 0.
    """

    name = "support-ridge"
    summary = "ridge logistic regression on the support alone"
    reads = frozenset({Reads.FEATURES, Reads.DISTANCE})
    regimes = frozenset({Regime.NONE, Regime.LABELLED})
    transductive = True
    deterministic = True
    logits = True
    control = True

    def __init__(self, C: float = 1.0) -> None:
        if not C > 0:
            raise MethodError(f"support-ridge: C must be above 0, and is {C}.")
        self.C = C
        self._matrix = FeatureMatrix(Scale.RANK)

    def config(self) -> Mapping[str, object]:
        """The penalty."""
        return {"C": self.C}

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Nothing is learned from the training cells."""

    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """(E, n) logits; see `Method.score`."""
        if cell_table is None:
            raise MethodError("The control `support-ridge` needs the cell table.")
        positives = np.zeros(supports.n_episodes) if supports.label is None else supports.label.sum(axis=1)
        negatives = (supports.k if supports.label is not None else 0) - positives
        scores = np.repeat(np.log((positives + 1) / (negatives + 1))[:, None], query.n, axis=1)
        both = np.flatnonzero((positives > 0) & (negatives > 0))
        if both.size:
            assert supports.label is not None
            standardise = Standardiser.of(self._matrix.of_cell(cell_table, cell_table))
            pool = standardise(self._matrix.of_cell(supports.pool, cell_table))
            weights = ridge_logistic(pool[supports.rows[both]], supports.label[both], self.C)
            design = standardise(self._matrix.of_cell(query, cell_table))
            scores[both] = weights[:, :-1] @ design.T + weights[:, -1:]
        return scores


def ridge_logistic(design: np.ndarray, label: np.ndarray, C: float) -> np.ndarray:
    """Fit E ridge logistic regressions at once by Newton's method with step halving.

    Args:
        design: (E, k, F) float64. label: (E, k) of 0 / 1, both classes in every row. C: as in scikit-learn.

    Returns:
        (E, F + 1) weights, the unpenalised intercept last.
    """
    E, k, F = design.shape
    X = np.concatenate([design, np.ones((E, k, 1))], axis=2)
    penalty = np.append(np.ones(F), 0.0)
    w = np.zeros((E, F + 1))
    active = np.arange(E)
    for _ in range(_MAX_STEPS):
        x, y = X[active], label[active]
        p = expit(np.einsum("ekf,ef->ek", x, w[active]))
        gradient = penalty * w[active] + C * np.einsum("ekf,ek->ef", x, p - y)
        moving = np.abs(gradient).max(axis=1) > 1e-9 * max(C * k, 1.0)
        if not moving.any():
            break
        active, x, y, p, gradient = active[moving], x[moving], y[moving], p[moving], gradient[moving]
        curvature = C * np.einsum("ekf,ek,ekg->efg", x, p * (1 - p), x, optimize=True)
        # A tiny ridge on the intercept keeps the matrix invertible when every p is saturated.
        curvature += np.diag(penalty + 1e-12)
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        w[active] -= _damping(x, y, w[active], step, gradient, penalty, C)[:, None] * step
    return w


def _damping(
    x: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    step: np.ndarray,
    gradient: np.ndarray,
    penalty: np.ndarray,
    C: float,
) -> np.ndarray:
    """(E,) largest of 1, 1/2, 1/4, ... with which the loss of each regression falls enough (Armijo)."""

    def loss(weights: np.ndarray) -> np.ndarray:
        logit = np.einsum("ekf,ef->ek", x, weights)
        return 0.5 * (penalty * weights**2).sum(axis=1) + C * (np.logaddexp(0.0, logit) - y * logit).sum(axis=1)

    before = loss(w)
    slope = (gradient * step).sum(axis=1)
    damping = np.ones(len(w))
    for _ in range(_HALVINGS):
        tolerance = 1e-12 * np.maximum(np.abs(before), 1.0)
        worse = loss(w - damping[:, None] * step) > before - 1e-4 * damping * slope + tolerance
        if not worse.any():
            break
        damping[worse] *= 0.5
    return damping

"""Logistic regression refitted to E small supports at once, with a Gaussian prior from the training rows.

The pooled weights v0 minimise the loss of n training rows. Adding k support rows, each with a total weight
share w of the training weight 1 - w, gives (1 - w)/n sum_train loss + w/k sum_support loss. With the share
w(k) = k / (k + k0) this is, up to a constant factor, (k0/n) sum_train loss + sum_support loss: the training
table counts as k0 rows. Its second-order expansion at v0 (Laplace; MacKay 1992, Neural Computation 4:448)
turns the first sum into a quadratic form, so that no training row is needed any more:

    J(v) = 1/2 (v - v0)' A (v - v0) + sum_i c_i log(1 + exp(-s_i x_i'v)),   s_i = 2 y_i - 1,
    A = (k0/n) X' diag(p (1 - p)) X + R.

R is a ridge on all coefficients but the intercept, centred on v0 (Chelba & Acero 2004, EMNLP): it holds a
coefficient of which the training cells tell nothing. J is strictly convex, J(v0) is its minimum at k = 0,
and a support of one class is as good as any.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_MAX_STEPS = 100
_HALVINGS = 40
#: The intercept has no ridge; this keeps A invertible where every training row is saturated.
_MINIMAL_PRECISION = 1e-6


class Prior(NamedTuple):
    """A Gaussian over P coefficients, the intercept last.

    Attributes:
        mean: (P,) v0. precision: (P, P) A.
    """

    mean: np.ndarray
    precision: np.ndarray


def laplace_prior(
    design: np.ndarray, probability: np.ndarray, mean: np.ndarray, training_rows: float, ridge: float
) -> Prior:
    """The prior that n training rows give when they count as `training_rows`.

    Args:
        design: (n, P - 1) without the intercept. probability: (n,) under the pooled learner.
        mean: (P,) v0. training_rows: k0 > 0. ridge: strength on every coefficient but the intercept.
    """
    x = with_intercept(design)
    curvature = (x * (probability * (1 - probability))[:, None]).T @ x * (training_rows / max(len(x), 1))
    return Prior(mean, curvature + np.diag([*np.full(design.shape[1], ridge), _MINIMAL_PRECISION]))


def refit(design: np.ndarray, label: np.ndarray, weight: np.ndarray, prior: Prior) -> np.ndarray:
    """Minimise J of the module's docstring for E supports by Newton's method with step halving.

    Args:
        design: (E, k, P - 1) float64. label: (E, k) 0/1. weight: (E, k) c, at least 0. prior: v0 and A.

    Returns:
        (E, P) coefficients, the intercept last.
    """
    from scipy.special import expit  # scipy is slow to import, and lists of methods import this module

    x_all = with_intercept(design)
    v = np.repeat(prior.mean[None], len(design), axis=0)
    active = np.arange(len(design))
    for _ in range(_MAX_STEPS):
        x, y, c = x_all[active], label[active], weight[active]
        p = expit(_logit(x, v[active]))
        gradient = (v[active] - prior.mean) @ prior.precision + np.einsum("ekp,ek->ep", x, c * (p - y))
        scale = 1.0 + np.einsum("ekp,ek->ep", np.abs(x), c).max(axis=1, initial=0.0)
        moving = np.abs(gradient).max(axis=1) > 1e-9 * scale
        if not moving.any():
            break
        active, x, y, c, p, gradient = (part[moving] for part in (active, x, y, c, p, gradient))
        curvature = prior.precision + np.einsum("ekp,ek,ekq->epq", x, c * p * (1 - p), x, optimize=True)
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        damping = _damping(x, y, c, v[active], step, gradient, prior)
        v[active] -= damping[:, None] * step
        active = active[damping > 0]  # no step lowers J any more: rounding is reached
    return v


def objective(x: np.ndarray, label: np.ndarray, weight: np.ndarray, v: np.ndarray, prior: Prior) -> np.ndarray:
    """(E,) J; `x` (E, k, P) includes the intercept column, `v` is (E, P)."""
    difference, logit = v - prior.mean, _logit(x, v)
    quadratic = 0.5 * np.einsum("ep,pq,eq->e", difference, prior.precision, difference, optimize=True)
    return quadratic + (weight * (np.logaddexp(0.0, logit) - label * logit)).sum(axis=1)


def with_intercept(design: np.ndarray) -> np.ndarray:
    """Append a column of ones to (..., k, P - 1)."""
    return np.concatenate([design, np.ones((*design.shape[:-1], 1))], axis=-1)


def _logit(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.einsum("ekp,ep->ek", x, v)


def _damping(
    x: np.ndarray,
    y: np.ndarray,
    c: np.ndarray,
    v: np.ndarray,
    step: np.ndarray,
    gradient: np.ndarray,
    prior: Prior,
) -> np.ndarray:
    """(E,) largest of 1, 1/2, 1/4, ... with which J falls enough (Armijo); 0 where none does."""
    before = objective(x, y, c, v, prior)
    slope = (gradient * step).sum(axis=1)
    damping = np.ones(len(v))
    tolerance = 1e-13 * np.maximum(np.abs(before), 1.0)
    for _ in range(_HALVINGS):
        worse = objective(x, y, c, v - damping[:, None] * step, prior) > before - 1e-4 * damping * slope + tolerance
        if not worse.any():
            return damping
        damping[worse] *= 0.5
    damping[worse] = 0.0
    return damping

"""Support-only ridge logistic regression against scikit-learn, batched."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from epishot.baselines.support_ridge import SupportRidge, ridge_logistic
from epishot.methods import Balance, FitContext, PairTable, Regime, Supports, TrainTable, no_support
from epishot.tasks.errors import MethodError


def both_classes(rng, episodes, k, share):
    label = (rng.random((episodes, k)) < share).astype(np.int8)
    label[:, 0], label[:, 1] = 0, 1
    return label


@pytest.mark.parametrize("k", [2, 8, 128])
@pytest.mark.parametrize("C", [0.01, 1.0, 1000.0])
def test_weights_are_those_of_scikit_learn(k, C):
    rng = np.random.default_rng(k)
    design = rng.normal(size=(6, k, 9)) * rng.gamma(1.0, size=9)
    label = both_classes(rng, 6, k, 0.1)
    weights = ridge_logistic(design, label, C)
    for e in range(6):
        reference = LogisticRegression(C=C, tol=1e-10, solver="newton-cholesky", max_iter=1000)
        reference.fit(design[e], label[e])
        expected = np.append(reference.coef_[0], reference.intercept_)
        assert np.allclose(weights[e], expected, rtol=1e-5, atol=1e-6)


def test_separable_and_collinear_supports_converge():
    x = np.linspace(-4, 4, 40)
    design = np.stack([np.column_stack([x, x, 1000 * (x > 0)]), np.column_stack([-x, 0 * x, 0 * x])])
    label = np.stack([x > 0, x > 3.9]).astype(np.int8)
    weights = ridge_logistic(design, label, 1.0)
    assert np.isfinite(weights).all()
    for e in range(2):
        logit = design[e] @ weights[e, :-1] + weights[e, -1]
        p = 1 / (1 + np.exp(-logit))
        gradient = weights[e, :-1] + design[e].T @ (p - label[e])
        assert np.abs(gradient).max() < 1e-5
        assert abs((p - label[e]).sum()) < 1e-5


def problem(seed=0, n=200):
    rng = np.random.default_rng(seed)
    cell = PairTable(
        n=n,
        features=rng.gamma(2.0, size=(n, 5)).astype(np.float32),
        distance=10 ** rng.uniform(3, 6, n),
    )
    label = (cell.features[:, 1] > 2).astype(np.int8)
    rows = np.stack([rng.choice(n, 16, replace=False) for _ in range(4)])
    return cell, label, rows


def supports_of(cell, label, rows):
    return Supports(Regime.LABELLED, Balance.NATURAL, pool=cell, rows=rows, label=label[rows])


def test_scores_are_a_fit_on_the_cells_standardised_ranks():
    cell, label, rows = problem()
    method = SupportRidge()
    method.fit(TrainTable(cell, label, np.zeros(cell.n, np.int32), 1), FitContext())
    query = cell.take(np.arange(50))
    scores = method.score(supports_of(cell, label, rows), query, cell)
    ranks = rankdata(cell.features, axis=0) / cell.n
    design = StandardScaler().fit_transform(np.column_stack([ranks, np.log10(cell.distance)]))
    for e in range(4):
        reference = LogisticRegression(tol=1e-10, max_iter=10000).fit(design[rows[e]], label[rows[e]])
        assert np.allclose(scores[e], reference.decision_function(design[:50]), atol=1e-3)


def test_the_training_cells_do_not_matter():
    cell, label, rows = problem()
    scores = []
    for seed in (1, 2):
        other, other_label, _ = problem(seed)
        method = SupportRidge()
        method.fit(TrainTable(other, other_label, np.zeros(other.n, np.int32), 1), FitContext(seed=seed))
        scores.append(method.score(supports_of(cell, label, rows), cell, cell))
    assert np.array_equal(*scores)


def test_one_class_and_empty_supports_score_a_constant():
    cell, label, _rows = problem()
    method = SupportRidge()
    negatives = np.flatnonzero(label == 0)[:6]
    mixed = np.stack([negatives, np.flatnonzero(label == 1)[:6], np.r_[negatives[:3], np.flatnonzero(label)[:3]]])
    scores = method.score(supports_of(cell, label, mixed), cell, cell)
    assert np.unique(scores[0]).tolist() == pytest.approx([np.log(1 / 7)])
    assert np.unique(scores[1]).tolist() == pytest.approx([np.log(7)])
    assert np.unique(scores[2]).size > 100
    assert np.array_equal(method.score(no_support(cell), cell, cell), np.zeros((1, cell.n)))


def test_the_penalty_is_configured_and_checked():
    assert SupportRidge(C=0.1).config() == {"C": 0.1}
    with pytest.raises(MethodError, match="above 0"):
        SupportRidge(C=0)
    cell, label, rows = problem()
    spread = [np.ptp(SupportRidge(C=c).score(supports_of(cell, label, rows), cell, cell)) for c in (1e-3, 1)]
    assert spread[0] < spread[1] / 10


def test_without_a_cell_table_the_ranks_are_impossible():
    cell, label, rows = problem()
    with pytest.raises(MethodError, match="needs the cell table"):
        SupportRidge().score(supports_of(cell, label, rows), cell, None)

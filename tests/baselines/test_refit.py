"""Refitted pooled learners: the stated objective, k = 0, balanced weights, and adaptation that helps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from epishot.baselines.pooled import PooledLogisticRank, PooledLogisticRaw, PooledTreesRank, PooledTreesRaw
from epishot.baselines.refit import (
    PooledLogisticRankRefit,
    PooledLogisticRawRefit,
    PooledTreesRankRefit,
    PooledTreesRawRefit,
)
from epishot.baselines.refit_newton import Prior, laplace_prior, refit
from epishot.methods import Balance, FitContext, PairTable, Regime, Supports, TrainTable, no_support
from epishot.tasks.errors import MethodError

PAIRS = [
    (PooledLogisticRawRefit, PooledLogisticRaw),
    (PooledLogisticRankRefit, PooledLogisticRank),
    (PooledTreesRawRefit, PooledTreesRaw),
    (PooledTreesRankRefit, PooledTreesRank),
]
ALL = [cls for cls, _ in PAIRS]


def make_cell(n: int, direction: int, seed: int) -> tuple[PairTable, np.ndarray]:
    """A cell in which one of two features matters."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 2)).astype(np.float32)
    label = (rng.random(n) < expit(3.0 * features[:, direction] - 1.5)).astype(np.int8)
    return PairTable(n=n, features=features, distance=10 ** rng.uniform(3, 6, n)), label


def make_train(n: int = 600) -> TrainTable:
    pairs, label = make_cell(n, 0, seed=0)
    return TrainTable(pairs, label, (np.arange(n) % 2).astype(np.int32), 2)


def make_supports(pairs, label, n_episodes=4, k=64, balance=Balance.NATURAL):
    rng = np.random.default_rng(7)
    rows = np.stack([rng.choice(pairs.n, size=k, replace=False) for _ in range(n_episodes)])
    return Supports(Regime.LABELLED, balance, pairs, rows, label[rows])


def fit(cls, budget=0.2, **settings):
    method = cls(**settings)
    method.fit(make_train(), FitContext(budget=budget))
    return method


def run(method, supports, query):
    return method.score(supports, query, query if method.transductive else None)


@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_refit_minimises_the_stated_objective(spread: float) -> None:
    rng = np.random.default_rng(1)
    design = rng.normal(size=(5, 12, 3)) * [1.0, spread, 0.1]
    label = (rng.random((5, 12)) < 0.3).astype(float)
    label[0], label[1] = 0.0, 1.0
    weight = rng.uniform(0.1, 2.0, (5, 12))
    root = rng.normal(size=(4, 4))
    prior = Prior(rng.normal(size=4), root @ root.T + 0.1 * np.eye(4))
    found = refit(design, label, weight, prior)

    for e in range(5):
        x = np.column_stack([design[e], np.ones(12)])
        sign = 2 * label[e] - 1

        def loss(v, x=x, sign=sign, c=weight[e]):
            d = v - prior.mean
            return 0.5 * d @ prior.precision @ d + (c * np.logaddexp(0, -sign * (x @ v))).sum()

        def slope(v, x=x, y=label[e], c=weight[e]):
            return prior.precision @ (v - prior.mean) + x.T @ (c * (expit(x @ v) - y))

        reference = minimize(loss, prior.mean, jac=slope, method="BFGS", options={"gtol": 1e-9, "maxiter": 5000})
        assert loss(found[e]) <= reference.fun + 1e-9
        assert np.abs(slope(found[e])).max() < 1e-6
        np.testing.assert_allclose(found[e], reference.x, atol=1e-4)


def test_the_prior_is_the_scaled_hessian_by_finite_differences() -> None:
    rng = np.random.default_rng(2)
    design, mean = rng.normal(size=(50, 2)), rng.normal(size=3)
    x = np.column_stack([design, np.ones(50)])
    prior = laplace_prior(design, expit(x @ mean), mean, training_rows=10.0, ridge=0.5)

    def gradient(v):
        return 10 / 50 * x.T @ expit(x @ v) + np.array([0.5, 0.5, 0.0]) * v

    numeric = np.stack([(gradient(mean + h) - gradient(mean - h)) / 2e-5 for h in 1e-5 * np.eye(3)])
    np.testing.assert_allclose(prior.precision, numeric, atol=2e-6)


def test_the_logistic_refit_is_close_to_scikit_learn_on_the_union_of_weighted_rows() -> None:
    pairs, label = make_cell(300, 0, seed=3)
    supports = make_supports(pairs, label, 1, 32)
    train, k0 = make_train(), 256.0
    method = fit(PooledLogisticRawRefit, training_rows=k0)
    x = np.column_stack([train.pairs.features, np.log10(train.pairs.distance)])
    mean, sd = x.mean(0), x.std(0)
    own = (np.column_stack([pairs.features, np.log10(pairs.distance)]) - mean) / sd
    rows = supports.rows[0]
    union = LogisticRegression(C=1.0, tol=1e-8).fit(
        np.vstack([(x - mean) / sd, own[rows]]),
        np.r_[train.label, label[rows]],
        sample_weight=np.r_[np.full(600, k0 / 600), np.ones(32)],
    )
    zero = run(method, no_support(pairs), pairs)[0]
    exact = union.decision_function(own)
    found = run(method, supports, pairs)[0]
    # The centre of the ridge differs (0 there, the pooled weights here); the shape of the change must not.
    assert np.corrcoef(found - zero, exact - zero)[0, 1] > 0.7
    assert np.abs(found - exact).max() < 0.5


@pytest.mark.parametrize(("cls", "pooled"), PAIRS)
def test_without_labels_the_scores_are_those_of_the_pooled_learner(cls, pooled) -> None:
    query, _ = make_cell(100, 1, seed=5)
    expected = run(fit(pooled), no_support(query), query)
    method = fit(cls)
    np.testing.assert_array_equal(run(method, no_support(query), query), expected)
    unlabelled = Supports(Regime.UNLABELLED, Balance.NATURAL, query, np.arange(24).reshape(3, 8))
    np.testing.assert_array_equal(run(method, unlabelled, query), np.repeat(expected, 3, axis=0))
    facts, of_pooled = cls.capabilities(), pooled.capabilities()
    assert facts.regimes == {Regime.NONE, Regime.LABELLED}
    assert (facts.transductive, facts.deterministic, facts.logits) == (of_pooled.transductive, True, True)


@pytest.mark.parametrize("cls", ALL)
def test_a_training_table_that_counts_endlessly_gives_the_pooled_scores(cls) -> None:
    query, label = make_cell(200, 1, seed=5)
    method = fit(cls, training_rows=1e12)
    zero = run(method, no_support(query), query)
    np.testing.assert_allclose(run(method, make_supports(query, label), query), np.repeat(zero, 4, 0), atol=1e-3)


@pytest.mark.parametrize("cls", ALL)
def test_adaptation_helps_where_the_cell_disagrees_with_the_training_cells(cls) -> None:
    query, label = make_cell(800, 1, seed=5)
    method = fit(cls)
    zero = average_precision_score(label, run(method, no_support(query), query)[0])
    adapted = run(method, make_supports(query, label, 6, 64), query)
    assert np.mean([average_precision_score(label, row) for row in adapted]) > zero + 0.05


@pytest.mark.parametrize("cls", ALL)
def test_neither_the_order_of_the_support_nor_its_company_matters(cls) -> None:
    query, label = make_cell(200, 1, seed=5)
    method, supports = fit(cls), make_supports(query, label, 3, 16)
    together = run(method, supports, query)
    order = np.random.default_rng(0).permutation(16)
    for e, rows in enumerate(supports.rows[:, order]):
        one = Supports(Regime.LABELLED, Balance.NATURAL, query, rows[None], label[rows][None])
        np.testing.assert_allclose(run(method, one, query)[0], together[e], atol=1e-5)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("balance", list(Balance))
@pytest.mark.parametrize("value", [0, 1])
def test_one_class_supports_shift_the_scores_towards_their_class(cls, balance, value) -> None:
    query, _ = make_cell(200, 1, seed=5)
    method = fit(cls)
    supports = make_supports(query, np.full(200, value, np.int8), 2, 8, balance)
    scores = run(method, supports, query)
    assert np.isfinite(scores).all()
    change = scores.mean() - run(method, no_support(query), query).mean()
    assert change * (2 * value - 1) > 0


def test_a_balanced_support_is_weighted_to_the_natural_prevalence() -> None:
    train, (query, _) = make_train(), make_cell(800, 0, seed=5)
    rng = np.random.default_rng(0)
    method = PooledLogisticRawRefit()
    method.fit(TrainTable(train.pairs, (rng.random(600) < 0.1).astype(np.int8), train.cell, 2), FitContext())
    rows = rng.choice(800, size=(1, 64), replace=False)
    label = np.tile([0, 1], 32)[None].astype(np.int8)
    zero = run(method, no_support(query), query).mean()
    natural, balanced = (
        run(method, Supports(Regime.LABELLED, balance, query, rows, label), query).mean() - zero
        for balance in (Balance.NATURAL, Balance.BALANCED)
    )
    # Half positives taken at face value raise every logit; as a case-control sample they hardly do.
    assert natural > 0.5
    assert abs(balanced) < 0.2 * natural


def test_the_configuration_is_kept_and_checked() -> None:
    method = PooledTreesRankRefit(training_rows=64, max_iter=9, few_rows=10)
    config = dict(method.config())
    assert (config["training_rows"], config["max_iter"], config["few_rows"]) == (64, 9, 10)
    assert PooledTreesRankRefit(**config).config() == config
    with pytest.raises(MethodError, match="above 0"):
        PooledLogisticRankRefit(training_rows=0)

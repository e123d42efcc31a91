"""Metric learners as plugins: empty and one-class supports, batched scoring, and supports that help."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from epishot.baselines.mahalanobis import MahalanobisPrototypes
from epishot.baselines.matching import MatchingNetwork
from epishot.baselines.neural_process import NeuralProcess
from epishot.baselines.ridge_head import RidgeHead
from epishot.methods.base import Balance, FitContext, Method, PairTable, Regime, Supports, TrainTable, no_support

LEARNERS: tuple[type[Method], ...] = (MatchingNetwork, RidgeHead, NeuralProcess, MahalanobisPrototypes)
Cell = tuple[PairTable, np.ndarray]


def make_cell(n: int, sign: int, rng: np.random.Generator) -> Cell:
    """The sign of feature 0 differs between cells, and only labels tell it; feature 1 helps everywhere."""
    features = rng.normal(size=(n, 3)).astype(np.float32)
    logit = 2.5 * sign * features[:, 0] + 1.0 * features[:, 1] - 1.5
    label = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    distance = 10 ** rng.uniform(3, 6, n)
    chrom = rng.integers(10, size=n).astype(np.int32)
    return PairTable(n=n, features=features, distance=distance, chrom=chrom), label


def make_train(n: int, cells: int = 8) -> TrainTable:
    rng = np.random.default_rng(0)
    drawn = [make_cell(n, (-1) ** cell, rng) for cell in range(cells)]
    stacked = {
        name: np.concatenate([getattr(pairs, name) for pairs, _ in drawn]) for name in ("features", "distance", "chrom")
    }
    label = np.concatenate([label for _, label in drawn])
    return TrainTable(PairTable(n=n * cells, **stacked), label, np.repeat(np.arange(cells), n), cells)


def make_supports(cell: Cell, n_episodes: int, k: int, balance: Balance = Balance.NATURAL) -> Supports:
    pairs, label = cell
    rng = np.random.default_rng(7)
    if balance is Balance.BALANCED:
        sides = [np.flatnonzero(label == value) for value in (0, 1)]
        drawn = [np.concatenate([rng.choice(s, k // 2, replace=False) for s in sides]) for _ in range(n_episodes)]
    else:
        drawn = [rng.choice(pairs.n, size=k, replace=False) for _ in range(n_episodes)]
    rows = np.stack(drawn)
    return Supports(Regime.LABELLED, balance, pairs, rows, label[rows])


FITTED: dict[str, Method] = {}


def fitted(learner: type[Method]) -> Method:
    """One fit of each learner serves all tests."""
    if learner.name not in FITTED:
        method = build(learner, 32, 32)
        method.fit(make_train(400), FitContext(seed=1))
        FITTED[learner.name] = method
    return FITTED[learner.name]


def build(learner: Callable[..., Method], *hidden: int) -> Method:
    return learner(hidden=list(hidden))


@pytest.fixture(scope="module")
def held_out() -> Cell:
    return make_cell(600, 1, np.random.default_rng(99))


def mean_auc(method: Method, cell: Cell, supports: Supports) -> float:
    pairs, label = cell
    return float(np.mean([roc_auc_score(label, row) for row in method.score(supports, pairs, pairs)]))


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("balance", list(Balance))
def test_supports_tell_the_sign_of_a_feature(learner: type[Method], balance: Balance) -> None:
    method = fitted(learner)
    for sign in (1, -1):
        cell = make_cell(600, sign, np.random.default_rng(99))
        zero_shot = mean_auc(method, cell, no_support(cell[0]))
        assert zero_shot > 0.53  # feature 1, the same in all cells
        assert mean_auc(method, cell, make_supports(cell, 8, 64, balance)) > zero_shot + 0.1


@pytest.mark.parametrize("learner", LEARNERS)
def test_batched_scores_equal_one_support_at_a_time_in_any_order(learner: type[Method], held_out: Cell) -> None:
    method, (query, label) = fitted(learner), held_out
    supports = make_supports(held_out, 4, 16)
    batched = method.score(supports, query, query)
    assert batched.shape == (4, 600)
    assert batched.dtype == np.float64
    assert np.abs(batched[0] - batched[1]).max() > 1e-2
    for episode, rows in enumerate(supports.rows):
        shuffled = rows[::-1]
        one = Supports(
            Regime.LABELLED, Balance.NATURAL, query.take(shuffled), np.arange(16)[None], label[shuffled][None]
        )
        np.testing.assert_allclose(method.score(one, query, query)[0], batched[episode], atol=1e-3)
    order = np.random.default_rng(0).permutation(query.n)
    permuted = method.score(supports, query.take(order), query.take(order[::-1]))
    np.testing.assert_allclose(permuted, batched[:, order], atol=1e-3)


@pytest.mark.parametrize("learner", LEARNERS)
def test_supports_without_labels_or_pairs_score_like_zero_shot(learner: type[Method], held_out: Cell) -> None:
    method, (query, _) = fitted(learner), held_out
    zero_shot = method.score(no_support(query), query, query)
    assert np.ptp(zero_shot) > 0.1
    unlabelled = Supports(Regime.UNLABELLED, Balance.NATURAL, query, np.arange(24).reshape(3, 8))
    empty = make_supports(held_out, 3, 0)
    for supports in (unlabelled, empty):
        np.testing.assert_array_equal(method.score(supports, query, query), np.repeat(zero_shot, 3, axis=0))


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("k", [1, 8, 128])
def test_one_class_supports_are_valid(learner: type[Method], held_out: Cell, value: int, k: int) -> None:
    query, _ = held_out
    one_class = query, np.full(query.n, value, dtype=np.int8)
    assert np.isfinite(fitted(learner).score(make_supports(one_class, 3, k), query, query)).all()


@pytest.mark.parametrize("learner", LEARNERS)
def test_probabilities_keep_the_natural_prevalence_under_either_balance(learner: type[Method], held_out: Cell) -> None:
    method, (query, label) = fitted(learner), held_out
    for balance in Balance:
        probability = 1 / (1 + np.exp(-method.score(make_supports(held_out, 8, 64, balance), query, query)))
        assert abs(probability.mean() - label.mean()) < 0.12


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_seed_decides(learner: type[Method], held_out: Cell) -> None:
    query, _ = held_out
    scores = []
    for seed in (3, 3, 4):
        method = build(learner, 8)
        method.fit(make_train(100), FitContext(seed=seed, budget=0.02))
        scores.append(method.score(no_support(query), query, query))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 1e-3
    assert method.config()["hidden"] == [8]
    assert method.n_parameters()


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("positives", [0, 1])
def test_training_cells_of_one_class_and_missing_columns_are_survived(learner: type[Method], positives: int) -> None:
    train = make_train(60, cells=2)
    bare = PairTable(n=120, chrom=train.pairs.chrom)
    label = np.full(120, positives, dtype=np.int8)
    method = build(learner, 4)
    method.fit(TrainTable(bare, label, train.cell, 2), FitContext(budget=0.01))
    for balance in Balance:
        supports = make_supports((bare, label), 2, 8)
        scores = method.score(Supports(Regime.LABELLED, balance, bare, supports.rows, supports.label), bare, bare)
        assert scores.shape == (2, 120)
        assert np.isfinite(scores).all()

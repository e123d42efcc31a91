"""Prototypical network: closed forms of its two equations, batched scoring, and adaptation that helps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from epishot.baselines.prototypical import (
    PrototypicalNetwork,
    class_sums,
    leave_one_out_means,
    prototype_logits,
    shrunken_prototypes,
)
from epishot.methods.base import Balance, FitContext, PairTable, Regime, Supports, TrainTable, no_support


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_class_sums_equal_a_loop() -> None:
    embedding, label = random(3, 7, 4), (random(3, 7, seed=1) > 0).double()
    weight = (random(3, 7, seed=2) > -1).double()
    sums = class_sums(embedding, label, weight)
    for task in range(3):
        for value in (0, 1):
            mine = (label[task] == value) & (weight[task] > 0)
            torch.testing.assert_close(sums.total[task, value], embedding[task][mine].sum(0))
            assert sums.size[task, value] == mine.sum()


def test_prototypes_are_the_paper_s_class_means_without_shrinkage() -> None:
    embedding, label = random(1, 6, 4), torch.tensor([[0, 1, 0, 0, 1, 0]], dtype=torch.float64)
    sums = class_sums(embedding, label, torch.ones_like(label))
    found = shrunken_prototypes(sums, random(2, 4, seed=3), torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(found[0, 1], embedding[0, [1, 4]].mean(0))
    torch.testing.assert_close(found[0, 0], embedding[0, [0, 2, 3, 5]].mean(0))


def test_shrinkage_weighs_the_support_by_n_over_n_plus_n0() -> None:
    embedding, label = random(1, 4, 3), torch.tensor([[0, 0, 0, 0]], dtype=torch.float64)
    prior, n0 = random(2, 3, seed=3), torch.tensor([12.0, 5.0], dtype=torch.float64)
    found = shrunken_prototypes(class_sums(embedding, label, torch.ones_like(label)), prior, n0)
    torch.testing.assert_close(found[0, 0], 0.25 * embedding[0].mean(0) + 0.75 * prior[0])
    # A label that the support lacks keeps the training prototype.
    torch.testing.assert_close(found[0, 1], prior[1])


def test_logits_are_the_log_odds_of_equation_2() -> None:
    embedding, prototypes, prior_logit = random(5, 4), random(3, 2, 4, seed=1), -2.0
    found = prototype_logits(embedding, prototypes, prior_logit)
    distance = (embedding[None, :, None] - prototypes[:, None]).square().sum(-1)
    log_p = torch.log_softmax(-distance + torch.tensor([0.0, prior_logit]), dim=-1)
    torch.testing.assert_close(found, log_p[..., 1] - log_p[..., 0])


def test_leave_one_out_means_equal_a_loop_and_skip_cells_without_the_label() -> None:
    means = random(3, 2, 4)
    present = torch.tensor([[1, 1], [1, 0], [1, 0]], dtype=torch.float64)
    found = leave_one_out_means(means, present)
    torch.testing.assert_close(found[0, 0], (means[1, 0] + means[2, 0]) / 2)
    torch.testing.assert_close(found[2, 0], (means[0, 0] + means[1, 0]) / 2)
    torch.testing.assert_close(found[1, 1], means[0, 1])
    # Only cell 0 has positives, so it must make do with its own.
    torch.testing.assert_close(found[0, 1], means[0, 1])


# ---- the plugin -------------------------------------------------------------------------------------------


def make_cell(n: int, direction: int, rng: np.random.Generator) -> tuple[PairTable, np.ndarray]:
    """A cell in which one of two features matters, and only a labelled support tells which."""
    features = rng.normal(size=(n, 2)).astype(np.float32)
    logit = 3.0 * features[:, direction] - 1.5
    label = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    distance = 10 ** rng.uniform(3, 6, n)
    chrom = rng.integers(10, size=n).astype(np.int32)
    return PairTable(n=n, features=features, distance=distance, chrom=chrom), label


def make_train(seed: int = 0, cells: int = 6, n: int = 500) -> TrainTable:
    rng = np.random.default_rng(seed)
    drawn = [make_cell(n, cell % 2, rng) for cell in range(cells)]
    stacked = {
        name: np.concatenate([getattr(pairs, name) for pairs, _ in drawn]) for name in ("features", "distance", "chrom")
    }
    label = np.concatenate([label for _, label in drawn])
    return TrainTable(PairTable(n=n * cells, **stacked), label, np.repeat(np.arange(cells), n), cells)


def make_supports(
    pairs: PairTable, label: np.ndarray, n_episodes: int, k: int, balance: Balance = Balance.NATURAL
) -> Supports:
    rng = np.random.default_rng(7)
    rows = np.stack([rng.choice(pairs.n, size=k, replace=False) for _ in range(n_episodes)])
    return Supports(Regime.LABELLED, balance, pairs, rows, label[rows])


@pytest.fixture(scope="module")
def fitted() -> PrototypicalNetwork:
    method = PrototypicalNetwork(hidden=(16,), embedding=8)
    method.fit(make_train(), FitContext(seed=1))
    return method


@pytest.fixture(scope="module")
def held_out() -> tuple[PairTable, np.ndarray]:
    return make_cell(800, 1, np.random.default_rng(99))


def test_supports_find_the_feature_that_matters(
    fitted: PrototypicalNetwork, held_out: tuple[PairTable, np.ndarray]
) -> None:
    query, label = held_out
    zero_shot = average_precision_score(label, fitted.score(no_support(query), query, query)[0])
    adapted = fitted.score(make_supports(query, label, 8, 64), query, query)
    assert np.mean([average_precision_score(label, row) for row in adapted]) > zero_shot + 0.1


def test_batched_scores_equal_one_support_at_a_time(
    fitted: PrototypicalNetwork, held_out: tuple[PairTable, np.ndarray]
) -> None:
    query, label = held_out
    supports = make_supports(query, label, 6, 16)
    batched = fitted.score(supports, query, query)
    assert batched.shape == (6, 800)
    assert batched.dtype == np.float64
    for episode, rows in enumerate(supports.rows):
        one = Supports(Regime.LABELLED, Balance.NATURAL, query.take(rows), np.arange(16)[None], label[rows][None])
        np.testing.assert_allclose(fitted.score(one, query, query)[0], batched[episode], atol=1e-4)


def test_scoring_depends_on_the_arguments_only(
    fitted: PrototypicalNetwork, held_out: tuple[PairTable, np.ndarray]
) -> None:
    query, label = held_out
    before = fitted.score(no_support(query), query, query)
    supports = make_supports(query, label, 4, 32)
    first = fitted.score(supports, query, query)
    np.testing.assert_array_equal(fitted.score(supports, query, query), first)
    np.testing.assert_array_equal(fitted.score(no_support(query), query, query), before)
    order = np.random.default_rng(0).permutation(query.n)
    permuted = fitted.score(supports, query.take(order), query.take(order[::-1]))
    np.testing.assert_allclose(permuted, first[:, order], atol=1e-4)


def test_supports_without_labels_score_like_zero_shot(
    fitted: PrototypicalNetwork, held_out: tuple[PairTable, np.ndarray]
) -> None:
    query, _ = held_out
    zero_shot = fitted.score(no_support(query), query, query)
    unlabelled = Supports(Regime.UNLABELLED, Balance.NATURAL, query, np.arange(24).reshape(3, 8))
    np.testing.assert_array_equal(fitted.score(unlabelled, query, query), np.repeat(zero_shot, 3, axis=0))


@pytest.mark.parametrize("value", [0, 1])
def test_one_class_supports_are_valid(
    fitted: PrototypicalNetwork, held_out: tuple[PairTable, np.ndarray], value: int
) -> None:
    query, _ = held_out
    label = np.full(query.n, value, dtype=np.int8)
    assert np.isfinite(fitted.score(make_supports(query, label, 3, 8), query, query)).all()


def test_zero_shot_logits_are_calibrated_in_a_training_like_cell(fitted: PrototypicalNetwork) -> None:
    # Pooled over one cell of either kind the two features matter equally often.
    rng = np.random.default_rng(5)
    mean = []
    for direction in (0, 1):
        query, label = make_cell(4000, direction, rng)
        probability = 1 / (1 + np.exp(-fitted.score(no_support(query), query, query)[0]))
        mean.append((probability.mean(), label.mean()))
    predicted, observed = np.mean(mean, axis=0)
    assert abs(predicted - observed) < 0.05


def test_the_seed_decides_and_the_budget_scales(held_out: tuple[PairTable, np.ndarray]) -> None:
    query, _ = held_out
    scores = []
    for seed in (3, 3, 4):
        method = PrototypicalNetwork(hidden=[8], embedding=4)
        method.fit(make_train(n=100), FitContext(seed=seed, budget=0.02))
        scores.append(method.score(no_support(query), query, query))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 1e-3
    assert method.n_parameters() == (3 * 8 + 8 + 8 * 4 + 4) + 2
    assert method.config() == {"hidden": [8], "embedding": 4}


@pytest.mark.parametrize("positives", [0, 1])
def test_training_cells_of_one_class_and_missing_columns_are_survived(positives: int) -> None:
    train = make_train(n=60, cells=2)
    bare = PairTable(n=120, chrom=train.pairs.chrom)
    label = np.full(120, positives, dtype=np.int8)
    method = PrototypicalNetwork(hidden=[4], embedding=2)
    method.fit(TrainTable(bare, label, train.cell, 2), FitContext(budget=0.01))
    scores = method.score(make_supports(bare, label, 2, 8, Balance.BALANCED), bare, bare)
    assert scores.shape == (2, 120)
    assert np.isfinite(scores).all()

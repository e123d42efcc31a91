"""The two methods as plugins: every regime, determinism, B0, learning, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from epishot.methods.base import (
    Balance,
    FitContext,
    PairTable,
    Regime,
    Supports,
    TrainTable,
    no_support,
)
from epishot.methods.energy.presets import EnergyAdditive, EnergyBilinear
from epishot.tasks.errors import MethodError

SMALL = {"width": 32, "latent": 6, "head_width": 9, "block_rows": 96, "environment_blocks": 8}
TINY = {**SMALL, "steps": 12, "environment_steps": 8}


def _cell(n: int, offset: float, seed: int) -> tuple[PairTable, np.ndarray]:
    """Pairs whose log-odds fall with distance and rise with the first feature, not linearly."""
    rng = np.random.default_rng(seed)
    features = rng.random((n, 4)).astype(np.float32)
    distance = 10 ** rng.uniform(3.5, 6.0, n)
    logit = 4 * (features[:, 0] - 0.5) * (features[:, 1] > 0.4) - 1.5 * (np.log10(distance) - 4.5) + offset
    label = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    pairs = PairTable(n=n, features=features, distance=distance, chrom=rng.integers(0, 12, n).astype(np.int32))
    return pairs, label


@pytest.fixture(scope="module")
def train() -> TrainTable:
    cells = [_cell(700, offset, seed) for seed, offset in enumerate((-2.0, -1.0, -1.5))]
    joined = {
        name: np.concatenate([getattr(pairs, name) for pairs, _ in cells]) for name in ("features", "distance", "chrom")
    }
    return TrainTable(
        pairs=PairTable(n=2100, **joined),
        label=np.concatenate([label for _, label in cells]),
        cell=np.repeat(np.arange(3, dtype=np.int32), 700),
        n_cells=3,
    )


@pytest.fixture(scope="module")
def held() -> tuple[PairTable, np.ndarray]:
    return _cell(900, -0.5, 50)


def _supports(pairs, label, k, regime, episodes=4, seed=0) -> Supports:
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.permutation(200)[:k] for _ in range(episodes)])
    pool = pairs.take(np.arange(200))
    return Supports(regime, Balance.NATURAL, pool, rows, label[:200][rows] if regime is Regime.LABELLED else None)


@pytest.fixture(scope="module", params=[EnergyAdditive, EnergyBilinear])
def fitted(request, train):
    method = request.param(**SMALL, steps=120, environment_steps=250)
    method.fit(train, FitContext(seed=1))
    return method


def test_every_regime_and_k_gives_finite_float64_logits(fitted, held):
    pairs, label = held
    query = pairs.take(np.arange(200, 900))
    assert fitted.score(no_support(pairs), query, pairs).shape == (1, 700)
    for regime in (Regime.UNLABELLED, Regime.LABELLED):
        for k in (1, 8, 64):
            scores = fitted.score(_supports(pairs, label, k, regime), query, pairs)
            assert scores.shape == (4, 700)
            assert scores.dtype == np.float64
            assert np.isfinite(scores).all()
    for value in (0, 1):
        one_class = fitted.score(_supports(pairs, np.full_like(label, value), 16, Regime.LABELLED), query, pairs)
        assert np.isfinite(one_class).all()


def test_it_learns(fitted, train, held):
    pairs, label = held
    untrained = type(fitted)(**TINY)
    untrained.fit(train, FitContext(seed=1, budget=0.01))
    before = average_precision_score(label, untrained.potential(pairs, pairs))
    after = average_precision_score(label, fitted.potential(pairs, pairs))
    assert after > before + 0.1
    assert 0.5 <= fitted.model.temperature().item() <= 2.0


def test_the_share_of_positives_in_a_labelled_support_moves_the_offset(fitted, held):
    pairs, label = held
    positive, negative = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    rows = np.stack([np.concatenate([positive[:n], negative[: 64 - n]]) for n in (0, 8, 16, 32, 64)])
    supports = Supports(Regime.LABELLED, Balance.NATURAL, pairs, rows, label[rows])
    offset = fitted.canonical(supports, pairs).offset
    assert (np.diff(offset) > 0.05).all()
    assert offset[-1] - offset[0] > 1.0
    assert (offset <= 0).all()


def test_ranking_inside_an_episode_with_and_without_environment(train, held):
    """systems.md B0: the additive coupling keeps every ranking, the bilinear one does not."""
    pairs, label = held
    for cls, same in ((EnergyAdditive, True), (EnergyBilinear, False)):
        method = cls(**SMALL, steps=120, environment_steps=80)
        method.fit(train, FitContext(seed=3))
        potential = method.potential(pairs, pairs)
        scores = method.score(_supports(pairs, label, 64, Regime.LABELLED), pairs, pairs)
        alone = average_precision_score(label, potential)
        changes = [abs(average_precision_score(label, row) - alone) for row in scores]
        if same:
            assert max(changes) <= 1e-12
            slope, offset = method.canonical(_supports(pairs, label, 64, Regime.LABELLED), pairs)
            np.testing.assert_allclose(scores, slope[:, None] * potential + offset[:, None], atol=1e-12)
            assert np.unique(scores[0]).size == np.unique(potential).size
        else:
            assert min(changes) > 1e-9


def test_order_of_support_and_query_is_irrelevant(fitted, held):
    pairs, label = held
    supports = _supports(pairs, label, 32, Regime.LABELLED)
    query = pairs.take(np.arange(300, 600))
    scores = fitted.score(supports, query, pairs)
    order = np.random.default_rng(0).permutation(300)
    shuffled = Supports(
        supports.regime, supports.balance, supports.pool, supports.rows[:, ::-1], supports.label[:, ::-1]
    )
    again = fitted.score(shuffled, query.take(order), pairs.take(np.random.default_rng(1).permutation(900)))
    np.testing.assert_allclose(again, scores[:, order], rtol=0, atol=1e-9)


@pytest.mark.parametrize("cls", [EnergyAdditive, EnergyBilinear])
def test_equal_seeds_give_equal_scores_and_leave_torch_alone(cls, train, held):
    pairs, _ = held
    torch.manual_seed(11)
    expected_next = torch.rand(3, generator=torch.Generator().manual_seed(11))
    scores = []
    for seed in (5, 5, 6):
        method = cls(**TINY)
        method.fit(train, FitContext(seed=seed))
        scores.append(method.score(no_support(pairs), pairs, pairs))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 1e-3
    torch.testing.assert_close(torch.rand(3), expected_next)


def test_scoring_does_not_change_the_method(fitted, held):
    pairs, label = held
    supports = _supports(pairs, label, 16, Regime.LABELLED)
    first = fitted.score(supports, pairs, pairs)
    fitted.score(no_support(pairs), pairs, pairs)
    np.testing.assert_array_equal(fitted.score(supports, pairs, pairs), first)


def test_missing_columns_and_distances_are_served(train, held):
    pairs, _ = held
    bare = TrainTable(PairTable(n=train.pairs.n, distance=train.pairs.distance), train.label, train.cell, train.n_cells)
    distance = pairs.distance.copy()
    distance[:20] = np.nan
    method = EnergyAdditive(**TINY)
    method.fit(bare, FitContext())
    table = PairTable(n=pairs.n, distance=distance)
    assert np.isfinite(method.score(no_support(table), table, table)).all()


def test_configuration_round_trip_and_refusals(train, held):
    method = EnergyBilinear(rank=8, dropout=0.1)
    config = json.loads(json.dumps(method.config()))
    assert config["rank"] == 8
    assert EnergyBilinear(**config).config() == method.config()
    with pytest.raises(MethodError, match=r"'energy-additive', option 'fusion'.*less than or equal to 1"):
        EnergyAdditive(fusion=1.5)
    with pytest.raises(MethodError, match="option 'widht': is not an option; choose from"):
        EnergyAdditive(widht=3)
    with pytest.raises(MethodError, match="temperature_low <= temperature_start"):
        EnergyAdditive(temperature_low=3.0)
    with pytest.raises(MethodError, match="has the additive coupling"):
        EnergyAdditive(coupling="bilinear")
    with pytest.raises(MethodError, match="before it was fitted"):
        EnergyAdditive().score(no_support(held[0]), held[0], held[0])

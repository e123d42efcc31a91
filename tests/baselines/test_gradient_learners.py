"""FOMAML, ANIL, Reptile and fine-tuning: their defining equations, and scoring that adapts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from epishot.baselines import maml, reptile
from epishot.baselines.gradient_learners import Anil, FineTune, Fomaml
from epishot.baselines.inner_loop import LabelledPairs
from epishot.baselines.maml import Maml
from epishot.baselines.meta_gradient import meta_loss
from epishot.baselines.meta_training import MetaBatch
from epishot.baselines.networks import init_mlp, mlp
from epishot.baselines.reptile import Reptile, reptile_step
from epishot.methods.base import Balance, FitContext, PairTable, Regime, Supports, TrainTable, no_support
from epishot.tasks.errors import MethodError

ALL = [Fomaml, Anil, Reptile, FineTune]


def make_cell(n: int, direction: int, rng: np.random.Generator) -> tuple[PairTable, np.ndarray]:
    """A cell in which one of two features matters, and only a labelled support tells which."""
    features = rng.normal(size=(n, 2)).astype(np.float32)
    label = (rng.random(n) < 1 / (1 + np.exp(1.5 - 3.0 * features[:, direction]))).astype(np.int8)
    distance, chrom = 10 ** rng.uniform(3, 6, n), rng.integers(10, size=n).astype(np.int32)
    return PairTable(n=n, features=features, distance=distance, chrom=chrom), label


def make_train(cells: int = 4, n: int = 400) -> TrainTable:
    rng = np.random.default_rng(0)
    drawn = [make_cell(n, cell % 2, rng) for cell in range(cells)]
    columns = {
        name: np.concatenate([getattr(pairs, name) for pairs, _ in drawn]) for name in ("features", "distance", "chrom")
    }
    label = np.concatenate([label for _, label in drawn])
    return TrainTable(PairTable(n=n * cells, **columns), label, np.repeat(np.arange(cells), n), cells)


def make_supports(pairs, label, n_episodes=6, k=64, balance=Balance.NATURAL) -> Supports:
    rng = np.random.default_rng(7)
    rows = np.stack([rng.choice(pairs.n, size=k, replace=False) for _ in range(n_episodes)])
    return Supports(Regime.LABELLED, balance, pairs, rows, label[rows])


@pytest.fixture(scope="module")
def held_out() -> tuple[PairTable, np.ndarray]:
    return make_cell(600, 1, np.random.default_rng(99))


@pytest.fixture(scope="module", params=ALL, ids=lambda cls: cls.name)
def fitted(request: pytest.FixtureRequest) -> Maml:
    method = request.param(hidden=(16,), inner_rate=1.0, shrinkage=16.0)
    method.fit(make_train(), FitContext(seed=1, budget=0.7))
    return method


# ---- the equations ----------------------------------------------------------------------------------------


def make_tasks(*shape: int, seed: int = 1) -> LabelledPairs:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn((*shape, 4), generator=generator, dtype=torch.float64)
    label = (torch.rand(shape, generator=generator) < 0.4).double()
    weight = (torch.rand(shape, generator=generator) < 0.8).double()
    return LabelledPairs(inputs, label, weight, torch.full(shape[:-1], 0.3, dtype=torch.float64))


def make_parameters() -> dict[str, Tensor]:
    return init_mlp([4, 5, 5, 1], torch.Generator().manual_seed(0), torch.float64)


def captured_meta_loss(cls: type[Maml], monkeypatch: pytest.MonkeyPatch) -> tuple:
    """The arguments of one call that `fit` makes to `meta_loss`."""
    calls = []

    def spy(*arguments):
        calls.append(arguments)
        return meta_loss(*arguments)

    monkeypatch.setattr(maml, "meta_loss", spy)
    cls(hidden=(8,), inner_steps=3).fit(make_train(2, 100), FitContext(budget=0.01))
    assert len(calls) == 2
    return calls[0]


def test_the_fomaml_meta_gradient_is_the_query_gradient_at_the_adapted_weights(monkeypatch) -> None:
    network, supports, queries, rate, steps, first_order, names = captured_meta_loss(Fomaml, monkeypatch)
    live = {name: tensor.detach().double().requires_grad_() for name, tensor in network.items()}
    double = [LabelledPairs(*(field.double() for field in pairs)) for pairs in (supports, queries)]
    alpha = rate.detach().double()
    # What the plugin minimises, ...
    loss = meta_loss(live, *double, alpha, steps, first_order, names)
    ours = torch.autograd.grad(loss, list(live.values()))
    # ... against the first-order gradient written out: theta' is reached without a graph to theta.
    expected = [torch.zeros_like(tensor) for tensor in live.values()]
    n_tasks = len(supports.label)
    for task in range(n_tasks):
        support, query = (LabelledPairs(*(field[task] for field in pairs)) for pairs in double)
        weights = {name: tensor.detach().clone() for name, tensor in live.items()}
        for _ in range(3):
            weights = {name: tensor.requires_grad_() for name, tensor in weights.items()}
            steps_down = torch.autograd.grad(maml.bce_loss(weights, support), list(weights.values()))
            weights = {
                name: (tensor - alpha * g).detach()
                for (name, tensor), g in zip(weights.items(), steps_down, strict=True)
            }
        weights = {name: tensor.requires_grad_() for name, tensor in weights.items()}
        at_query = torch.autograd.grad(maml.bce_loss(weights, query), list(weights.values()))
        expected = [total + g / n_tasks for total, g in zip(expected, at_query, strict=True)]
    for mine, reference in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, reference, rtol=0, atol=1e-12)


def test_anil_meta_trains_the_last_layer_in_the_inner_loop_only(monkeypatch) -> None:
    *_, first_order, names = captured_meta_loss(Anil, monkeypatch)
    assert set(names) == {"weight1", "bias1"}
    assert not first_order


def test_anil_adapts_only_the_last_layer_to_a_support() -> None:
    method = Anil(hidden=(8, 8))
    method.fit(make_train(2, 100), FitContext(budget=0.01))
    generator = torch.Generator().manual_seed(3)
    supports = LabelledPairs(
        torch.randn((2, 10, 3), generator=generator), torch.ones((2, 10)), torch.ones((2, 10)), torch.zeros(2)
    )
    adapted = method._adapted(supports)
    for name, tensor in method._parameters.items():
        same = torch.equal(adapted[name], tensor.expand_as(adapted[name]))
        assert same == (name not in {"weight2", "bias2"}), name


def test_the_reptile_step_equals_a_loop_over_tasks_and_minibatches() -> None:
    parameters, tasks = make_parameters(), make_tasks(3, 4, 6)
    found = reptile_step(parameters, tasks, inner_rate=0.4, outer_rate=0.25)
    total = {name: torch.zeros_like(tensor) for name, tensor in parameters.items()}
    for task in range(3):
        weights = {name: tensor.clone() for name, tensor in parameters.items()}
        for step in range(4):
            weights = {name: tensor.detach().requires_grad_() for name, tensor in weights.items()}
            p = torch.sigmoid(mlp(weights, tasks.inputs[task, step])[:, 0] + 0.3)
            y, c = tasks.label[task, step], tasks.weight[task, step]
            loss = -(c * (y * p.log() + (1 - y) * (1 - p).log())).sum() / c.sum()
            gradients = torch.autograd.grad(loss, list(weights.values()))
            weights = {name: tensor - 0.4 * g for (name, tensor), g in zip(weights.items(), gradients, strict=True)}
        for name, tensor in weights.items():
            total[name] += tensor.detach() / 3
    for name, phi in parameters.items():
        expected = 0.75 * phi + 0.25 * total[name]
        torch.testing.assert_close(found[name], expected, rtol=0, atol=1e-12)
        assert (found[name] - phi).abs().max() > 1e-4


def test_reptile_s_minibatches_hold_every_row_of_a_task_once_with_its_weight() -> None:
    support, query = np.arange(12).reshape(2, 6), 100 + np.arange(20).reshape(2, 10)
    weight = np.where(support % 3 == 0, 0.0, 1.0).astype(np.float32)
    batch = MetaBatch(support, weight, query, np.zeros(2, np.int64), Balance.NATURAL)
    rows, weights = reptile._minibatches(batch, 4, np.random.default_rng(0))
    assert rows.shape == weights.shape == (2, 4, 4)
    for task in range(2):
        assert sorted(rows[task].flatten().tolist()) == [*support[task], *query[task]]
    np.testing.assert_array_equal(weights, (rows >= 100) | (rows % 3 != 0))


# ---- the plugins ------------------------------------------------------------------------------------------


def test_adaptation_finds_the_feature_that_matters(fitted: Maml, held_out) -> None:
    query, label = held_out
    zero_shot = average_precision_score(label, fitted.score(no_support(query), query, query)[0])
    adapted = fitted.score(make_supports(query, label), query, query)
    assert np.mean([average_precision_score(label, row) for row in adapted]) > zero_shot + 0.05


def test_without_labels_the_scores_are_those_of_the_unadapted_network(fitted: Maml, held_out) -> None:
    query, _ = held_out
    zero_shot = fitted.score(no_support(query), query, query)
    network = mlp(fitted._parameters, fitted._inputs.of_cell(query, query)).squeeze(-1)
    np.testing.assert_allclose(zero_shot[0], network.numpy(), atol=1e-5)
    unlabelled = Supports(Regime.UNLABELLED, Balance.NATURAL, query, np.arange(24).reshape(3, 8))
    np.testing.assert_array_equal(fitted.score(unlabelled, query, query), np.repeat(zero_shot, 3, axis=0))


def test_the_order_of_a_support_does_not_matter(fitted: Maml, held_out) -> None:
    query, label = held_out
    supports = make_supports(query, label, 3, 16)
    rows = supports.rows[:, np.random.default_rng(0).permutation(16)]
    shuffled = Supports(Regime.LABELLED, Balance.NATURAL, query, rows, label[rows])
    np.testing.assert_allclose(fitted.score(shuffled, query, query), fitted.score(supports, query, query), atol=1e-4)


@pytest.mark.parametrize("balance", list(Balance))
@pytest.mark.parametrize("value", [0, 1])
def test_one_class_supports_are_valid(fitted: Maml, held_out, balance: Balance, value: int) -> None:
    query, _ = held_out
    label = np.full(query.n, value, dtype=np.int8)
    scores = fitted.score(make_supports(query, label, 3, 8, balance), query, query)
    assert np.isfinite(scores).all()
    change = scores.mean() - fitted.score(no_support(query), query, query).mean()
    assert change * (2 * value - 1) > 0


@pytest.mark.parametrize("cls", ALL)
def test_the_seed_decides_and_the_configuration_makes_the_method_again(cls: type[Maml], held_out) -> None:
    query, label = held_out
    supports, train, scores = make_supports(query, label, 2, 8), make_train(2, 100), []
    for seed in (3, 3, 4):
        method = cls(hidden=[8], inner_rate=0.2)
        again = cls(**method.config())
        assert again.config() == method.config()
        assert method.config()["inner_rate"] == 0.2
        again.fit(train, FitContext(seed=seed, budget=0.02))
        scores.append(again.score(supports, query, query))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 1e-3
    weights = 3 * 8 + 8 + 8 + 1
    assert again.n_parameters() == weights + (cls in (Fomaml, Anil))


def test_reptile_s_outer_steps_move_the_pre_trained_network() -> None:
    train, context = make_train(2, 100), FitContext(budget=0.05)
    slow, fast = Reptile(hidden=[8], outer_rate=1e-9), Reptile(hidden=[8])
    for method in (slow, fast):
        method.fit(train, context)
    assert (slow._parameters["weight0"] - fast._parameters["weight0"]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("cls", "settings"),
    [(FineTune, {"inner_rate": 0}), (FineTune, {"shrinkage": -1}), (Reptile, {"inner_steps": -1})],
)
def test_settings_out_of_range_are_refused(cls, settings) -> None:
    with pytest.raises(MethodError, match="inner_rate must be above 0"):
        cls(**settings)
    with pytest.raises(MethodError, match="outer_rate"):
        Reptile(outer_rate=0)

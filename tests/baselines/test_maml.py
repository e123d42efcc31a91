"""MAML: exact meta-gradients, batched adaptation equal to one at a time, and adaptation that helps."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from epishot.baselines import maml
from epishot.baselines.inner_loop import LabelledPairs
from epishot.baselines.maml import Maml
from epishot.baselines.meta_gradient import adapt, bce_loss, meta_loss
from epishot.baselines.networks import init_mlp, mlp
from epishot.methods.base import (
    Balance,
    FitContext,
    PairTable,
    Regime,
    Supports,
    TrainTable,
    no_support,
)

TASKS, K, Q, WIDTH = 3, 6, 9, 4


def make_pairs(n: int, seed: int, offset: float = 0.0) -> LabelledPairs:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn((TASKS, n, WIDTH), generator=generator, dtype=torch.float64)
    label = (torch.rand((TASKS, n), generator=generator) < 0.4).double()
    return LabelledPairs(inputs, label, torch.ones_like(label), torch.full((TASKS,), offset, dtype=torch.float64))


def make_parameters(seed: int = 0) -> dict[str, Tensor]:
    return init_mlp([WIDTH, 5, 5, 1], torch.Generator().manual_seed(seed), torch.float64)


ALL = tuple(make_parameters())


def meta_gradient(parameters: dict[str, Tensor], first_order: bool) -> dict[str, Tensor]:
    live = {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}
    loss = meta_loss(live, make_pairs(K, 1, 0.3), make_pairs(Q, 2), 0.4, 3, first_order)
    return dict(zip(live, torch.autograd.grad(loss, list(live.values())), strict=True))


def loop_gradient(
    parameters: dict[str, Tensor], first_order: bool, names: Collection[str] = ALL, rate: Tensor | float = 0.4
) -> dict[str, Tensor]:
    """Algorithm 1 with plain autograd, one task and one layer at a time; with `rate`, if it is a tensor."""

    def loss_of(weights: list[Tensor], x: Tensor, y: Tensor, offset: float) -> Tensor:
        hidden = x
        for layer in range(3):
            hidden = hidden @ weights[2 * layer] + weights[2 * layer + 1]
            hidden = hidden * torch.sigmoid(hidden) if layer < 2 else hidden
        p = torch.sigmoid(hidden[:, 0] + offset)
        return -(y * p.log() + (1 - y) * (1 - p).log()).mean()

    live = {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}
    support, query = make_pairs(K, 1, 0.3), make_pairs(Q, 2)
    total = torch.zeros((), dtype=torch.float64)
    for task in range(TASKS):
        weights = list(live.values())
        for _ in range(3):
            inner = loss_of(weights, support.inputs[task], support.label[task], 0.3)
            gradients = torch.autograd.grad(inner, weights, create_graph=not first_order, retain_graph=True)
            weights = [
                w - rate * g if name in names else w for name, w, g in zip(live, weights, gradients, strict=True)
            ]
        total = total + loss_of(weights, query.inputs[task], query.label[task], 0.0) / TASKS
    of = live | ({"rate": rate} if isinstance(rate, Tensor) else {})
    return dict(zip(of, torch.autograd.grad(total, list(of.values())), strict=True))


@pytest.mark.parametrize("first_order", [False, True])
def test_meta_gradient_equals_a_plain_autograd_loop(first_order: bool) -> None:
    parameters = make_parameters()
    ours, reference = meta_gradient(parameters, first_order), loop_gradient(parameters, first_order)
    for name in parameters:
        torch.testing.assert_close(ours[name], reference[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(
    "names",
    [ALL, ("weight2", "bias2"), ("weight2",), ("bias2",), ("weight0", "bias0"), ("bias0", "weight1"), ("bias1",)],
    ids=" ".join,
)
def test_whichever_parameters_move_all_have_their_meta_gradient_and_so_has_the_rate(names, first_order: bool) -> None:
    """Those that stay too: the inner gradients of the others depend on them."""
    parameters = make_parameters()
    rate = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    live = {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}
    loss = meta_loss(live, make_pairs(K, 1, 0.3), make_pairs(Q, 2), rate, 3, first_order, names)
    ours = torch.autograd.grad(loss, [*live.values(), rate])
    reference = loop_gradient(parameters, first_order, names, rate)
    for name, found in zip([*live, "rate"], ours, strict=True):
        torch.testing.assert_close(found, reference[name], rtol=0, atol=1e-12, msg=name)


def test_adaptation_goes_on_from_adapted_parameters() -> None:
    """Two times two steps are four: tasks may start from parameters of their own."""
    parameters, support = make_parameters(), make_pairs(K, 1)
    once, twice = adapt(parameters, support, 0.4, 4), adapt(adapt(parameters, support, 0.4, 2), support, 0.4, 2)
    for name in parameters:
        torch.testing.assert_close(once[name], twice[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
def test_tasks_in_chunks_give_the_meta_gradient_of_all_together(first_order: bool, monkeypatch) -> None:
    whole = meta_gradient(make_parameters(), first_order)
    monkeypatch.setattr("epishot.baselines.meta_gradient._CHUNK_ROWS", 2 * K)
    for name, value in meta_gradient(make_parameters(), first_order).items():
        torch.testing.assert_close(value, whole[name], rtol=0, atol=1e-15)


def test_second_order_meta_gradient_equals_finite_differences() -> None:
    parameters = make_parameters()
    gradient, h = meta_gradient(parameters, first_order=False), 1e-5
    supports, queries = make_pairs(K, 1, 0.3), make_pairs(Q, 2)

    def value(changed: dict[str, Tensor]) -> float:
        return float(meta_loss(changed, supports, queries, 0.4, 3).detach())

    for name, tensor in parameters.items():
        for index in range(tensor.numel()):
            step = torch.zeros(tensor.numel(), dtype=torch.float64)
            step[index] = h
            up, down = ({**parameters, name: tensor + sign * step.view_as(tensor)} for sign in (1, -1))
            numeric = (value(up) - value(down)) / (2 * h)
            assert abs(numeric - float(gradient[name].flatten()[index])) < 1e-9


def test_first_and_second_order_differ() -> None:
    parameters = make_parameters()
    exact, approximate = meta_gradient(parameters, False), meta_gradient(parameters, True)
    assert (exact["weight0"] - approximate["weight0"]).abs().max() > 1e-4


def test_only_the_named_parameters_are_adapted() -> None:
    parameters = make_parameters()
    adapted = adapt(parameters, make_pairs(K, 1), 0.1, 3, names=("weight2", "bias2"))
    for name, tensor in parameters.items():
        assert torch.equal(adapted[name], tensor.expand_as(adapted[name])) == (name not in {"weight2", "bias2"})


def test_the_inner_rate_has_a_meta_gradient() -> None:
    rate = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    data = make_pairs(K, 1), make_pairs(Q, 2)
    (gradient,) = torch.autograd.grad(meta_loss(make_parameters(), *data, rate, 2), rate)
    up, down = (float(meta_loss(make_parameters(), *data, 0.3 + h, 2)) for h in (1e-5, -1e-5))
    assert float(gradient) == pytest.approx((up - down) / 2e-5, abs=1e-9)


def test_padding_changes_nothing_and_an_empty_support_leaves_the_initialisation() -> None:
    parameters = make_parameters()
    pairs = make_pairs(K, 1)
    padded = LabelledPairs(
        torch.cat([pairs.inputs, 9 * torch.ones_like(pairs.inputs)], 1),
        torch.cat([pairs.label, torch.ones_like(pairs.label)], 1),
        torch.cat([pairs.weight, torch.zeros_like(pairs.weight)], 1),
        pairs.offset,
    )
    queries = make_pairs(Q, 2)
    live = {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}
    # With more pairs than twice the columns, the first layer's products are made in another order.
    assert 2 * (WIDTH + 1) in range(K, 2 * K)
    same = [meta_loss(live, support, queries, 0.4, 3) for support in (pairs, padded)]
    torch.testing.assert_close(same[0], same[1], rtol=0, atol=1e-14)
    assert same[0].shape == ()
    for one, other in zip(*(torch.autograd.grad(loss, list(live.values())) for loss in same), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-14)
    empty = padded._replace(weight=torch.zeros_like(padded.weight))
    unadapted = bce_loss(parameters, queries).mean()
    torch.testing.assert_close(meta_loss(parameters, empty, queries, 0.4, 3), unadapted, rtol=0, atol=1e-15)


def test_the_case_control_offset_keeps_a_calibrated_intercept() -> None:
    # A network that always says "prevalence 10 %" must not move on a balanced support without information.
    parameters = {name: torch.zeros_like(tensor) for name, tensor in make_parameters().items()}
    logit = float(np.log(0.1 / 0.9))
    parameters["bias2"] = torch.full((1,), logit, dtype=torch.float64)
    one = LabelledPairs(
        torch.zeros((1, 4, WIDTH), dtype=torch.float64),
        torch.tensor([[0, 1, 0, 1]], dtype=torch.float64),
        torch.ones((1, 4), dtype=torch.float64),
        torch.tensor([-logit], dtype=torch.float64),
    )
    assert float(adapt(parameters, one, 0.5, 5)["bias2"]) == pytest.approx(logit, abs=1e-12)
    natural = one._replace(offset=torch.zeros(1, dtype=torch.float64))
    assert float(adapt(parameters, natural, 0.5, 5)["bias2"]) > logit + 0.5


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
def fitted() -> Maml:
    method = Maml(hidden=(16,), inner_rate=1.0, shrinkage=16.0)
    method.fit(make_train(), FitContext(seed=1))
    return method


@pytest.fixture(scope="module")
def held_out() -> tuple[PairTable, np.ndarray]:
    return make_cell(800, 1, np.random.default_rng(99))


def test_adaptation_finds_the_feature_that_matters(fitted: Maml, held_out: tuple[PairTable, np.ndarray]) -> None:
    query, label = held_out
    zero_shot = average_precision_score(label, fitted.score(no_support(query), query, query)[0])
    adapted = fitted.score(make_supports(query, label, 8, 64), query, query)
    assert np.mean([average_precision_score(label, row) for row in adapted]) > zero_shot + 0.1


def test_batched_scores_equal_a_loop_over_supports(
    fitted: Maml, held_out: tuple[PairTable, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    query, label = held_out
    monkeypatch.setattr(maml, "_SCORE_CHUNK", 3)
    supports = make_supports(query, label, 8, 16)
    batched = fitted.score(supports, query, query)
    assert batched.shape == (8, 800)
    assert batched.dtype == np.float64
    inputs = fitted._inputs.of_cell(query, query)
    for episode, rows in enumerate(supports.rows):
        weights = [tensor.clone().requires_grad_() for tensor in fitted._parameters.values()]
        target = torch.from_numpy(label[rows].astype(np.float32))
        for _ in range(5):
            logit = mlp(dict(zip(fitted._parameters, weights, strict=True)), inputs[rows]).squeeze(-1)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, target)
            steps = torch.autograd.grad(loss, weights)
            rate = fitted._alpha * 16 / (16 + 16)
            weights = [(w - rate * g).detach().requires_grad_() for w, g in zip(weights, steps, strict=True)]
        alone = mlp(dict(zip(fitted._parameters, weights, strict=True)), inputs).squeeze(-1)
        np.testing.assert_allclose(batched[episode], alone.detach().numpy(), atol=2e-4)


def test_scoring_depends_on_the_arguments_only(fitted: Maml, held_out: tuple[PairTable, np.ndarray]) -> None:
    query, label = held_out
    before = fitted.score(no_support(query), query, query)
    supports = make_supports(query, label, 4, 32)
    first = fitted.score(supports, query, query)
    np.testing.assert_array_equal(fitted.score(supports, query, query), first)
    np.testing.assert_array_equal(fitted.score(no_support(query), query, query), before)
    order = np.random.default_rng(0).permutation(query.n)
    np.testing.assert_allclose(
        fitted.score(supports, query.take(order), query.take(order[::-1])), first[:, order], atol=1e-4
    )


def test_supports_without_labels_score_like_zero_shot(fitted: Maml, held_out: tuple[PairTable, np.ndarray]) -> None:
    query, _ = held_out
    zero_shot = fitted.score(no_support(query), query, query)
    unlabelled = Supports(Regime.UNLABELLED, Balance.NATURAL, query, np.arange(24).reshape(3, 8))
    np.testing.assert_array_equal(fitted.score(unlabelled, query, query), np.repeat(zero_shot, 3, axis=0))


@pytest.mark.parametrize("value", [0, 1])
def test_one_class_supports_are_valid(fitted: Maml, held_out: tuple[PairTable, np.ndarray], value: int) -> None:
    query, _ = held_out
    label = np.full(query.n, value, dtype=np.int8)
    scores = fitted.score(make_supports(query, label, 3, 8), query, query)
    assert np.isfinite(scores).all()
    zero_shot = fitted.score(no_support(query), query, query)
    assert (np.sign((scores - zero_shot).mean(axis=1)) == (1 if value else -1)).all()


def test_the_seed_decides_and_the_budget_scales(held_out: tuple[PairTable, np.ndarray]) -> None:
    query, _ = held_out
    scores = []
    for seed in (3, 3, 4):
        method = Maml(hidden=[8])
        method.fit(make_train(n=100), FitContext(seed=seed, budget=0.02))
        scores.append(method.score(no_support(query), query, query))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 1e-3
    assert method.n_parameters() == (3 * 8 + 8 + 8 + 1) + 1
    assert method.config()["hidden"] == [8]


@pytest.mark.parametrize("positives", [0, 1])
def test_training_cells_of_one_class_and_missing_columns_are_survived(positives: int) -> None:
    train = make_train(n=60, cells=2)
    bare = PairTable(n=120, chrom=train.pairs.chrom)
    label = np.full(120, positives, dtype=np.int8)
    method = Maml(hidden=[4])
    method.fit(TrainTable(bare, label, train.cell, 2), FitContext(budget=0.01))
    scores = method.score(make_supports(bare, label, 2, 8, Balance.BALANCED), bare, bare)
    assert scores.shape == (2, 120)
    assert np.isfinite(scores).all()

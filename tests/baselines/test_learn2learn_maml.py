"""Our MAML and learn2learn's give the same meta-gradients; the plugin that runs the library gives our scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epishot.baselines import learn2learn_maml, maml
from epishot.baselines.inner_loop import LabelledPairs
from epishot.baselines.learn2learn_import import Learn2learn
from epishot.baselines.learn2learn_maml import MamlLearn2learn, adapted_weights
from epishot.baselines.learn2learn_sampler import from_task_transforms
from epishot.baselines.maml import Maml
from epishot.baselines.networks import init_mlp
from epishot.methods.base import Balance, FitContext, PairTable, Reads, Regime, Supports, TrainTable, no_support
from epishot.methods.tables import train_table
from epishot.tasks.catalog import load_task
from epishot.tasks.errors import MethodError
from epishot.tasks.splits import cell_splits

TASKS, K, Q, WIDTH, HIDDEN = 4, 8, 12, 5, 7
ORDERS = pytest.mark.parametrize("first_order", [False, True], ids=["second-order", "first-order"])
STEPS = pytest.mark.parametrize("steps", [1, 5])
TOLERANCE = 1e-8


def pairs(n: int, seed: int, offset: float = 0.0) -> LabelledPairs:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn((TASKS, n, WIDTH), generator=generator, dtype=torch.float64)
    label = (torch.rand((TASKS, n), generator=generator) < 0.4).double()
    return LabelledPairs(inputs, label, torch.ones_like(label), torch.full((TASKS,), offset, dtype=torch.float64))


def shared_weights() -> dict[str, Tensor]:
    start = init_mlp([WIDTH, HIDDEN, HIDDEN, 1], torch.Generator().manual_seed(3), torch.float64)
    # Larger than at a start, so that the second-order terms are not lost beside the first.
    return {name: (2 * tensor).requires_grad_() for name, tensor in start.items()}


def our_gradient(steps: int, first_order: bool, rate: float) -> dict[str, Tensor]:
    live = shared_weights()
    loss = maml.meta_loss(live, pairs(K, 1), pairs(Q, 2), rate, steps, first_order)
    return dict(zip(live, torch.autograd.grad(loss, list(live.values())), strict=True))


def textbook_gradient(library: Learn2learn, steps: int, first_order: bool, rate: float) -> dict[str, Tensor]:
    """The training loop of learn2learn's own documentation, on torch's layers and torch's loss."""
    weights = shared_weights()
    layers = [nn.Linear(weights[f"weight{i}"].shape[0], weights[f"weight{i}"].shape[1]).double() for i in range(3)]
    with torch.no_grad():
        for i, layer in enumerate(layers):
            layer.weight.copy_(weights[f"weight{i}"].T)
            layer.bias.copy_(weights[f"bias{i}"])
    model = library.maml(
        nn.Sequential(layers[0], nn.SiLU(), layers[1], nn.SiLU(), layers[2]), lr=rate, first_order=first_order
    )
    loss, (support, query) = nn.BCEWithLogitsLoss(), (pairs(K, 1), pairs(Q, 2))
    total = torch.zeros((), dtype=torch.float64)
    for task in range(TASKS):
        learner = model.clone()
        for _ in range(steps):
            learner.adapt(loss(learner(support.inputs[task]).squeeze(-1), support.label[task]))
        total = total + loss(learner(query.inputs[task]).squeeze(-1), query.label[task]) / TASKS
    total.backward()
    found: dict[str, Tensor] = {}
    for i, layer in enumerate(layers):
        assert layer.weight.grad is not None
        assert layer.bias.grad is not None
        found[f"weight{i}"], found[f"bias{i}"] = layer.weight.grad.T, layer.bias.grad
    return found


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@STEPS
@ORDERS
def test_our_meta_gradients_are_those_of_learn2learn(library: Learn2learn, steps: int, first_order: bool) -> None:
    ours, theirs = our_gradient(steps, first_order, 0.4), textbook_gradient(library, steps, first_order, 0.4)
    assert all(tensor.dtype == torch.float64 for tensor in [*ours.values(), *theirs.values()])
    assert largest_difference(ours, theirs) <= TOLERANCE


@STEPS
def test_the_comparison_tells_the_orders_and_the_steps_apart(library: Learn2learn, steps: int) -> None:
    second = our_gradient(steps, False, 0.4)
    assert largest_difference(second, textbook_gradient(library, steps, True, 0.4)) > 1e-4
    assert largest_difference(second, textbook_gradient(library, steps + 1, False, 0.4)) > 1e-4


@pytest.mark.usefixtures("library")
@STEPS
@ORDERS
def test_the_plugins_objective_and_ours_agree_with_padding_offsets_and_a_learned_rate(
    steps: int, first_order: bool
) -> None:
    supports = pairs(K, 1, offset=0.7)
    weight = supports.weight.clone()
    weight[0, 5:], weight[1] = 0.0, 0.0
    supports = supports._replace(weight=weight)
    results = []
    for function in (maml.meta_loss, learn2learn_maml.meta_loss):
        live = shared_weights() | {"rate": torch.full((1,), 0.4, dtype=torch.float64, requires_grad=True)}
        network = {name: tensor for name, tensor in live.items() if name != "rate"}
        loss = function(network, supports, pairs(Q, 2), live["rate"], steps, first_order)
        gradients = torch.autograd.grad(loss, list(live.values()))
        results.append(dict(zip(live, gradients, strict=True)) | {"loss": loss.detach()})
    assert largest_difference(*results) <= TOLERANCE
    assert float(results[0]["rate"].abs()) > 1e-4


@pytest.mark.usefixtures("library")
def test_adaptation_leaves_the_initialisation_as_it_was() -> None:
    live = shared_weights()
    before = {name: tensor.detach().clone() for name, tensor in live.items()}
    support = LabelledPairs(*(tensor[0] for tensor in pairs(K, 1)))
    adapted = adapted_weights(live, support, 0.4, 3)
    assert all(torch.equal(live[name], before[name]) for name in live)
    assert all(not torch.equal(adapted[name], before[name]) for name in live)


def cells() -> tuple[TrainTable, PairTable, Supports]:
    """Training rows of `synthetic`, a query, and two labelled supports of one held-out cell."""
    task = load_task("synthetic")
    split = cell_splits(task, "cell")[0]
    rng = np.random.default_rng(0)
    table = train_table(task, np.sort(rng.choice(split.train_rows, 3000, replace=False)), Maml.reads)
    pool = train_table(task, rng.choice(split.pool_rows, 40, replace=False), Maml.reads)
    query = train_table(task, rng.choice(split.query_rows, 200, replace=False), Maml.reads).pairs
    rows = np.stack([rng.choice(40, 16, replace=False) for _ in range(2)])
    supports = Supports(Regime.LABELLED, Balance.NATURAL, pool.pairs, rows, pool.label[rows])
    return table, query, supports


@pytest.mark.usefixtures("library")
def test_the_plugin_trains_and_scores_like_ours() -> None:
    train, query, supports = cells()
    context = FitContext(seed=5, budget=0.05)
    ours, theirs = Maml(), MamlLearn2learn()
    ours.fit(train, context)
    theirs.fit(train, context)
    for which in (supports, no_support(query)):
        expected, found = ours.score(which, query, query), theirs.score(which, query, query)
        assert expected.std() > 0.1
        # float32, and hundreds of steps in which differences of rounding grow.
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)
    adapted, zero = theirs.score(supports, query, query), theirs.score(no_support(query), query, query)
    assert np.abs(adapted - zero).max() > 0.01
    with torch.no_grad():
        np.testing.assert_array_equal(theirs.score(supports, query, query), adapted)


class ByTransforms(MamlLearn2learn):
    """Meta-trained on tasks made by learn2learn transforms."""

    name = "by-transforms"

    def sampler(self, train, generator):
        from epishot.baselines.learn2learn_import import learn2learn

        made = learn2learn().data.transforms
        return from_task_transforms(
            train, lambda data: [made.FusedNWaysKShots(data, n=2, k=90, replacement=True)], generator
        )


@pytest.mark.usefixtures("library")
def test_the_plugin_meta_trains_on_tasks_of_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maml, "_META_SHOTS", (8, 16))
    train, query, supports = cells()
    method = ByTransforms()
    method.fit(train, FitContext(seed=5, budget=0.02))
    assert np.isfinite(method.score(supports, query, query)).all()


def test_another_release_is_refused(library: Learn2learn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn2learn_maml, "learn2learn", lambda: library._replace(version="0.1.7"))
    with pytest.raises(MethodError, match=r"runs learn2learn 0\.2\.0, not 0\.1\.7"):
        MamlLearn2learn()


def test_declarations_follow_maml() -> None:
    assert MamlLearn2learn.capabilities() == Maml.capabilities()
    assert Reads.COORDINATES in MamlLearn2learn.reads

"""MAML against the loop of learn2learn: an MLP 25-64-64-1, five inner steps, 32 support and 64 query pairs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from epishot.baselines.inner_loop import LabelledPairs
from epishot.baselines.meta_gradient import adapt, meta_loss
from epishot.baselines.networks import init_mlp, mlp, mlp_in_chunks

WIDTHS, SHOTS, QUERY, STEPS, RATE = (25, 64, 64, 1), 32, 64, 5, 0.1
#: Multiply-adds of one pass through the network, per pair.
_PASS = sum(a * b for a, b in pairwise(WIDTHS))


class Network(nn.Module):
    """The same network as a module, as learn2learn wants it."""

    def __init__(self, start: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.weights = nn.ParameterDict({name: nn.Parameter(value.clone()) for name, value in start.items()})

    def forward(self, inputs: Tensor) -> Tensor:
        return mlp(dict(self.weights.items()), inputs).squeeze(-1)


def pairs(tasks: int, size: int, seed: int) -> LabelledPairs:
    generator = torch.Generator().manual_seed(seed)
    label = (torch.rand(tasks, size, generator=generator) < 0.3).float()
    inputs = torch.randn(tasks, size, WIDTHS[0], generator=generator)
    return LabelledPairs(inputs, label, torch.ones_like(label), torch.zeros(tasks))


def start() -> dict[str, Tensor]:
    return init_mlp(WIDTHS, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("tasks", "must_reach"), [(16, 5), (64, 12)])
def test_second_order_meta_step(race, machine, full, library, tasks, must_reach) -> None:
    tasks = tasks if full else 2
    supports, queries = pairs(tasks, SHOTS, 1), pairs(tasks, QUERY, 2)
    network = Network(start())
    live = {name: value.requires_grad_() for name, value in start().items()}

    def ours() -> dict[str, Tensor]:
        loss = meta_loss(live, supports, queries, RATE, STEPS)
        return dict(zip(live, torch.autograd.grad(loss, list(live.values())), strict=True))

    def peer() -> dict[str, Tensor]:
        learner = library.maml(network, lr=RATE)
        total = torch.zeros(())
        for task in range(tasks):
            clone = learner.clone()
            for _ in range(STEPS):
                clone.adapt(cross_entropy(clone(supports.inputs[task]), supports.label[task]))
            total = total + cross_entropy(clone(queries.inputs[task]), queries.label[task]) / tasks
        learner.zero_grad()
        total.backward()
        return {name: value.grad for name, value in network.weights.items()}

    expected = peer()
    for name, gradient in ours().items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-6)
    # Another layer than the first takes three products in each step, and six on the way back. The inputs of the first
    # stay: one product with those of all pairs in each direction, and four in all for the start and the end.
    first = WIDTHS[0] * WIDTHS[1]
    rest = _PASS - first
    step = 2 * SHOTS * WIDTHS[1] + 9 * rest
    flops = 2 * tasks * (SHOTS * (STEPS * step + 4 * first) + QUERY * (2 * first + 3 * rest))
    # One step after the other, as in training: a turn of ours is then about as long as one of the peer's.
    in_a_row = 8 if full else 1
    race(
        f"second-order MAML meta-step, 25-64-64-1, 5 steps, B = {tasks}",
        lambda: [ours() for _ in range(in_a_row)],
        ("learn2learn MAML loop", peer),
        must_reach,
        rounds=10,
        units=(in_a_row, 1),
        floor_s=machine.floor_s(flops=flops),
    )


def test_adapt_and_score(race, machine, full, library) -> None:
    episodes, queries = (256, 20_000) if full else (3, 500)
    shown = 8 if full else 2
    supports = pairs(episodes, SHOTS, 1)
    query = torch.randn(queries, WIDTHS[0], generator=torch.Generator().manual_seed(3))
    initial, network = start(), Network(start())

    def ours(chunk: int = 16) -> np.ndarray:
        scores = np.empty((episodes, queries), dtype=np.float32)
        for first in range(0, episodes, chunk):
            part = slice(first, first + chunk)
            adapted = adapt(initial, supports.tasks(part), RATE, STEPS)
            scores[part] = mlp_in_chunks(adapted, query).squeeze(-1).numpy()
        return scores

    def peer() -> np.ndarray:
        learner = library.maml(network, lr=RATE, first_order=True)
        scores = np.empty((shown, queries), dtype=np.float32)
        for task in range(shown):
            clone = learner.clone()
            for _ in range(STEPS):
                clone.adapt(cross_entropy(clone(supports.inputs[task]), supports.label[task]))
            with torch.no_grad():
                scores[task] = clone(query).numpy()
        return scores

    np.testing.assert_allclose(ours()[:shown], peer(), rtol=0, atol=1e-5)
    race(
        "adapt to 256 supports and score 20k queries each",
        ours,
        ("learn2learn MAML loop", peer),
        15,
        rounds=3,
        units=(episodes, shown),
        floor_s=machine.floor_s(flops=2 * _PASS * (queries + 3 * STEPS * SHOTS)),
    )

"""The functional MLP against torch's modules, batched weights against a loop, and the optimiser loop."""

from __future__ import annotations

import pytest
import torch

from epishot.baselines.networks import count, init_mlp, mlp, mlp_in_chunks, optimise


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_forward_equals_torch_modules() -> None:
    parameters = init_mlp([3, 5, 4, 2], generator())
    net = torch.nn.Sequential()
    for layer, (fan_in, fan_out) in enumerate([(3, 5), (5, 4), (4, 2)]):
        linear = torch.nn.Linear(fan_in, fan_out)
        linear.load_state_dict({"weight": parameters[f"weight{layer}"].T, "bias": parameters[f"bias{layer}"]})
        net.append(linear)
        if layer < 2:
            net.append(torch.nn.SiLU())
    inputs = torch.randn((7, 3), generator=generator(1))
    torch.testing.assert_close(mlp(parameters, inputs), net(inputs))
    assert count(parameters) == sum(p.numel() for p in net.parameters())


def test_a_batch_of_weights_equals_one_set_at_a_time_in_any_chunks() -> None:
    sets = [init_mlp([3, 4, 1], generator(seed)) for seed in range(5)]
    batch = {name: torch.stack([one[name] for one in sets]) for name in sets[0]}
    inputs = torch.randn((5000, 3), generator=generator(1))
    together = mlp_in_chunks(batch, inputs)
    assert together.shape == (5, 5000, 1)
    for one, expected in zip(sets, together, strict=True):
        torch.testing.assert_close(mlp(one, inputs), expected, rtol=1e-5, atol=1e-6)
    assert mlp_in_chunks(sets[0], inputs[:0]).shape == (0, 1)


@pytest.mark.parametrize("steps", [1, 3, 400])
def test_optimise_takes_exactly_the_steps_and_leaves_the_start_alone(steps: int) -> None:
    start = {"weight0": torch.ones((2, 1)), "bias0": torch.zeros(1)}
    calls = []

    def loss(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        calls.append(1)
        return (parameters["weight0"] - 3).square().sum() + (parameters["bias0"] + 1).square().sum()

    found = optimise(start, loss, steps=steps, learning_rate=0.1, weight_decay=0.0)
    assert len(calls) == steps
    assert start["weight0"].tolist() == [[1.0], [1.0]]
    assert not found["weight0"].requires_grad
    if steps == 400:
        torch.testing.assert_close(found["weight0"], torch.full((2, 1), 3.0), atol=1e-2, rtol=0)
        torch.testing.assert_close(found["bias0"], torch.tensor([-1.0]), atol=1e-2, rtol=0)


def test_weights_decay_and_biases_do_not() -> None:
    start = {"weight0": torch.ones((2, 1)), "bias0": torch.ones(1)}
    flat = optimise(
        start, lambda p: 0 * (p["weight0"].sum() + p["bias0"].sum()), steps=200, learning_rate=0.1, weight_decay=1.0
    )
    assert flat["weight0"].max() < 0.01
    assert flat["bias0"].item() == 1.0
    kept = optimise(
        start,
        lambda p: 0 * (p["weight0"].sum() + p["bias0"].sum()),
        steps=9,
        learning_rate=0.1,
        weight_decay=1.0,
        undecayed={"weight0"},
    )
    assert kept["weight0"].min() == 1.0

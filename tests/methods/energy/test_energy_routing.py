"""Gradients reach the groups that a loss declares and no other: for every preset, stage and loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from epishot.methods.base import FitContext, PairTable, TrainTable
from epishot.methods.energy import presets
from epishot.methods.energy.method import EnergyMethod
from epishot.methods.energy.names import Group
from epishot.methods.energy.routing import reach_of, route
from epishot.methods.energy.samplers.base import TrainingLabels
from epishot.methods.energy.samplers.loci import locus_groups
from epishot.methods.energy.training import _Training

PRESETS = [value for value in vars(presets).values() if isinstance(value, type) and issubclass(value, EnergyMethod)]
PRESETS.remove(EnergyMethod)
SMALL = {"encoder": {"width": 16, "latent": 6, "head_width": 7, "channels": 8, "token_embedding": 6}}
#: Own losses of a negative control that reach the encoder although their class forbids it.
LEAKY = {"energy-cednet-mixed"}


def table(n: int = 240, cells: int = 3) -> TrainTable:
    """Pairs of several cells with everything a method may read; the same 60 pairs stand in every cell."""
    rng = np.random.default_rng(0)
    each = n // cells
    pair = np.tile(np.arange(each), cells)
    pairs = PairTable(
        n=n,
        features=rng.random((n, 5)).astype(np.float32),
        distance=10 ** rng.uniform(3.5, 6, n),
        enhancer_sequence=rng.integers(0, 4, (n, 120)).astype(np.uint8),
        promoter_sequence=rng.integers(0, 4, (n, 140)).astype(np.uint8),
        chrom=(pair % 8).astype(np.int32),
        element=(pair // 2).astype(np.int32),
        gene=(pair % 30).astype(np.int32),
    )
    label = (rng.random(n) < 0.35).astype(np.int8)
    return TrainTable(pairs, label, np.repeat(np.arange(cells, dtype=np.int32), each), cells)


def training(preset: type[EnergyMethod], **options: object) -> _Training:
    method = preset(**{**SMALL, "sampler": {"block_rows": 32, "blocks": 3}, "optimiser": {"small": 0.1}, **options})
    train = table()
    pairs = train.pairs
    labels = TrainingLabels(
        train.label.astype(np.int64),
        train.cell.astype(np.int64),
        locus_groups(pairs),
        np.unique(np.column_stack([pairs.element, pairs.gene]), axis=0, return_inverse=True)[1].ravel(),
    )
    torch.manual_seed(0)
    return _Training(method._data(train), labels, train.n_cells, method._config, FitContext(budget=0.02))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_loss_reaches_what_it_declares_and_nothing_else(preset):
    state = training(preset)
    _shake(state)
    groups = state.groups()
    arrived = {name: set() for name in state.losses}
    for number, stage in enumerate(state.config.stages):
        state.done = state.total // 2  # inside every ramp
        state.model.train()
        active = state.config.active(stage)
        for name in active:
            for _ in range(3):
                made = state._forward(state.samplers[number], stage, None, active)
                weighted = state._weighted([name], made)
                if not weighted:
                    continue
                route(weighted, groups, made.boundary, small=0.1)
                reach = reach_of(state.losses[name], leak=state.config.losses[name].leak)
                for group, parameters in groups.items():
                    moved = any(p.grad is not None and bool((p.grad != 0).any()) for p in parameters)
                    forbidden = group not in reach.full | reach.small
                    assert not (forbidden and moved), f"{name} reached {group} in stage {stage.name}"
                    if moved:
                        arrived[name].add(group)
    assert set().union(*arrived.values()) >= {Group.ENCODER}
    for name, found in arrived.items():
        # Pull and push wait for a student that is worse than the opportunist.
        if state.config.losses[name].weight and name not in {"pull", "push"}:
            assert found, f"{name} moved nothing at all"


def test_only_the_negative_control_leaks():
    for preset in PRESETS:
        leaks = {name for name, loss in preset(**SMALL)._config.losses.items() if loss.leak}
        assert bool(leaks) == (preset.name in LEAKY)


def test_small_groups_receive_the_scaled_gradient_exactly():
    state = training(presets.EnergyContrastive)
    _shake(state)
    groups = state.groups()
    stage = state.config.stages[1]
    grads = []
    for small in (1.0, 0.25):
        torch.manual_seed(1)
        state.samplers[1].rng = np.random.default_rng(1)
        state.model.eval()
        made = state._forward(state.samplers[1], stage, None, state.config.active(stage))
        weighted = state._weighted(["orthogonal"], made)
        route(weighted, groups, made.boundary, small=small)
        grads.append([p.grad.clone() for p in groups[Group.ENCODER] if p.grad is not None])
    assert grads[0]
    for full, scaled in zip(*grads, strict=True):
        torch.testing.assert_close(scaled, 0.25 * full)


def test_two_losses_add_up_and_a_frozen_group_gets_nothing():
    state = training(presets.EnergyAdditive)
    _shake(state)
    groups = state.groups()
    stage = state.config.stages[1]

    def gradients(names, frozen=()):
        state.samplers[1].rng = np.random.default_rng(1)
        state.model.eval()
        made = state._forward(state.samplers[1], stage, None, state.config.active(stage))
        route(state._weighted(names, made), groups, made.boundary, small=0.1, frozen=frozen)
        return [None if p.grad is None else p.grad.clone() for p in groups[Group.ENCODER]]

    both, task, rank = gradients(["likelihood", "rank"]), gradients(["likelihood"]), gradients(["rank"])
    for sum_, first, second in zip(both, task, rank, strict=True):
        torch.testing.assert_close(sum_, first + second, atol=1e-6, rtol=1e-4)
    gradients(["likelihood", "rank"], frozen={Group.ENCODER, Group.STUDENT})
    assert all(p.grad is None for group in (Group.ENCODER, Group.STUDENT) for p in groups[group])


def _shake(state: _Training) -> None:
    """Move every parameter off its start, where zero-initialised maps let no gradient through."""
    with torch.no_grad():
        for parameters in state.groups().values():
            for parameter in parameters:
                parameter.add_(0.05 * torch.randn_like(parameter))

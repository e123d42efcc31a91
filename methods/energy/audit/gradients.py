"""Gradients of single losses, taken independently of the routing, and what the routing should have made of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..names import Group, LossName
from ..routing import Boundary, Reach, Weighted

Gradients = dict[Group, list[Tensor]]


def raw_gradients(value: Tensor, groups: Mapping[Group, Sequence[nn.Parameter]], boundary: Boundary) -> Gradients:
    """What a loss would send to every group if nothing were routed; the graph is kept, `.grad` is left alone."""
    zero = {group: [torch.zeros_like(p) for p in own] for group, own in groups.items()}
    if not value.requires_grad:
        return zero
    flat = [(group, place, p) for group, own in groups.items() for place, p in enumerate(own)]
    behind = boundary.pairs
    found = torch.autograd.grad(
        value, [*(p for _, _, p in flat), *(leaf for _, leaf in behind)], allow_unused=True, retain_graph=True
    )
    for (group, place, _), gradient in zip(flat, found[: len(flat)], strict=True):
        if gradient is not None:
            zero[group][place] = gradient
    arrived = [(out, g) for (out, _), g in zip(behind, found[len(flat) :], strict=True) if g is not None]
    encoder = list(groups.get(Group.ENCODER, ()))
    chromatin = list(groups.get(Group.CHROMATIN, ()))
    inner = [
        *((Group.ENCODER, i, p) for i, p in enumerate(encoder)),
        *((Group.CHROMATIN, i, p) for i, p in enumerate(chromatin)),
    ]
    if arrived and inner:
        through = torch.autograd.grad(
            [out for out, _ in arrived],
            [p for _, _, p in inner],
            [gradient for _, gradient in arrived],
            allow_unused=True,
            retain_graph=True,
        )
        for (group, place, _), gradient in zip(inner, through, strict=True):
            if gradient is not None:
                zero[group][place] = zero[group][place] + gradient
    return zero


def norm(tensors: Sequence[Tensor]) -> float:
    """Euclidean norm of several tensors as one vector."""
    return math.sqrt(sum(float(tensor.detach().square().sum()) for tensor in tensors))


def permitted(reach: Reach, group: Group, *, small: float, frozen: Collection[Group]) -> float:
    """Factor on a loss's gradient into a group: 1, the small one, or 0."""
    if group in frozen:
        return 0.0
    return 1.0 if group in reach.full else small if group in reach.small else 0.0


class StepGradients(NamedTuple):
    """Gradients of one step.

    Attributes:
        norms: of every weighted loss in every group that it may reach, as routed. total: norm of their sum, by group.
        expected: that sum, tensor by tensor. cosines: of pairs of losses in the encoder.
    """

    norms: dict[tuple[LossName, Group], float]
    total: dict[Group, float]
    expected: Gradients
    cosines: dict[tuple[LossName, LossName], float]


def measure(
    weighted: Mapping[LossName, Weighted],
    groups: Mapping[Group, Sequence[nn.Parameter]],
    boundary: Boundary,
    *,
    small: float,
    frozen: Collection[Group],
) -> StepGradients:
    """Gradients that the losses of a step should lead to."""
    expected: Gradients = {group: [torch.zeros_like(p) for p in own] for group, own in groups.items()}
    norms: dict[tuple[LossName, Group], float] = {}
    encoder: dict[LossName, Tensor] = {}
    for name, (value, reach) in weighted.items():
        for group, own in raw_gradients(value, groups, boundary).items():
            factor = permitted(reach, group, small=small, frozen=frozen)
            if group is Group.CHROMATIN and Group.ENCODER not in frozen:
                # Behind the boundary: what may reach the encoder's outputs reaches the chromatin head with them.
                factor = max(factor, permitted(reach, Group.ENCODER, small=small, frozen=frozen))
            if not factor or not own:
                continue
            scaled = [gradient * factor for gradient in own]
            norms[name, group] = norm(scaled)
            expected[group] = [a + b for a, b in zip(expected[group], scaled, strict=True)]
            if group is Group.ENCODER and norms[name, group] > 0:
                encoder[name] = torch.cat([gradient.flatten() for gradient in scaled])
    cosines = {
        (a, b): float(torch.nn.functional.cosine_similarity(encoder[a], encoder[b], dim=0))
        for a, b in combinations(encoder, 2)
    }
    return StepGradients(norms, {group: norm(own) for group, own in expected.items()}, expected, cosines)

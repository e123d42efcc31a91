"""The one place where gradients are routed: a loss reaches the groups that it declares, and nothing else.

No part of the model detaches anything for a loss's sake: a loss's gradient is taken with respect to the groups
of its `reach`, so a forbidden group receives exactly no gradient.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .losses.base import Loss
from .names import Group, LossName
from .parts import Encoded


class Reach(NamedTuple):
    """Groups that receive a loss's gradient in full, and those that receive a scaled-down one."""

    full: frozenset[Group]
    small: frozenset[Group]


class Weighted(NamedTuple):
    """A loss of one step with its weight applied, and whom it may reach."""

    value: Tensor
    reach: Reach


def reach_of(loss: Loss, *, leak: bool = False) -> Reach:
    """Whom a loss may reach; `leak` adds the whole encoder, which only negative controls ask for."""
    extra = {Group.ENCODER} if leak else set()
    return Reach(frozenset((loss.reach - loss.small) | extra), frozenset(loss.small - extra))


class Boundary:
    """Cuts the graph behind the encoder's outputs, so that several losses share one encoder backward.

    Losses are written on `leaves`; `route` carries what they may send back through the outputs.

    Args:
        encoded: with a graph that leads to the encoder group (or without: a frozen encoder).
    """

    def __init__(self, encoded: Encoded) -> None:
        self._outputs = encoded
        leaves = encoded.apply(_leaf)
        self.leaves = leaves._replace(penalty=None if encoded.penalty is None else _leaf(encoded.penalty))

    @property
    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """(output, leaf) of every output that leads back to the encoder."""
        return [
            (out, leaf)
            for out, leaf in zip(self._outputs, self.leaves, strict=True)
            if out is not None and leaf is not None and leaf.requires_grad
        ]


def _leaf(output: Tensor) -> Tensor:
    return output.detach().requires_grad_(output.requires_grad)


def route(
    losses: Mapping[LossName, Weighted],
    groups: Mapping[Group, Sequence[nn.Parameter]],
    boundary: Boundary,
    *,
    small: float,
    frozen: Collection[Group] = (),
) -> None:
    """Set `.grad` of every parameter to the sum of the weighted losses that may reach its group.

    Args:
        losses: of this step. groups: the parameters of each group. boundary: between encoder and the rest.
        small: factor on gradients into a loss's small groups. frozen: groups that get none.
            Parameters that nothing reaches have `.grad = None`.
    """
    for parameters in groups.values():
        for parameter in parameters:
            parameter.grad = None
    behind = boundary.pairs
    for reach, total in _by_reach(losses).items():
        if not total.requires_grad:
            continue
        inputs: list[Tensor] = []
        factors: list[float] = []
        for part, factor in ((reach.full, 1.0), (reach.small, small)):
            for group in part - set(frozen):
                # Head and map of the encoder group may be used behind the boundary too (a coupling bends z).
                own = [*groups.get(group, ()), *((leaf for _, leaf in behind) if group is Group.ENCODER else ())]
                inputs += own
                factors += [factor] * len(own)
        if not inputs:
            continue
        gradients = torch.autograd.grad(total, inputs, allow_unused=True, retain_graph=True)
        for tensor, gradient, factor in zip(inputs, gradients, factors, strict=True):
            if gradient is not None:
                scaled = gradient if factor == 1.0 else gradient * factor
                tensor.grad = scaled if tensor.grad is None else tensor.grad + scaled
    arrived = [(out, leaf.grad) for out, leaf in behind if leaf.grad is not None]
    if arrived:
        torch.autograd.backward([out for out, _ in arrived], [gradient for _, gradient in arrived])


def _by_reach(losses: Mapping[LossName, Weighted]) -> dict[Reach, Tensor]:
    """Sum the losses that may reach the same groups: one backward pass serves them all."""
    sums: dict[Reach, Tensor] = {}
    for value, reach in losses.values():
        sums[reach] = sums[reach] + value if reach in sums else value
    return sums

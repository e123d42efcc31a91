"""Which loss may reach which parameters, and the one place where gradients are routed accordingly.

No part of the model detaches anything for a loss's sake: a loss's gradient is taken with respect to the
groups in its row of `REACH` and nothing else, so a forbidden group receives exactly no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import torch
from torch import Tensor, nn


class Group(StrEnum):
    """Groups of parameters."""

    ENCODER = "encoder"  #: everything that makes U and z
    TEMPERATURE = "temperature"
    TEACHER = "teacher"
    STUDENT = "student"
    COUPLING = "coupling"  #: W of an x-dependent coupling


class LossName(StrEnum):
    """Losses."""

    TASK = "task"  #: IMMAX on logits
    RANK = "rank"  #: pairwise ranking within a cell
    LIKELIHOOD = "likelihood"  #: task at natural prevalence, for the environment stage
    CALIBRATION = "calibration"  #: place and scale of U
    DISTILL = "distill"  #: student towards teacher
    SPARSE = "sparse"  #: small resistances


_ALL = frozenset(Group)

#: What each loss may reach; everything else receives exactly no gradient from it.
REACH: Mapping[LossName, frozenset[Group]] = {
    LossName.TASK: _ALL,
    LossName.RANK: _ALL,
    LossName.LIKELIHOOD: _ALL - {Group.ENCODER},
    LossName.CALIBRATION: frozenset({Group.ENCODER}),
    LossName.DISTILL: frozenset({Group.STUDENT}),
    LossName.SPARSE: frozenset({Group.TEACHER, Group.STUDENT}),
}


class Boundary:
    """Cuts the graph behind the encoder's outputs, so that several losses share one encoder backward.

    Losses are written on `leaves`; `route` carries what they may send back through `outputs`.

    Args:
        outputs: tensors with a graph that leads to the encoder group (or without: a frozen encoder).
    """

    def __init__(self, outputs: Sequence[Tensor]) -> None:
        self.outputs = list(outputs)
        self.leaves = [output.detach().requires_grad_(output.requires_grad) for output in outputs]


def route(
    losses: Mapping[LossName, Tensor], groups: Mapping[Group, Sequence[nn.Parameter]], boundary: Boundary
) -> None:
    """Set `.grad` of every parameter to the sum of the (weighted) losses that may reach its group.

    Args:
        losses: scalars, weights already applied. groups: the parameters of each group.
        boundary: between encoder and the rest. Parameters that nothing reaches get `.grad = None`.
    """
    for parameters in groups.values():
        for parameter in parameters:
            parameter.grad = None
    behind = [leaf for leaf in boundary.leaves if leaf.requires_grad]
    for reach, total in _by_reach(losses).items():
        inputs: list[Tensor] = [p for group in reach - {Group.ENCODER} for p in groups[group]]
        inputs += behind if Group.ENCODER in reach else []
        if not (inputs and total.requires_grad):
            continue
        gradients = torch.autograd.grad(total, inputs, allow_unused=True, retain_graph=True)
        for tensor, gradient in zip(inputs, gradients, strict=True):
            if gradient is not None:
                tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient
    arrived = [
        (output, leaf.grad)
        for output, leaf in zip(boundary.outputs, boundary.leaves, strict=True)
        if leaf.grad is not None
    ]
    if arrived:
        torch.autograd.backward([output for output, _ in arrived], [gradient for _, gradient in arrived])


def _by_reach(losses: Mapping[LossName, Tensor]) -> dict[frozenset[Group], Tensor]:
    """Sum the losses that share a row of the table: one backward pass serves them all."""
    sums: dict[frozenset[Group], Tensor] = {}
    for name, value in losses.items():
        reach = REACH[name]
        sums[reach] = sums[reach] + value if reach in sums else value
    return sums

"""Losses on prototypes: features near their cell's own, and a graph that is smooth, centred and spread."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import relu

from ....tasks.errors import MethodError
from ..config import Section, Weight
from ..names import Group, LossName
from ..parts import Step
from .base import Loss, Sizes, parse_options
from .kernels import squared_distances
from .rows import nothing, present_branch

#: Width of the similarity exp(-d^2 / width) between prototypes.
_WIDTH = 0.5


def _prototypes(step: Step, name: LossName) -> Tensor:
    if step.prototypes is None:
        raise MethodError(f"The loss {name.value!r} needs prototypes; set student or teacher to one that has them.")
    return step.prototypes


class Prototype(Loss):
    """Mean |e - p|^2 of support rows, p the nearest prototype of the cell that the row was drawn from.

    Prototypes are ordered by training cell: rows c K .. (c + 1) K - 1 belong to cell c.
    """

    name: ClassVar[LossName] = LossName.PROTOTYPE
    reads = frozenset({"branch", "branch_present", "support_cell", "prototypes"})
    reach = frozenset({Group.STUDENT, Group.PROTOTYPES})

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes, **options)
        self.n_cells = sizes.n_cells

    def forward(self, step: Step) -> Tensor:
        """Over the support rows of known origin; 0 without any.

        Raises:
            MethodError: no prototypes, no environment branch, or prototypes that do not belong to the cells.
        """
        rows = present_branch(step, self.name)
        if rows is None or not rows.cell.numel():
            return nothing(step)
        prototypes = _prototypes(step, self.name)
        if prototypes.shape[0] % self.n_cells or prototypes.shape[1] != rows.feature.shape[1]:
            raise MethodError(
                f"The loss {self.name.value!r} needs as many prototypes of size {rows.feature.shape[1]} for each of "
                f"the {self.n_cells} training cells, not {tuple(prototypes.shape)}."
            )
        own = prototypes.view(self.n_cells, -1, prototypes.shape[1])[rows.cell]
        distance = (rows.feature.unsqueeze(1) - own).square().sum(-1)
        return distance.min(1).values.mean()


class GraphOptions(Section):
    """Weights `smooth`, `centre`, `separate` of the three terms, and the distance `margin` that is far enough."""

    smooth: Weight = 0.2
    centre: Weight = 0.5
    separate: Weight = 0.5
    margin: Weight = 1.0


class Graph(Loss):
    """smooth x sum A_ij |p_i - p_j|^2 / sum A + centre x |mean p|^2 + separate x mean relu(margin - |p_i - p_j|)^2.

    A_ij = exp(-|p_i - p_j|^2 / 0.5), i != j, is the graph as it stands: a constant of the step.
    """

    name: ClassVar[LossName] = LossName.GRAPH
    reads = frozenset({"prototypes"})
    reach = frozenset({Group.PROTOTYPES})

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, GraphOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Of the prototypes as they are.

        Raises:
            MethodError: the model has no prototypes.
        """
        prototypes, options = _prototypes(step, self.name), self.options
        centre = prototypes.mean(0).square().sum()
        n = prototypes.shape[0]
        if n < 2:
            return options.centre * centre
        squared = squared_distances(prototypes)
        similarity = torch.exp(-squared.detach() / _WIDTH).fill_diagonal_(0.0)
        smooth = (similarity * squared).sum() / similarity.sum().clamp_min(1e-12)
        above = torch.triu_indices(n, n, offset=1)
        # The small constant keeps the gradient finite where two prototypes coincide.
        distance = (squared[above[0], above[1]] + 1e-12).sqrt()
        separate = relu(options.margin - distance).square().mean()
        return options.smooth * smooth + options.centre * centre + options.separate * separate

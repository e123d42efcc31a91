"""Losses on prototypes: features near the student's moving ones; a graph of the teacher's, smooth, centred and spread.

Student and teacher may both have prototypes, in spaces of their own; each loss says whose it means.
"""

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


class Prototype(Loss):
    """Mean |e - p|^2 of support rows, p the student's nearest prototype of the cell that the row was drawn from.

    The prototypes are running means of the e of each training cell, which the branch is drawn to. They are ordered by
    cell: rows c K .. (c + 1) K - 1 belong to cell c.
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
            MethodError: a student without prototypes or environment branch, or prototypes that do not belong to the
                cells.
        """
        rows = present_branch(step, self.name)
        if rows is None or not rows.cell.numel():
            return nothing(step)
        prototypes = step.prototypes
        if prototypes is None:
            raise MethodError(
                f"The loss {self.name.value!r} needs the student 'prototypes', whose prototypes it reads."
            )
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

    p are the teacher's prototypes. A_ij = exp(-|p_i - p_j|^2 / 0.5), i != j, is the graph as it stands: a constant of
    the step. The student's prototypes are running means that no gradient moves.
    """

    name: ClassVar[LossName] = LossName.GRAPH
    reads = frozenset({"nodes"})
    reach = frozenset({Group.PROTOTYPES})

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, GraphOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Of the prototypes as they are.

        Raises:
            MethodError: the teacher has no graph of prototypes.
        """
        prototypes, options = step.nodes, self.options
        if prototypes is None:
            raise MethodError(f"The loss {self.name.value!r} needs the teacher 'teacher', whose graph it reads.")
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

"""Maximum mean discrepancy between cells: small on z, given the label; large on environment features."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ..config import Count, Section
from ..names import Group, LossName
from ..parts import Step
from .base import Loss, Sizes, parse_options
from .kernels import pairwise_mmd, rbf
from .rows import nothing, present_branch, thin

#: Mixture of RBF kernels: multiples of the median squared distance.
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)


class MmdOptions(Section):
    """`rows`: at most so many, evenly spread."""

    rows: Count = 256


class MmdAlign(Loss):
    """Mean squared MMD of z over pairs of cells, within each label (Gretton et al. 2012).

    Given the label, since cells that differ in prevalence should differ in the margin of z.
    """

    name: ClassVar[LossName] = LossName.MMD_ALIGN
    reach = frozenset({Group.ENCODER})
    small = frozenset({Group.ENCODER})
    cells = 2
    labels = True

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, MmdOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Over at most `rows` query rows; 0 where no label occurs in two cells."""
        chosen = thin(step.cell.numel(), self.options.rows)
        cell, label = step.cell.reshape(-1)[chosen], step.label.reshape(-1)[chosen]
        code, group = torch.unique(2 * cell + label, return_inverse=True)
        apart = torch.triu(code.unsqueeze(1) % 2 == code.unsqueeze(0) % 2, diagonal=1)
        if not bool(apart.any()):
            return nothing(step)
        kernel = rbf(step.latent.flatten(0, 1)[chosen], SCALES)
        return pairwise_mmd(kernel, group, code.numel())[apart].mean()


class MmdSeparate(Loss):
    """Minus the mean squared MMD of the environment features of support rows over pairs of cells."""

    name: ClassVar[LossName] = LossName.MMD_SEPARATE
    reads = frozenset({"branch", "branch_present", "support_cell"})
    reach = frozenset({Group.STUDENT, Group.PROTOTYPES})
    cells = 2
    nonnegative = False

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, MmdOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Over at most `rows` support rows; 0 where fewer than two cells have some."""
        rows = present_branch(step, self.name)
        if rows is None or torch.unique(rows.cell).numel() < 2:
            return nothing(step)
        chosen = thin(rows.cell.numel(), self.options.rows)
        code, group = torch.unique(rows.cell[chosen], return_inverse=True)
        apart = torch.ones(code.numel(), code.numel(), dtype=torch.bool, device=code.device).triu(diagonal=1)
        if not bool(apart.any()):
            return nothing(step)
        return -pairwise_mmd(rbf(rows.feature[chosen], SCALES), group, code.numel())[apart].mean()

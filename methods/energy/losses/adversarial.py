"""A discriminator of cells whose gradient reaches z reversed."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..config import Count, Positive, Section
from ..names import Group, LossName
from ..parts import Step
from .base import Loss, Sizes, parse_options


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.alpha * gradients[0], None


def reverse_gradient(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x forward, -alpha times the gradient backward (Ganin & Lempitsky 2015)."""
    return cast(Tensor, _Reverse.apply(x, alpha))


class DomainOptions(Section):
    """`alpha` of the reversal; `conditional`: the discriminator is told y; `width` of its hidden layer."""

    alpha: Positive = 1.0
    conditional: bool = False
    width: Count = 32


class Domain(Loss):
    """Cross entropy of a discriminator (Linear-ReLU-Linear) that predicts the cell from z, or from z and y.

    The discriminator descends; z ascends, through the reversal. At success the value is the entropy of the
    cells in the step; with one cell a constant discriminator solves it and z learns nothing.
    """

    name: ClassVar[LossName] = LossName.DOMAIN
    reach = frozenset({Group.ENCODER, Group.DISCRIMINATOR})
    small = frozenset({Group.ENCODER})
    cells = 2

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, DomainOptions, options)
        width = self.options.width
        self.discriminator = nn.Sequential(
            nn.Linear(sizes.latent + self.options.conditional, width), nn.ReLU(), nn.Linear(width, sizes.n_cells)
        )

    def forward(self, step: Step) -> Tensor:
        """Mean over query rows."""
        seen = reverse_gradient(step.latent.flatten(0, 1), self.options.alpha)
        if self.options.conditional:
            seen = torch.cat([seen, step.label.reshape(-1, 1).to(seen.dtype)], dim=1)
        return cross_entropy(self.discriminator(seen), step.cell.reshape(-1))

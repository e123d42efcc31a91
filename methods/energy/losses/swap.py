"""Invariance of the pair side to the cell that a pair was seen in."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..names import Group, LossName
from ..parts import Step
from .base import Loss
from .rows import nothing


class Swap(Loss):
    """Mean |z(x in c) - z(x in c')|^2 over enhancer-gene pairs that occur in two cells.

    Zero for a deterministic encoder that sees nothing of the cell; then it is refused before training.
    """

    name: ClassVar[LossName] = LossName.SWAP
    reads = frozenset({"swap"})
    reach = frozenset({Group.ENCODER})

    def forward(self, step: Step) -> Tensor:
        """0 in a step without such pairs."""
        if step.swap is None or not step.swap[0].shape[0]:
            return nothing(step)
        first, second = step.swap
        return (first - second).square().sum(-1).mean()

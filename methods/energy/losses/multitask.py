"""The auxiliary task of predicting chromatin."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..names import Group, LossName
from ..parts import Step
from .base import Loss
from .rows import nothing


class Chromatin(Loss):
    """Mean squared error of the predicted chromatin features over the known targets (NaN = unknown)."""

    name: ClassVar[LossName] = LossName.CHROMATIN
    reads = frozenset({"chromatin", "chromatin_target"})
    reach = frozenset({Group.ENCODER, Group.CHROMATIN})

    def forward(self, step: Step) -> Tensor:
        """0 where no target is known."""
        if step.chromatin is None or step.chromatin_target is None:
            return nothing(step)
        target = step.chromatin_target.reshape(step.chromatin.shape)
        known = ~target.isnan()
        error = (step.chromatin - target.nan_to_num(0.0)).square() * known
        return error.sum() / known.sum().clamp_min(1)

"""The information bottleneck's price."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..names import Group, LossName
from ..parts import Step
from .base import Loss
from .rows import nothing


class Bottleneck(Loss):
    """KL(q(z|x) || N(0, I)) = 1/2 sum(mu^2 + sigma^2 - log sigma^2 - 1), mean over rows (Alemi et al. 2017)."""

    name: ClassVar[LossName] = LossName.BOTTLENECK
    reads = frozenset({"mean", "log_variance"})
    reach = frozenset({Group.ENCODER})

    def forward(self, step: Step) -> Tensor:
        """Nats per pair; 0 without a bottleneck."""
        if step.mean is None or step.log_variance is None:
            return nothing(step)
        divergence = step.mean.square() + step.log_variance.exp() - step.log_variance - 1
        return 0.5 * divergence.sum(-1).mean()

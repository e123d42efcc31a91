"""The encoder's own auxiliary losses."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..names import Group, LossName
from ..parts import Step
from .base import Loss
from .rows import nothing


class EncoderPenalty(Loss):
    """What an encoder asks for itself (attention that agrees with its gate, pooling that agrees over directions)."""

    name: ClassVar[LossName] = LossName.ENCODER_PENALTY
    reads = frozenset({"penalty"})
    reach = frozenset({Group.ENCODER})

    def forward(self, step: Step) -> Tensor:
        """0 for an encoder without such losses."""
        return nothing(step) if step.penalty is None else step.penalty

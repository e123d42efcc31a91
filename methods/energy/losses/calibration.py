"""Place and scale of the potential."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu

from ..config import Positive, Section
from ..names import Group, LossName
from ..parts import Step
from .base import Loss, Sizes, parse_options


class CalibrationOptions(Section):
    """`centre` of U and the range [`low`, `high`] of its standard deviation."""

    centre: float = 0.0
    low: Positive = 0.5
    high: Positive = 3.0


class Calibration(Loss):
    """(mean U - centre)^2 + relu(sd - high)^2 + relu(low - sd)^2: U keeps a place and a scale."""

    name: ClassVar[LossName] = LossName.CALIBRATION
    reach = frozenset({Group.ENCODER})

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, CalibrationOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Over all query rows of the step."""
        potential, options = step.potential, self.options
        # The small constant keeps the gradient finite where U is constant.
        deviation = (potential.var(correction=0) + 1e-12).sqrt()
        outside = relu(deviation - options.high).square() + relu(options.low - deviation).square()
        return (potential.mean() - options.centre).square() + outside

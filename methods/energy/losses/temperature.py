"""Losses on the temperature and on how sure the model is."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..config import Section
from ..names import Group, LossName
from ..parts import Step
from .base import Loss, Sizes, parse_options
from .rows import natural_mean

#: A temperature of the cell's own is read by student and teacher.
_TEMPERATURE = frozenset({Group.TEMPERATURE, Group.TEACHER, Group.STUDENT})


def binary_entropy(logits: Tensor) -> Tensor:
    """H(sigma(l)) in nats, exact at large |l|."""
    size = logits.abs()
    return softplus(-size) + size * torch.sigmoid(-size)


class EntropyOptions(Section):
    """`stop_temperature`: the factor T is a constant, so that only H(p) speaks."""

    stop_temperature: bool = False


class Entropy(Loss):
    """-T H(p), mean over rows: lowering it raises both T and the entropy, against over-confidence.

    With `stop_temperature` the factor in front is a constant by definition; p still depends on T.
    """

    name: ClassVar[LossName] = LossName.ENTROPY
    reach = _TEMPERATURE
    nonnegative = False

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, EntropyOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Over all query rows."""
        factor = step.temperature.detach() if self.options.stop_temperature else step.temperature
        return -(factor * binary_entropy(step.logits)).mean()


class GammaPrior(Loss):
    """T - log T: minus the log density of Gamma(shape 2, rate 1), up to a constant; least (1) at T = 1."""

    name: ClassVar[LossName] = LossName.GAMMA_PRIOR
    reach = _TEMPERATURE

    def forward(self, step: Step) -> Tensor:
        """Mean over the temperatures of the step."""
        return (step.temperature - step.temperature.log()).mean()


class PriorMatch(Loss):
    """(mean p - pi)^2 of each block, on labelled queries only, the mean taken at the natural prevalence pi.

    What remains of balancing recall against precision once counts are soft: they are equal where sum p = sum y.
    """

    name: ClassVar[LossName] = LossName.PRIOR_MATCH
    reach = _TEMPERATURE | {Group.PROTOTYPES}
    labels = True

    def forward(self, step: Step) -> Tensor:
        """Mean over blocks; over the whole step where a block lacks a class."""
        prevalence = step.prevalence
        mean = natural_mean(torch.sigmoid(step.logits), step.label, prevalence)
        share = natural_mean(step.label.to(mean.dtype), step.label, prevalence)
        return (mean - share).square().mean()

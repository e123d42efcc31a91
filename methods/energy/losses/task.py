"""Losses of the prediction itself: IMMAX, the likelihood at natural prevalence, cross entropy, speculation."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ..names import Group, LossName
from ..parts import Step
from .base import Loss, Sizes
from .rows import cross_entropy_rows, natural_mean

#: The prediction trains everything that makes it, and nothing else does.
PREDICTION = frozenset(
    {Group.ENCODER, Group.TEMPERATURE, Group.TEACHER, Group.STUDENT, Group.PROTOTYPES, Group.COUPLING}
)
_MARGIN = 10.0
_DECAY = 0.9
_ALPHA_RANGE = (0.01, 0.99)


class Task(Loss):
    """Adaptive class-imbalanced margin loss on logits (IMMAX; Cortes, Mao, Mohri & Zhong 2025).

    m = (2y - 1) l clipped to +-10; L = 1/2 [mean_pos softplus(-m / alpha) + mean_neg softplus(-m / (1 - alpha))].
    alpha follows, by an exponential moving average of decay 0.9, sqrt(S+) / (sqrt(S+) + sqrt(S-)) with
    S = sum |m Psi'(m / alpha)|, Psi = softplus(-.), and stays in [0.01, 0.99]. A step of one class falls
    back to cross entropy and leaves alpha alone.

    Attributes:
        alpha: the state, one for the whole training; moves in training mode only.
    """

    name: ClassVar[LossName] = LossName.TASK
    reach = PREDICTION
    labels = True
    alpha: Tensor

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes, **options)
        self.register_buffer("alpha", torch.tensor(0.5))

    def forward(self, step: Step) -> Tensor:
        """The loss of all query rows; moves alpha in training mode."""
        logits, label = step.logits, step.label
        if not (bool(label.any()) and bool((~label).any())):
            return cross_entropy_rows(logits, label).mean()
        alpha = self.alpha.clone().to(logits.dtype)
        positive = logits[label].clamp(-_MARGIN, _MARGIN)
        negative = (-logits[~label]).clamp(-_MARGIN, _MARGIN)
        loss = 0.5 * (softplus(-positive / alpha).mean() + softplus(-negative / (1 - alpha)).mean())
        if self.training:
            with torch.no_grad():
                up = (positive * torch.sigmoid(-positive / alpha)).abs().sum().sqrt()
                down = (negative * torch.sigmoid(-negative / (1 - alpha))).abs().sum().sqrt()
                # Logits that are all zero say nothing of either class.
                target = up / (up + down) if float(up + down) > 0 else alpha
                self.alpha.copy_((_DECAY * alpha + (1 - _DECAY) * target).clamp(*_ALPHA_RANGE))
        return loss


class Likelihood(Loss):
    """Negative log-likelihood of class-stratified rows, reweighted to the prevalence that each block stands for."""

    name: ClassVar[LossName] = LossName.LIKELIHOOD
    reach = PREDICTION
    labels = True

    def forward(self, step: Step) -> Tensor:
        """Mean over blocks of pi mean_pos(-log p) + (1 - pi) mean_neg(-log(1 - p)), pi the natural prevalence."""
        return natural_mean(cross_entropy_rows(step.logits, step.label), step.label, step.prevalence).mean()


class CrossEntropy(Loss):
    """Plain cross entropy of the rows as the sampler drew them, whatever their prevalence."""

    name: ClassVar[LossName] = LossName.CROSS_ENTROPY
    reach = PREDICTION
    labels = True

    def forward(self, step: Step) -> Tensor:
        """Mean over all rows of -log p(y)."""
        return cross_entropy_rows(step.logits, step.label).mean()


class Speculation(Loss):
    """Against "all positive": 0.5 mean_neg relu(6 (p - 0.5))^2 + 0.06 (mean p - mean y)^2."""

    name: ClassVar[LossName] = LossName.SPECULATION
    reach = PREDICTION
    labels = True

    def forward(self, step: Step) -> Tensor:
        """The penalty of all query rows of the step."""
        p = torch.sigmoid(step.logits)
        label = step.label.to(p.dtype)
        bold = relu(6 * (p - 0.5)).square() * (1 - label)
        return 0.5 * bold.sum() / (1 - label).sum().clamp_min(1.0) + 0.06 * (p.mean() - label.mean()).square()

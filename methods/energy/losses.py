"""The losses of an energy model, as plain functions of logits, potentials and resistances."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu, softplus

_MARGIN = 10.0
_DECAY = 0.9
_ALPHA_RANGE = (0.01, 0.99)


class Immax(nn.Module):
    """Adaptive class-imbalanced margin loss on logits (Cortes et al. 2025, IMMAX).

    m = (2y - 1) l clipped to +-10; L = 1/2 [mean_pos softplus(-m / alpha) + mean_neg softplus(-m / (1 - alpha))].
    alpha follows, by an exponential moving average of decay 0.9, sqrt(S+) / (sqrt(S+) + sqrt(S-)) with
    S = sum |m Psi'(m / alpha)|, Psi = softplus(-.), and stays in [0.01, 0.99]. A batch of one class falls
    back to cross entropy and leaves alpha alone. L is never negative.
    """

    alpha: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("alpha", torch.tensor(0.5))

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Loss of logits (any shape) with boolean labels of the same shape; moves alpha in training mode."""
        if not (bool(label.any()) and bool((~label).any())):
            return binary_cross_entropy_with_logits(logits, label.to(logits.dtype))
        alpha = self.alpha.detach().clone().to(logits.dtype)
        positive = logits[label].clamp(-_MARGIN, _MARGIN)
        negative = (-logits[~label]).clamp(-_MARGIN, _MARGIN)
        loss = 0.5 * (softplus(-positive / alpha).mean() + softplus(-negative / (1 - alpha)).mean())
        if self.training:
            with torch.no_grad():
                up = (positive * torch.sigmoid(-positive / alpha)).abs().sum().sqrt()
                down = (negative * torch.sigmoid(-negative / (1 - alpha))).abs().sum().sqrt()
                target = up / (up + down).clamp_min(1e-12)
                self.alpha.copy_((_DECAY * alpha + (1 - _DECAY) * target).clamp(*_ALPHA_RANGE))
        return loss


def pairwise_ranking(positive: Tensor, negative: Tensor) -> Tensor:
    """Mean over cells of mean_{i in P, j in N} log(1 + exp(-(s_i - s_j))), pairs within a cell (E3).

    Args:
        positive: (E, p) scores of positives. negative: (E, n) scores of negatives of the same cells.
    """
    return softplus(negative.unsqueeze(1) - positive.unsqueeze(2)).mean()


def likelihood(positive: Tensor, negative: Tensor, prevalence: Tensor) -> Tensor:
    """Negative log-likelihood of class-stratified rows, reweighted to each cell's prevalence.

    Args:
        positive: (E, p) logits of positives. negative: (E, n) of negatives. prevalence: (E,) in (0, 1).
    """
    return (prevalence * softplus(-positive).mean(1) + (1 - prevalence) * softplus(negative).mean(1)).mean()


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean (R_S - sg(R_T))^2 over known cells (E16); 0 without any."""
    return (student - teacher.detach()).square().sum() / max(1, student.numel())


def sparsity(resistance: Tensor) -> Tensor:
    """Mean |R| (E5)."""
    return resistance.abs().mean()


def potential_calibration(potential: Tensor, *, low: float = 0.5, high: float = 3.0) -> Tensor:
    """(mean U)^2 + relu(sd - high)^2 + relu(low - sd)^2: U keeps a place and a scale (E20)."""
    deviation = potential.std(correction=0)
    return potential.mean().square() + relu(deviation - high).square() + relu(low - deviation).square()

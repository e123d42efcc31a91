"""Adaptive balance of the losses that shape the potential."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from ..names import Group, LossName
from ..routing import Boundary, Weighted

_RATE = 0.01
_LOW, _HIGH = 0.1, 10.0
#: |g_task| / |g_k| counts as at most this, so that one step changes a factor by at most exp(0.1).
_LARGEST_RATIO = 11.0
#: What counts as the task, the first that is active.
_TASKS = (LossName.TASK, LossName.CROSS_ENTROPY, LossName.LIKELIHOOD)


class AdaptiveBalance:
    """Factors on loss weights that bring gradient norms together: f_k *= exp(0.01 (|g_task| / (|g_k| + 1e-6) - 1)).

    Gradients are those of the weighted losses at the encoder's outputs; losses that send none there, and the
    task itself, keep the factor 1. Factors stay in [0.1, 10].
    """

    def __init__(self) -> None:
        self.factors: dict[LossName, float] = {}

    def factor(self, name: LossName) -> float:
        """The factor on the weight of a loss."""
        return self.factors.get(name, 1.0)

    def update(self, losses: Mapping[LossName, Weighted], boundary: Boundary) -> None:
        """Move the factors by one step's gradients; the graph is kept."""
        leaves = [leaf for _, leaf in boundary.pairs]
        task = next((name for name in _TASKS if name in losses), None)
        if task is None or not leaves:
            return
        norms = {name: _norm(value, leaves) for name, value in losses.items()}
        for name, norm in norms.items():
            if name is not task and norm > 0:
                ratio = min(norms[task] / (norm + 1e-6), _LARGEST_RATIO)
                moved = self.factor(name) * math.exp(_RATE * (ratio - 1))
                self.factors[name] = min(max(moved, _LOW), _HIGH)


def _norm(loss: Weighted, leaves: list[torch.Tensor]) -> float:
    """Norm of what a loss sends into the encoder, 0 if it may not or does not."""
    if Group.ENCODER not in loss.reach.full | loss.reach.small or not loss.value.requires_grad:
        return 0.0
    found = torch.autograd.grad(loss.value, leaves, allow_unused=True, retain_graph=True)
    return math.sqrt(sum(float(gradient.square().sum()) for gradient in found if gradient is not None))

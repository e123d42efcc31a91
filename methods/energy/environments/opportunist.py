"""The opportunist: the crudest statistics of a support, an environment that is cheap to read and easy to cheat by."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts import CellFacts, Estimator, SupportRows
from .moments import masked_moments
from .rows import HALF_SUPPORT, Readout, shrinkage


class Opportunist(Estimator):
    """Mean and sd of U, size of the support, and the mean label where labels are known.

    It competes with the student and never enters a prediction. All statistics are shrunk and mapped without
    bias: an empty support gives exactly 0.

    Args:
        size: d_e, the student's.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.readout = Readout(5, size, width=16)

    def forward(self, support: SupportRows, facts: CellFacts) -> Tensor:
        """E supports -> (E, size)."""
        shrink = shrinkage(support)
        potential = support.potential.masked_fill(~support.present, 0.0).unsqueeze(-1)
        mean, sd = masked_moments(potential, support.present)
        known = support.known
        labels = known.sum(1, keepdim=True)
        label = torch.zeros_like(known) if support.label is None else support.label.to(known.dtype)
        positive = (label * known).sum(1, keepdim=True)
        shares = torch.cat([positive, labels], dim=-1) / (labels + HALF_SUPPORT)
        embedding: Tensor = self.readout(torch.cat([shrink * mean, shrink * sd, shrink, shares], dim=-1))
        return embedding

"""A support as the moments of its rows: mean, standard deviation, and the quantiles of U."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..parts import CellFacts, SupportRows
from .quantiles import LEVELS, masked_quantiles
from .rows import Readout, SetEstimator, shrinkage, support_facts

#: Keeps the root differentiable where all rows are equal.
_TINY = 1e-6


class MomentPool(SetEstimator):
    """Mean and sd of the row statistics and quantiles of U: a batch mean alone loses the variety inside a cell.

    All are shrunk by k / (k + 16) and mapped without bias: an empty support gives exactly 0.

    Args:
        size: d_e. features: width of a row's features. branch: h -> e, read instead of tanh(z).
    """

    levels: Tensor

    def __init__(self, size: int, features: int, branch: nn.Module | None = None) -> None:
        super().__init__(size, features, branch)
        self.register_buffer("levels", torch.tensor(LEVELS), persistent=False)
        self.readout = Readout(2 * self.columns + len(LEVELS) + 2, size)

    def forward(self, support: SupportRows, facts: CellFacts) -> Tensor:
        """E supports -> (E, size)."""
        rows = self.rows(support)
        mean, sd = masked_moments(rows, support.present)
        quantiles = masked_quantiles(rows[..., :1], support.present, self.levels).flatten(1)
        shrunk = shrinkage(support) * torch.cat([mean, sd, quantiles], dim=-1)
        embedding: Tensor = self.readout(torch.cat([shrunk, support_facts(support)], dim=-1))
        return embedding


def masked_moments(values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population sd over the present rows, 0 where there is none.

    The sd is sqrt(variance + 1e-6) - sqrt(1e-6), so that it has a gradient where all rows are equal.

    Args:
        values: (E, k, C), 0 on padding. present: (E, k) bool.

    Returns:
        Two (E, C).
    """
    weight = present.to(values.dtype).unsqueeze(-1)
    size = weight.sum(1).clamp_min(1.0)
    mean = values.sum(1) / size
    variance = (weight * (values - mean.unsqueeze(1)).square()).sum(1) / size
    return mean, torch.sqrt(variance + _TINY) - _TINY**0.5

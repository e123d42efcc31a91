"""Deep Sets with residual statistics: the student by default."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..parts import CellFacts, SupportRows
from .rows import HALF_SUPPORT, Readout, SetEstimator, support_facts, support_size

_ROW_WIDTH = 32


class MeanPool(SetEstimator):
    """rho(sum_i phi(row_i) / (k + 16)) (Zaheer et al. 2017, Deep Sets).

    phi keeps the row statistics themselves beside a learned map of them. Nothing has a bias, so the empty support
    gives exactly 0.

    Args:
        size: d_e. features: width of a row's features. branch: h -> e, read instead of tanh(z).
    """

    def __init__(self, size: int, features: int, branch: nn.Module | None = None) -> None:
        super().__init__(size, features, branch)
        self.row = nn.Linear(self.columns, _ROW_WIDTH, bias=False)
        self.readout = Readout(self.columns + _ROW_WIDTH + 2, size)

    def forward(self, support: SupportRows, facts: CellFacts) -> Tensor:
        """E supports -> (E, size)."""
        rows = self.rows(support)
        rows = torch.cat([rows, nn.functional.silu(self.row(rows))], dim=-1)
        pooled = rows.sum(1) / (support_size(support) + HALF_SUPPORT)
        embedding: Tensor = self.readout(torch.cat([pooled, support_facts(support)], dim=-1))
        return embedding

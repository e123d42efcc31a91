"""No environment: every cell gets the embedding of nothing."""

from __future__ import annotations

from torch import Tensor

from ..parts import CellFacts, Estimator, SupportRows


class NoEstimator(Estimator):
    """Zeros, so that every cell has the default parameters.

    Args:
        size: d_e.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, support: SupportRows, facts: CellFacts) -> Tensor:
        """E supports -> (E, size) zeros."""
        return support.potential.new_zeros(facts.code.shape[0], self.size)

"""Low-rank bilinear coupling: the smallest one by which a cell can change the ranking of its pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts import Pairs
from .coordinates import Coordinates

_START = 0.3


class Bilinear(Coordinates):
    """(U + tanh(z)' A v - R) / T with A (d, r); v = 0 is the additive coupling.

    Args:
        latent: d. rank: r. signed: R may be negative.
    """

    def __init__(self, latent: int, rank: int, *, signed: bool = False) -> None:
        super().__init__(latent, rank, signed=signed)
        self.axes = self.loading(_START)

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        direction = natural[:, 1:] @ self.axes.T
        z = torch.tanh(pairs.latent)
        change = direction @ z.T if z.dim() == 2 else torch.einsum("end,ed->en", z, direction)
        return (pairs.potential + change - natural[:, :1]) / temperature

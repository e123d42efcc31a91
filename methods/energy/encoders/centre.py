"""A potential with a fixed place: its mean over training rows is kept at zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_DECAY = 0.98


class CentredHead(nn.Module):
    """U = g(z) - m, with m a running mean of g over training rows.

    Adding a constant to U and to every cell's offset leaves an energy as it is; without a fixed place the two drift
    together, and a prior on slope and offset of a cell, which holds at U = 0, would speak of a point outside the data.

    Args:
        head: g, (..., d) -> (...,).
    """

    centre: Tensor

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("centre", torch.zeros(()))

    def forward(self, latent: Tensor) -> Tensor:
        """(..., d) -> (...,)."""
        potential: Tensor = self.head(latent) - self.centre
        return potential

    @torch.no_grad()
    def follow(self, potential: Tensor) -> None:
        """Move m towards the mean of a training batch's `potential` (as `forward` gave it)."""
        self.centre += (1.0 - _DECAY) * potential.mean()

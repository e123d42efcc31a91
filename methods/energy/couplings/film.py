"""Feature-wise modulation: the cell scales and shifts the latent dimensions before the head reads them."""

from __future__ import annotations

from torch import Tensor

from ..parts import Pairs
from .coordinates import Coordinates, per_cell

_START = 0.3


class Film(Coordinates):
    """(head(gamma * z + beta) - R) / T with gamma = 1 + G v, beta = H v (Perez et al. 2018, FiLM), of rank r.

    Args:
        latent: d. rank: r. signed: R may be negative.
    """

    def __init__(self, latent: int, rank: int, *, signed: bool = False) -> None:
        super().__init__(latent, rank, signed=signed)
        self.scale, self.shift = self.loading(_START), self.loading(_START)

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        v = natural[:, 1:]
        latent, gamma = per_cell(pairs.latent, 1 + v @ self.scale.T)
        _, beta = per_cell(pairs.latent, v @ self.shift.T)
        return (pairs.head(gamma * latent + beta) - natural[:, :1]) / temperature

"""Gate vector: the cell chooses, sparsely, which latent dimensions the head may read."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..encoders.sparsemax import sparsemax
from ..parts import Pairs
from .coordinates import Coordinates, per_cell
from .ranges import Bounded

_LOW, _HIGH = math.log(0.1), math.log(10.0)


class GateVector(Coordinates):
    """(head(d g * z) - R) / T with g = sparsemax(A v / tau) in the simplex (Martins & Astudillo 2016).

    Without an intercept, so that v = 0 is the uniform gate g = 1 / d, which changes nothing; how much a dimension
    matters in general is for the head to say. tau in (0.1, 10) is shared by all cells and starts at 1.

    Args:
        latent: d. rank: r. signed: R may be negative.
    """

    def __init__(self, latent: int, rank: int, *, signed: bool = False) -> None:
        super().__init__(latent, rank, signed=signed)
        # Scores of a spread of one lattice spacing 1/d keep most dimensions open at |v| = 1.
        self.choice = self.loading(1.0 / latent)
        self.log_tau = Bounded(_LOW, _HIGH, 0.0)

    def gate(self, natural: Tensor) -> Tensor:
        """g of each cell, (E, d), >= 0 with sum 1."""
        return sparsemax(natural[:, 1:] @ self.choice.T / torch.exp(self.log_tau()))

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        latent, gate = per_cell(pairs.latent, self.latent * self.gate(natural))
        return (pairs.head(gate * latent) - natural[:, :1]) / temperature

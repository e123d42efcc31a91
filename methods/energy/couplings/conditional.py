"""Conditional interaction: every cell has its own slope and offset, free in sign."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts import Canonical, Coupling, Pairs
from .linearise import line
from .ranges import START_RESISTANCE


class Conditional(Coupling):
    """(U + a U + b) / T, the cell's slope change a and offset b of any sign.

    A cell with a < -1 has its ranking inverted; `Affine` rules that out.
    """

    x_dependent = False
    names = ("a", "b")

    def natural(self, raw: Tensor) -> Tensor:
        """See `Coupling.natural`."""
        return raw

    def neutral(self) -> Tensor:
        """a = b = 0: U / T."""
        return torch.zeros(2)

    def default(self) -> Tensor:
        """See `Coupling.default`."""
        return torch.tensor([0.0, -START_RESISTANCE])

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        return (pairs.potential * (1 + natural[:, :1]) + natural[:, 1:]) / temperature

    def canonical(self, natural: Tensor, temperature: Tensor) -> Canonical:
        """Slope (1 + a) / T, offset b / T."""
        return line(1 + natural[:, 0], natural[:, 1], temperature)

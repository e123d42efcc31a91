"""Additive energy: potential against resistance."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts import Canonical, Coupling, Pairs
from .linearise import line
from .ranges import START_RESISTANCE, raw_resistance, resistance


class Additive(Coupling):
    """(U - R) / T.

    (U + d, R + d) gives the same logits, so the origin of U is not identifiable; the canonical form
    slope 1 / T, offset (mean U - R) / T of a standardised U is. Rankings inside a cell are those of U.

    Args:
        signed: R may be negative; otherwise it only suppresses.
    """

    x_dependent = False
    names = ("R",)

    def __init__(self, *, signed: bool = False) -> None:
        super().__init__()
        self.signed = signed

    def natural(self, raw: Tensor) -> Tensor:
        """See `Coupling.natural`."""
        return resistance(raw, signed=self.signed)

    def neutral(self) -> Tensor:
        """R = 0: U / T."""
        return torch.zeros(1)

    def default(self) -> Tensor:
        """See `Coupling.default`."""
        return torch.tensor([raw_resistance(START_RESISTANCE, signed=self.signed)])

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        return (pairs.potential - natural) / temperature

    def canonical(self, natural: Tensor, temperature: Tensor) -> Canonical:
        """Slope 1 / T, offset -R / T."""
        return line(torch.ones_like(natural[:, 0]), -natural[:, 0], temperature)

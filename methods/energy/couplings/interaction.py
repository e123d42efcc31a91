"""Interaction-extended energy: the resistance also changes how much the potential counts."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..parts import Canonical, Coupling, Pairs
from .linearise import line
from .ranges import START_RESISTANCE, inverse_softplus, raw_resistance, resistance

_START = 0.1


class Interaction(Coupling):
    """(U - R + lambda U R) / T = (U (1 + lambda R) - R) / T, with one lambda for all cells.

    A cell with 1 + lambda R < 0 has its ranking inverted: see `smallest_slope`.

    Args:
        signed: R may be negative. sign: of lambda; "positive" (synergy) and "negative" (antagonism) hold by
            reparametrisation. |lambda| starts at 0.1.
    """

    x_dependent = False
    names = ("R",)

    def __init__(self, *, signed: bool = False, sign: Literal["free", "positive", "negative"] = "free") -> None:
        super().__init__()
        self.signed, self.sign = signed, sign
        self.raw_strength = nn.Parameter(torch.tensor(_START if sign == "free" else inverse_softplus(_START)))

    @property
    def strength(self) -> Tensor:
        """lambda, a scalar."""
        if self.sign == "free":
            return self.raw_strength
        size = softplus(self.raw_strength)
        return size if self.sign == "positive" else -size

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
        return (pairs.potential * (1 + self.strength * natural) - natural) / temperature

    def canonical(self, natural: Tensor, temperature: Tensor) -> Canonical:
        """Slope (1 + lambda R) / T, offset -R / T."""
        return line(1 + self.strength * natural[:, 0], -natural[:, 0], temperature)

    def smallest_slope(self, natural: Tensor) -> Tensor:
        """Minimum of 1 + lambda R over the E cells, a scalar; below 0 some cell's ranking is inverted."""
        return (1 + self.strength * natural[:, 0]).min()

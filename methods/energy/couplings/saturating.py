"""Saturating suppression: the resistance divides the potential."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts import Canonical, Coupling, Pairs
from .linearise import line
from .ranges import raw_resistance, resistance

#: Room for cells three times as steep as the one that training starts from.
_START = 2.0


class Saturating(Coupling):
    """U / (1 + R) / T with R >= 0: a temperature T (1 + R) of the cell's own, since it divides the logit.

    It draws every probability towards one half. A cell has no offset; U carries the common one.
    """

    x_dependent = False
    names = ("R",)

    def natural(self, raw: Tensor) -> Tensor:
        """See `Coupling.natural`."""
        return resistance(raw, signed=False)

    def neutral(self) -> Tensor:
        """R = 0: U / T."""
        return torch.zeros(1)

    def default(self) -> Tensor:
        """See `Coupling.default`."""
        return torch.tensor([raw_resistance(_START, signed=False)])

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        return pairs.potential / ((1 + natural) * temperature)

    def canonical(self, natural: Tensor, temperature: Tensor) -> Canonical:
        """Slope 1 / ((1 + R) T), offset 0."""
        slope = 1 / (1 + natural[:, 0])
        return line(slope, torch.zeros_like(slope), temperature)

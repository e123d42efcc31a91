"""What the couplings that read z share: a resistance, and a coordinate v of the cell in a few dimensions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..parts import Canonical, Coupling
from .linearise import line
from .ranges import START_RESISTANCE, raw_resistance, resistance


class Coordinates(Coupling):
    """A coupling of P = 1 + r parameters: R, then v in R^r of the cell; v = 0 leaves U as it is.

    v starts at zero, so the maps that meet v start at random: were both zero, neither had a gradient.

    Args:
        latent: d. rank: r. signed: R may be negative.
    """

    x_dependent = True

    def __init__(self, latent: int, rank: int, *, signed: bool = False) -> None:
        super().__init__()
        self.latent, self.rank, self.signed = latent, rank, signed
        self.names = ("R", *(f"v{i + 1}" for i in range(rank)))

    def natural(self, raw: Tensor) -> Tensor:
        """R in its range, v as it is."""
        return torch.cat([resistance(raw[:, :1], signed=self.signed), raw[:, 1:]], dim=1)

    def neutral(self) -> Tensor:
        """R = 0, v = 0: U / T."""
        return torch.zeros(1 + self.rank)

    def default(self) -> Tensor:
        """See `Coupling.default`."""
        start = torch.zeros(1 + self.rank)
        start[0] = raw_resistance(START_RESISTANCE, signed=self.signed)
        return start

    def canonical(self, natural: Tensor, temperature: Tensor) -> Canonical:
        """Slope 1 / T, offset -R / T: the part that is left at v = 0."""
        return line(torch.ones_like(natural[:, 0]), -natural[:, 0], temperature)

    def loading(self, sd: float) -> nn.Parameter:
        """A map (d, r) from v to latent dimensions, drawn with standard deviation `sd` / sqrt(r)."""
        return nn.Parameter(torch.randn(self.latent, self.rank) * (sd / math.sqrt(self.rank)))


def per_cell(latent: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """z (n, d) or (E, n, d) and the cells' values (E, d), brought to shapes that broadcast to (E, n, d)."""
    return latent if latent.dim() == 3 else latent.unsqueeze(0), values.unsqueeze(1)

"""Bypass decoupler: z is split into common, specific and interaction parts that modulate a correction of U."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from ..parts import Pairs
from .coordinates import Coordinates

_WIDTH = 16


class Split(NamedTuple):
    """Three parts of z, each (..., p): common to cells G, specific to the cell F, interaction I."""

    common: Tensor
    specific: Tensor
    interaction: Tensor


class Bypass(Coordinates):
    """(U + delta(z, v) - R) / T; delta is a FiLM of I whose scale and shift an MLP makes of [G, F, I, v].

    [G, F, I] are linear maps of z to max(2, d / 2) dimensions each, and v is the context mu of the cell. delta is
    taken relative to v = 0, where U stays as it is. The correction bypasses U: it reads z and changes neither.

    Args:
        latent: d. rank: r. signed: R may be negative.
    """

    def __init__(self, latent: int, rank: int, *, signed: bool = False) -> None:
        super().__init__(latent, rank, signed=signed)
        self.part = max(2, latent // 2)
        self.parts = nn.Linear(latent, 3 * self.part, bias=False)
        self.pair = nn.Linear(3 * self.part, _WIDTH)
        self.cell = nn.Linear(rank, _WIDTH, bias=False)
        self.modulation = nn.Linear(_WIDTH, 2 * self.part, bias=False)
        self.out = nn.Linear(self.part, 1, bias=False)

    def split(self, latent: Tensor) -> Split:
        """z (..., d) -> G, F, I, so that losses may act on them."""
        return Split(*self.parts(latent).split(self.part, dim=-1))

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        parts = self.parts(pairs.latent)
        pair = self.pair(parts)
        together = pair + self.cell(natural[:, 1:]).unsqueeze(1)
        # scale I + shift is linear in the modulation, so its change with v is the FiLM of the change.
        change = self.modulation(nn.functional.silu(together) - nn.functional.silu(pair))
        scale, shift = change.split(self.part, dim=-1)
        interaction = parts[..., 2 * self.part :]
        delta = self.out(scale * interaction + shift).squeeze(-1)
        return (pairs.potential + delta - natural[:, :1]) / temperature

"""Pair-level resistance: how much a cell resists depends on the pair."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..parts import Pairs
from .coordinates import Coordinates

_WIDTH = 16
_BOUND = 5.0


class PairResistance(Coordinates):
    """(U - R(z, c)) / T with R(z, c) = softplus(f(tanh z, v) + raw R), in which softplus(raw R) = R(c).

    f is a small network minus its value at v = 0, bounded to +-5: at v = 0 every pair meets R(c), and R(c) = 0
    switches all resistance off. Signed: R(z, c) = f + R(c). R(z, c) can carry sequence, so its dependence
    on z is worth auditing.

    Args:
        latent: d. rank: r. signed: R may be negative.
    """

    def __init__(self, latent: int, rank: int, *, signed: bool = False) -> None:
        super().__init__(latent, rank, signed=signed)
        self.pair = nn.Linear(latent, _WIDTH)
        self.cell = nn.Linear(rank, _WIDTH, bias=False)
        self.out = nn.Linear(_WIDTH, 1, bias=False)

    def resistance(self, latent: Tensor, natural: Tensor) -> Tensor:
        """R(z, c) of pairs z (n, d) or (E, n, d) in E cells, (E, n)."""
        pair = self.pair(torch.tanh(latent))
        together = pair + self.cell(natural[:, 1:]).unsqueeze(1)
        change = self.out(nn.functional.silu(together) - nn.functional.silu(pair)).squeeze(-1)
        change = _BOUND * torch.tanh(change / _BOUND)
        common = natural[:, :1]
        if self.signed:
            return common + change
        # softplus(f + raw) in terms of softplus(raw), with a finite derivative at 0.
        off = torch.exp(-common)
        return common + torch.log(off + torch.exp(change) * (1 - off))

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        return (pairs.potential - self.resistance(pairs.latent, natural)) / temperature

"""Orthogonal projection: what points along the cell's direction is taken out of z."""

from __future__ import annotations

from torch import Tensor

from ..parts import Pairs
from .coordinates import Coordinates, per_cell

_DELTA = 0.1
_START = 0.3


class Projection(Coordinates):
    """(head(z - <z, z_E> / (|z_E|^2 + delta) z_E) - R) / T with z_E = E v in R^d and delta = 0.1.

    The projection is quadratic in v, so v = 0 (which changes nothing) has no gradient and training starts beside it.

    Args:
        latent: d. rank: r. signed: R may be negative.
    """

    def __init__(self, latent: int, rank: int, *, signed: bool = False) -> None:
        super().__init__(latent, rank, signed=signed)
        self.axes = self.loading((rank / latent) ** 0.5)

    def default(self) -> Tensor:
        """|v| = 0.3."""
        start = super().default()
        start[1:] = _START / self.rank**0.5
        return start

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        latent, along = per_cell(pairs.latent, natural[:, 1:] @ self.axes.T)
        share = (latent * along).sum(-1, keepdim=True) / (along.square().sum(-1, keepdim=True) + _DELTA)
        return (pairs.head(latent - share * along) - natural[:, :1]) / temperature

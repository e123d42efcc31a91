"""The temperature T that divides every logit: fixed, one for all cells, or one of each cell's own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ....tasks.errors import MethodError
from ..config import TemperatureConfig, TemperatureKind
from .ranges import inverse_softplus


class Temperature(nn.Module):
    """T in [low, high].

    "fixed" stays at `start`. "global" is one learned T = softplus(t), projected back to the bounds after every
    optimiser step; "gamma" and "entropy" are the same T, with their losses beside it. "per_cell" reads the last
    raw parameter of the cell: log T = log low + (log high - log low) sigma(raw).

    Attributes:
        extra: raw parameters that a cell needs for it, 0 or 1.

    Raises:
        MethodError: not 0 < low <= start <= high, or low = high with a T of the cell's own.
    """

    def __init__(self, config: TemperatureConfig) -> None:
        super().__init__()
        low, start, high = config.low, config.start, config.high
        if not 0.0 < low <= start <= high:
            raise MethodError(f"A temperature needs 0 < low <= start <= high, not {low}, {start}, {high}.")
        self.kind, self.low, self.high, self.start = config.kind, low, high, start
        self.extra = int(config.kind is TemperatureKind.PER_CELL)
        if self.extra and low == high:
            raise MethodError(f"A temperature of each cell's own needs low < high, not {low} for both.")
        self.raw: nn.Parameter | None = None
        self.fixed: Tensor | None
        self.register_buffer("fixed", None, persistent=False)
        if config.kind is TemperatureKind.FIXED:
            self.register_buffer("fixed", torch.tensor(start), persistent=False)
        elif not self.extra:
            self.raw = nn.Parameter(torch.tensor(inverse_softplus(start)))

    def default(self) -> Tensor:
        """(extra,) raw parameters that give T = start (a start on a bound begins just inside it)."""
        if not self.extra:
            return torch.zeros(0)
        share = math.log(self.start / self.low) / math.log(self.high / self.low)
        share = min(max(share, 0.01), 0.99)
        return torch.tensor([math.log(share / (1 - share))])

    def forward(self, own: Tensor | None = None) -> Tensor:
        """T: (), or (E, 1) of the cells' own raw parameters (E, 1)."""
        if self.extra:
            if own is None:
                raise MethodError("A temperature of each cell's own needs the cells' raw parameters (E, 1).")
            return self.low * torch.exp(math.log(self.high / self.low) * torch.sigmoid(own))
        if self.raw is None:
            assert self.fixed is not None
            return self.fixed
        return softplus(self.raw).clamp(self.low, self.high)

    def project(self) -> None:
        """Bring t back to the interval, where the clamp of `forward` still passes a gradient."""
        if self.raw is not None:
            with torch.no_grad():
                self.raw.clamp_(inverse_softplus(self.low), inverse_softplus(self.high))

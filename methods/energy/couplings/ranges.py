"""Parameters in their ranges: resistances, and constants of the model that must stay inside bounds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

#: Resistance that training starts from: about one positive in eight at U = 0.
START_RESISTANCE = 2.0


def inverse_softplus(value: float) -> float:
    """The raw number whose softplus is `value` > 0."""
    return value + math.log(-math.expm1(-value))


def resistance(raw: Tensor, *, signed: bool) -> Tensor:
    """R = softplus(raw) >= 0, or any real R = raw if signed."""
    return raw if signed else softplus(raw)


def raw_resistance(value: float, *, signed: bool) -> float:
    """The raw number of which `resistance` makes `value` > 0."""
    return value if signed else inverse_softplus(value)


class Positive(nn.Module):
    """A positive number shared by all cells, softplus of one parameter.

    Args:
        start: value that training starts from, > 0.
    """

    def __init__(self, start: float) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor(inverse_softplus(start)))

    def forward(self) -> Tensor:
        """The number, a scalar."""
        return softplus(self.raw)


class Bounded(nn.Module):
    """A number in (low, high) shared by all cells, a scaled sigmoid of one parameter.

    Args:
        low, high: the bounds. start: strictly between them.
    """

    def __init__(self, low: float, high: float, start: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        share = (start - low) / (high - low)
        self.raw = nn.Parameter(torch.tensor(math.log(share / (1 - share))))

    def forward(self) -> Tensor:
        """The number, a scalar."""
        return self.low + (self.high - self.low) * torch.sigmoid(self.raw)

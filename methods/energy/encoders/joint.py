"""The joint sequence [own tokens; anchors; other tokens] in which one side of a pair reads the other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .tokens import Tokens

OWN, ANCHOR, OTHER = 0, 1, 2
#: How far, in tokens, local attention sees.
REACH = 128


class Joint(NamedTuple):
    """A packed joint sequence: valid tokens first, in the order own, anchors, other.

    Attributes:
        values: (n, L, c), 0 where not valid. kind: (n, L) or (1, L) of OWN, ANCHOR, OTHER.
        valid: (n, L) bool, None = all. n_own: the own tokens of every row lie in its first `n_own` places.
    """

    values: Tensor
    kind: Tensor
    valid: Tensor | None
    n_own: int

    def near(self) -> Tensor:
        """(n or 1, L, L) bool: query may see key: within reach, valid, and not both of the other side."""
        place = torch.arange(self.values.shape[1], device=self.values.device)
        within = (place[:, None] - place).abs() <= REACH
        foreign = self.kind == OTHER
        allowed = within & ~(foreign.unsqueeze(2) & foreign.unsqueeze(1))
        return allowed if self.valid is None else allowed & self.valid.unsqueeze(1)

    def places(self) -> Tensor:
        """(n or 1, L) float: place / number of valid tokens, in [0, 1) where valid."""
        length = self.values.shape[1]
        place = torch.arange(length, dtype=self.values.dtype, device=self.values.device).unsqueeze(0)
        return place / (length if self.valid is None else self.valid.sum(1, keepdim=True))

    def own(self, values: Tensor) -> Tokens:
        """Updated own tokens (n, n_own, c) as tokens."""
        if self.valid is None:
            return Tokens(values, None)
        valid = (self.valid & (self.kind == OWN))[:, : self.n_own]
        return Tokens(values * valid.unsqueeze(-1), valid)


class Anchors(nn.Module):
    """Vectors that carry a summary of the other sequence into the joint sequence.

    Args:
        channels: c. count: vectors.
    """

    def __init__(self, channels: int, count: int = 2) -> None:
        super().__init__()
        self.count = count
        self.linear = nn.Linear(channels, count * channels)

    def forward(self, other: Tensor) -> Tensor:
        """Pooled other sequence (n, c) -> (n, count, c)."""
        return self.linear(other).unflatten(1, (self.count, -1))


def join(own: Tokens, anchors: Tensor, other: Tokens) -> Joint:
    """Own tokens (n, L1, c), anchors (n, A, c) and other tokens (n, L2, c), packed.

    Packing puts padding at the end, where no convolution, distance or place can feel it.
    """
    values = torch.cat([own.values, anchors, other.values], dim=1)
    n_own, count = own.values.shape[1], anchors.shape[1]
    sizes = torch.tensor([n_own, count, other.values.shape[1]])
    kind = torch.repeat_interleave(torch.tensor([OWN, ANCHOR, OTHER]), sizes).unsqueeze(0).to(values.device)
    if own.valid is None and other.valid is None:
        return Joint(values, kind, None, n_own)
    valid = torch.cat([own.mask, torch.ones_like(anchors[..., 0], dtype=torch.bool), other.mask], dim=1)
    order = torch.argsort((~valid).to(torch.uint8), dim=1, stable=True)
    packed = values.gather(1, order.unsqueeze(-1).expand_as(values))
    return Joint(packed, kind.expand_as(order).gather(1, order), valid.gather(1, order), n_own)

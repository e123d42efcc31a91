"""Small pieces that every attention of the sequence encoders shares."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Added to a forbidden logit: exp of it is exactly 0, and a row that may look nowhere still makes no NaN.
FORBIDDEN = -1e4


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(n, L, c) -> (n, heads, L, c / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(n, heads, L, c / heads) -> (n, L, c)."""
    return x.transpose(1, 2).flatten(2)


def bias_of(allowed: Tensor, like: Tensor) -> Tensor:
    """Bool mask -> logits to add: 0 where allowed, `FORBIDDEN` elsewhere."""
    return like.new_zeros(()).where(allowed, like.new_full((), FORBIDDEN))


def attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017).

    Args:
        query: (n, heads, Q, s). key, value: (n, heads, L, s).
        allowed: bool, broadcastable to (n, heads, Q, L); None = everything. A query that may look nowhere gets 0.

    Returns:
        (n, heads, Q, s).
    """
    if allowed is None:
        return nn.functional.scaled_dot_product_attention(query, key, value)
    bias = bias_of(allowed, query)
    out = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return out * allowed.any(-1, keepdim=True)


def inverse_softplus(value: float) -> float:
    """The x with softplus(x) = value > 0."""
    return math.log(math.expm1(value))


class Temperature(nn.Module):
    """A learnable scalar temperature that stays above `floor`.

    Args:
        start: value at construction, > floor. floor: > 0.
    """

    def __init__(self, start: float, floor: float) -> None:
        super().__init__()
        self.floor = floor
        self.raw = nn.Parameter(torch.tensor(inverse_softplus(start - floor)))

    def forward(self) -> Tensor:
        """The temperature, a scalar."""
        return self.floor + nn.functional.softplus(self.raw)


class Gate(nn.Module):
    """sigma(w' x / tau) per token: hot at first (tau 2, floor 0.5), so that no gate shuts before it has learnt.

    Args:
        channels: c.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, 1)
        self.temperature = Temperature(2.0, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(n, L, c) -> (n, L, 1) in (0, 1)."""
        return torch.sigmoid(self.linear(x) / self.temperature())

"""Rotary position embedding (Su et al. 2021, RoFormer) and the self-attention that uses it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import attend, merge_heads, split_heads
from .dropout import ByteDropout

_BASE = 1e4
#: Positions beyond this are squeezed linearly into it (Chen et al. 2023, position interpolation).
_LONGEST = 4096


def rotate(x: Tensor, positions: Tensor, base: float = _BASE) -> Tensor:
    """Rotate each pair of components by an angle proportional to position.

    Dot products of two rotated vectors depend on the difference of their positions only.

    Args:
        x: (..., L, s), s even; component i is paired with i + s / 2. positions: (L,) numbers.
        base: frequencies are base^(-2 i / s).

    Returns:
        (..., L, s).

    Raises:
        ValueError: s is odd.
    """
    size = x.shape[-1]
    if size % 2:
        raise ValueError(f"Rotary positions need an even number of components, got {size}.")
    frequency = base ** (-torch.arange(0, size, 2, dtype=torch.float64, device=x.device) / size)
    angle = positions.to(torch.float64).unsqueeze(-1) * frequency
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def token_positions(length: int, longest: int = _LONGEST) -> Tensor:
    """(length,) float64 positions 0, 1, ...; a sequence longer than `longest` is squeezed into it."""
    return torch.arange(length, dtype=torch.float64) * min(1.0, longest / max(length, 1))


class RotarySelfAttention(nn.Module):
    """Multi-head self-attention with rotary positions; it replaces its input, without a residual.

    Args:
        channels: c, a multiple of `heads`, c / heads even. heads: number of heads. dropout: on the output.
    """

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.dropout = ByteDropout(dropout)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """(n, L, c), valid (n, L) bool or None for all -> (n, L, c), 0 at invalid tokens."""
        query, key, value = (split_heads(part, self.heads) for part in self.project(x).chunk(3, dim=-1))
        positions = token_positions(x.shape[1]).to(x.device)
        allowed = None if valid is None else valid[:, None, None, :]
        mixed = merge_heads(attend(rotate(query, positions), rotate(key, positions), value, allowed))
        out: Tensor = self.dropout(self.out(mixed).flatten(0, 1)).view(x.shape)
        return out if valid is None else out * valid.unsqueeze(-1)

"""From the tokens of a sequence to one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import bias_of
from .tokens import Tokens


class AttentionPool(nn.Module):
    """sum_t softmax(w' LN(x_t) / tau) x_t, with tau = 1 + softplus(v' o + b) set by the other side o of the pair.

    Args:
        channels: c. guided: whether the other side sets tau; else tau = 1.
    """

    def __init__(self, channels: int, *, guided: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.score = nn.Linear(channels, 1, bias=False)
        self.sharpness = nn.Linear(channels, 1) if guided else None

    def forward(self, tokens: Tokens, other: Tensor | None = None) -> Tensor:
        """Tokens (n, L, c), other (n, c) if guided -> (n, c), 0 for a sequence without any valid token."""
        x, valid = tokens
        score = self.score(self.norm(x)).squeeze(-1)
        if self.sharpness is not None:
            assert other is not None
            score = score / (1.0 + nn.functional.softplus(self.sharpness(other)))
        if valid is not None:
            score = score + bias_of(valid, score)
        pooled: Tensor = (torch.softmax(score, -1).unsqueeze(1) @ x).squeeze(1)
        return pooled

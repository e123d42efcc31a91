"""The plain baseline: dense cross-attention between the tokens of both sequences, no structure."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import EncoderConfig
from ..parts import PairInputs
from .attention import attend, merge_heads, split_heads
from .dropout import ByteDropout
from .pair_network import PairNetwork
from .pooling import AttentionPool
from .tokens import Tokens


class DenseCross(nn.Module):
    """Every own token attends every token of the other side (Vaswani et al. 2017), then a feed-forward layer.

    Args:
        channels: c. heads: attention heads. dropout: on what is added.
    """

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.own_norm, self.other_norm, self.forward_norm = (nn.LayerNorm(channels) for _ in range(3))
        self.query = nn.Linear(channels, channels)
        self.memory = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.SiLU(), nn.Linear(4 * channels, channels)
        )
        self.dropout = ByteDropout(dropout)
        self.pool = AttentionPool(channels, guided=False)

    def forward(self, own: Tokens, other: Tokens) -> Tensor:
        """Tokens of n pairs -> vectors (n, c) of the own side."""
        query = split_heads(self.query(self.own_norm(own.values)), self.heads)
        key, value = (
            split_heads(part, self.heads) for part in self.memory(self.other_norm(other.values)).chunk(2, dim=-1)
        )
        allowed = None if other.valid is None else other.valid[:, None, None, :]
        seen = self.out(merge_heads(attend(query, key, value, allowed)))
        x = own.values + self.dropout(seen.flatten(0, 1)).view(seen.shape)
        fed = self.feed_forward(self.forward_norm(x))
        x = x + self.dropout(fed.flatten(0, 1)).view(fed.shape)
        return self.pool(Tokens(x if own.valid is None else x * own.valid.unsqueeze(-1), own.valid))


class CrossAttentionEncoder(PairNetwork):
    """Both directions of dense cross-attention, joined by a linear map.

    Args:
        config: sizes. inputs: training rows, for the scale of distance.
    """

    def __init__(self, config: EncoderConfig, inputs: PairInputs) -> None:
        super().__init__(config, inputs)
        sizes = (config.channels, config.heads, config.token_dropout)
        self.of_enhancer = DenseCross(*sizes)
        self.of_promoter = DenseCross(*sizes)
        self.join = nn.Linear(2 * config.channels, config.channels)

    def mix(self, enhancer: Tokens, promoter: Tokens) -> tuple[Tensor, Tensor | None]:
        """Tokens of n pairs -> (n, channels); no auxiliary loss."""
        both = [self.of_enhancer(enhancer, promoter), self.of_promoter(promoter, enhancer)]
        return self.join(torch.cat(both, dim=1)), None

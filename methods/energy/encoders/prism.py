"""PRISM: both sequences read each other through anchors, local mixing and adaptive attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import EncoderConfig
from ..parts import PairInputs
from .cbat import AdaptiveStage, LocalStage
from .joint import Anchors, join
from .pair_network import PairNetwork
from .pooling import AttentionPool
from .tokens import Tokens

_CONSISTENCY = 0.05


class Direction(nn.Module):
    """One side reads the other: anchors, joint sequence, two stages, pooling.

    Args:
        channels: c. heads: attention heads. dropout: on what each stage adds.
    """

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.summary = AttentionPool(channels, guided=False)
        self.anchors = Anchors(channels)
        self.local = LocalStage(channels, heads, dropout)
        self.adaptive = AdaptiveStage(channels, heads, dropout)
        self.pool = AttentionPool(channels, guided=True)

    def forward(self, own: Tokens, other: Tokens) -> tuple[Tensor, Tensor]:
        """Tokens of n pairs -> vectors (n, c) of the own side, and the auxiliary loss."""
        summary = self.summary(other)
        joint = self.local(join(own, self.anchors(summary), other))
        values, penalty = self.adaptive(joint)
        return self.pool(joint.own(values), summary), penalty


class PrismEncoder(PairNetwork):
    """Both directions, joined by a gate: y = g y_E + (1 - g) y_P.

    Auxiliary losses: those of the adaptive stages and 0.05 mean((y - y_P)^2), which keeps the directions
    from telling different stories. There is no dense fallback and no branch: training and inference agree.

    Args:
        config: sizes. inputs: training rows, for the scale of distance.
    """

    def __init__(self, config: EncoderConfig, inputs: PairInputs) -> None:
        super().__init__(config, inputs)
        sizes = (config.channels, config.heads, config.token_dropout)
        self.read_promoter = Direction(*sizes)
        self.read_enhancer = Direction(*sizes)
        self.gate = nn.Linear(2 * config.channels, config.channels)

    def mix(self, enhancer: Tokens, promoter: Tokens) -> tuple[Tensor, Tensor | None]:
        """Tokens of n pairs -> (n, channels), and the auxiliary losses."""
        of_enhancer, first = self.read_promoter(enhancer, promoter)
        of_promoter, second = self.read_enhancer(promoter, enhancer)
        gate = torch.sigmoid(self.gate(torch.cat([of_enhancer, of_promoter], dim=1)))
        mixed = gate * of_enhancer + (1 - gate) * of_promoter
        return mixed, first + second + _CONSISTENCY * (mixed - of_promoter).square().mean()

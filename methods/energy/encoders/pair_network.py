"""What the sequence networks share: tokens of both sides, some way of mixing them, distance beside the result."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from ..config import EncoderConfig
from ..parts import Encoder, Hidden, PairInputs
from .distance import DistanceColumn
from .dropout import ByteDropout
from .tokens import SideTokens, Tokens, distinct

#: Sequences handled at once when no graph is kept; bounds memory.
_CHUNK = 512


class PairNetwork(Encoder):
    """A network on the DNA of both sides; size = channels (+ 1 with distance).

    Tokens are made once per distinct sequence of a batch. The mixed vector is a function of the pair alone.

    Args:
        config: sizes. inputs: training rows, for the scale of distance.
    """

    def __init__(self, config: EncoderConfig, inputs: PairInputs) -> None:
        super().__init__()
        self.enhancer, self.promoter = (
            SideTokens(
                k=config.kmer,
                embedding=config.token_embedding,
                channels=config.channels,
                kernel=config.kernel,
                pool=config.pool,
                heads=config.heads,
                dropout=config.token_dropout,
            )
            for _ in range(2)
        )
        self.dropout = ByteDropout(config.token_dropout)
        self.distance = DistanceColumn(inputs) if config.distance else None
        self.size = config.channels + int(config.distance)

    @abstractmethod
    def mix(self, enhancer: Tokens, promoter: Tokens) -> tuple[Tensor, Tensor | None]:
        """Tokens of n pairs -> vectors (n, channels), and the scalar of the auxiliary losses, if any."""

    def forward(self, inputs: PairInputs) -> Hidden:
        """n pairs with sequences -> (n, size); the penalty is given in training only."""
        assert inputs.enhancer is not None
        assert inputs.promoter is not None
        if not inputs.n:
            return Hidden(self.enhancer.words.bias.new_zeros(0, self.size))
        chunk = inputs.n if torch.is_grad_enabled() else _CHUNK
        enhancer, enhancer_of = distinct(inputs.enhancer)
        promoter, promoter_of = distinct(inputs.promoter)
        enhancers = _by_chunks(self.enhancer, enhancer, chunk)
        promoters = _by_chunks(self.promoter, promoter, chunk)
        parts = [
            self.mix(enhancers.take(left), promoters.take(right))
            for left, right in zip(enhancer_of.split(chunk), promoter_of.split(chunk), strict=True)
        ]
        hidden = self.dropout(torch.cat([vectors for vectors, _ in parts]))
        if self.distance is not None:
            hidden = self.distance(hidden, inputs)
        # Several parts exist only where no graph is kept, and nobody asks for a penalty there.
        return Hidden(hidden, parts[0][1] if self.training and len(parts) == 1 else None)


def _by_chunks(side: SideTokens, codes: Tensor, chunk: int) -> Tokens:
    parts = [side(part) for part in codes.split(chunk)]
    if len(parts) == 1:
        return parts[0]
    complete = all(part.valid is None for part in parts)
    return Tokens(
        torch.cat([part.values for part in parts]), None if complete else torch.cat([part.mask for part in parts])
    )

"""From the DNA of one side of a pair to tokens: k-mer embedding, convolution, pooling, rotary self-attention."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .dropout import ByteDropout
from .kmer_tokens import kmer_ids, n_kmers
from .rope import RotarySelfAttention
from .word_convolution import WordConvolution


class Tokens(NamedTuple):
    """n sequences as tokens: values (n, L, c), 0 where not valid; valid (n, L) bool, None = all of them."""

    values: Tensor
    valid: Tensor | None

    def take(self, rows: Tensor) -> Tokens:
        """The sequences `rows`, in that order."""
        return Tokens(self.values[rows], None if self.valid is None else self.valid[rows])

    @property
    def mask(self) -> Tensor:
        """(n, L) bool."""
        if self.valid is None:
            return torch.ones(self.values.shape[:2], dtype=torch.bool, device=self.values.device)
        return self.valid


def distinct(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct sequences of a batch: (n, L) uint8 -> codes (m, L) and the (n,) number of each row's sequence."""
    rows = np.ascontiguousarray(codes.cpu().numpy())
    _, first, inverse = np.unique(rows.view(f"V{rows.shape[1]}").ravel(), return_index=True, return_inverse=True)
    return codes[torch.from_numpy(first).to(codes.device)], torch.from_numpy(inverse).to(codes.device)


class SideTokens(nn.Module):
    """Tokens of enhancers, or of promoters.

    Every k-mer is a step of a convolution whose windows are centred on it; a k-mer with an N is zero and its
    step is not pooled, so that sequences may be padded with N at the end. Tokens are normalised over
    channels, not over the batch: what a pair becomes must not depend on the pairs (and cells) beside it.

    Args:
        k: word length. embedding: size of a word. channels: c. kernel: of the convolution. pool: k-mers per
            token. heads: of self-attention. dropout: after convolution and attention.
    """

    def __init__(
        self, *, k: int, embedding: int, channels: int, kernel: int, pool: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.k, self.pool = k, pool
        self.words = WordConvolution(n_kmers(k), embedding, channels, kernel, pool)
        self.norm = nn.LayerNorm(channels)
        self.dropout = ByteDropout(dropout)
        self.attention = RotarySelfAttention(channels, heads, dropout)

    def forward(self, codes: Tensor) -> Tokens:
        """(n, L_bp) uint8 -> tokens (n, L, c); a token is valid if one of its k-mers is known."""
        ids = kmer_ids(codes, self.k)
        pooled = self.norm(self.words(ids))
        pooled = self.dropout(pooled.flatten(0, 1)).view(pooled.shape)
        valid = self._valid(ids > 0)
        return Tokens(self.attention(pooled, valid), valid)

    def _valid(self, known: Tensor) -> Tensor | None:
        if bool(known.all()):
            return None
        return nn.functional.max_pool1d(known.float(), self.pool, ceil_mode=True) > 0

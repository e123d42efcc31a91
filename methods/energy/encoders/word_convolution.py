"""Embedding, convolution and max-pooling of words in one step, from a table of what each word adds at each offset."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

#: Word windows looked up at once; bounds memory.
_LOOKUPS = 2**23


class _PooledLookup(torch.autograd.Function):
    """max over windows of sum_j table[j, word_{t + j}]; only the places of the maxima carry gradient."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, words: Tensor, pool: int) -> Tensor:
        """table (k, V, c), words (n, L) ids, 0 = unknown -> (n, ceil(L / pool), c), very low without a known word."""
        kernel, size, channels = table.shape
        length = words.shape[1]
        padded = nn.functional.pad(words, (kernel // 2, kernel - 1 - kernel // 2))
        offsets = torch.arange(kernel, dtype=words.dtype, device=words.device) * size
        rows = table.reshape(-1, channels)
        pooled, places = [], []
        for part, some in zip(*(x.split(max(1, _LOOKUPS // (length * kernel))) for x in (padded, words)), strict=True):
            windows = (part.unfold(1, kernel, 1) + offsets).reshape(-1, kernel)
            steps = nn.functional.embedding_bag(windows, rows, mode="sum").view(-1, 1, length, channels)
            if not bool(some.all()):
                steps.masked_fill_((some == 0)[:, None, :, None], torch.finfo(steps.dtype).min / 2)
            best, place = nn.functional.max_pool2d(
                steps.permute(0, 3, 1, 2), (1, pool), ceil_mode=True, return_indices=True
            )
            pooled.append(best.squeeze(2).transpose(1, 2))
            places.append(place.squeeze(2).transpose(1, 2))
        ctx.save_for_backward(padded, torch.cat(places))
        ctx.shape = table.shape
        return torch.cat(pooled).contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Each pooled value sends its gradient to the k table entries that it is the sum of."""
        padded, places = ctx.saved_tensors
        kernel, size, channels = ctx.shape
        values = gradients[0].reshape(-1)
        start = (torch.arange(padded.shape[0], device=places.device)[:, None, None] * padded.shape[1] + places).view(-1)
        channel = torch.arange(channels, device=places.device).expand(places.shape).reshape(-1)
        words = padded.reshape(-1).to(torch.int64)
        table = values.new_zeros(kernel, size * channels)
        for offset in range(kernel):
            table[offset].scatter_add_(0, words[start + offset] * channels + channel, values)
        return table.view(kernel, size, channels), None, None


class WordConvolution(nn.Module):
    """ReLU and max-pooling of a convolution over word embeddings, windows centred on each word.

    The convolution of an embedding is a sum of table rows, and under max-pooling few of them carry gradient:
    this gives exactly what Embedding, Conv1d, ReLU and MaxPool1d give, several times faster.

    Args:
        words: ids, 0 = unknown: a zero vector, never a centre. embedding: size of a word. channels: c.
        kernel: words per window. pool: windows per token.
    """

    def __init__(self, words: int, embedding: int, channels: int, kernel: int, pool: int) -> None:
        super().__init__()
        self.pool = pool
        self.embedding = nn.Parameter(0.1 * torch.randn(words - 1, embedding))
        bound = 1 / math.sqrt(embedding * kernel)
        self.weight = nn.Parameter(torch.empty(kernel, embedding, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))

    def forward(self, ids: Tensor) -> Tensor:
        """(n, L) int ids -> (n, ceil(L / pool), c) >= 0, and 0 where a token holds no known word."""
        table = nn.functional.pad(self.embedding @ self.weight, (0, 0, 1, 0))
        pooled: Tensor = _PooledLookup.apply(table, ids, self.pool)
        return torch.relu(pooled + self.bias)

"""The Set Transformer: induced set attention and pooling by attention (Lee et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..parts import CellFacts, SupportRows
from .rows import HALF_SUPPORT, Readout, SetEstimator, shrinkage, support_facts, support_size

_WIDTH = 32
_HEADS = 4


class AttentionBlock(nn.Module):
    """MAB(X, Y) = LN(H + FF(H)) with H = LN(X + attention(X, Y, Y)) (Lee et al. 2019, section 3.1).

    The projections have no bias: one on the keys would add the same to every logit and learn nothing.

    Args:
        width: of rows, a multiple of `heads`. heads: of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """(E, a, width) attends to (E, b, width) -> (E, a, width).

        Args:
            x: asks. y: is read. mask: (E, b) bool, True where y may be read, at least once in every row.
        """
        query, key, value = (self._split(f(v)) for f, v in ((self.query, x), (self.key, y), (self.value, y)))
        allowed = None if mask is None else mask[:, None, None, :]
        attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        hidden = self.first(x + self.out(attended.transpose(1, 2).flatten(2)))
        result: Tensor = self.second(hidden + self.feed(hidden))
        return result

    def _split(self, value: Tensor) -> Tensor:
        """(E, n, width) -> (E, heads, n, width / heads)."""
        return value.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class SetTransformer(SetEstimator):
    """ISAB then pooling by attention: m inducing points read k rows, the rows read them back, in O(m k).

    The pooled vector, shrunk by k / (k + 16), is added to a reading of the shrunk mean of the row statistics, since
    layer normalisation takes away the scale from which an offset is read; it starts near zero, so that training starts
    from Deep Sets and attention adds to them. No attention sees padding, and an empty support gives exactly 0.

    Args:
        size: d_e. features: width of a row's features. inducing: m. branch: h -> e, read instead of tanh(z).
    """

    def __init__(self, size: int, features: int, inducing: int, branch: nn.Module | None = None) -> None:
        super().__init__(size, features, branch)
        self.row = nn.Linear(self.columns, _WIDTH)
        self.inducing = nn.Parameter(torch.randn(1, inducing, _WIDTH) / _WIDTH**0.5)
        self.seed = nn.Parameter(torch.randn(1, 1, _WIDTH) / _WIDTH**0.5)
        self.gather, self.spread, self.pool = (AttentionBlock(_WIDTH, _HEADS) for _ in range(3))
        self.readout = Readout(self.columns + 2, size)
        self.attended = nn.Linear(_WIDTH, size, bias=False)
        nn.init.normal_(self.attended.weight, std=0.01)

    def forward(self, support: SupportRows, facts: CellFacts) -> Tensor:
        """E supports -> (E, size)."""
        rows = self.rows(support)
        episodes = rows.shape[0]
        mean = rows.sum(1) / (support_size(support) + HALF_SUPPORT)
        if rows.shape[1]:
            x = self.row(rows)
            # An attention over nothing is undefined; what it would say of an empty support is multiplied by 0.
            mask = support.present | ~support.present.any(1, keepdim=True)
            induced = self.gather(self.inducing.expand(episodes, -1, -1), x, mask)
            pooled = self.pool(self.seed.expand(episodes, -1, -1), self.spread(x, induced), mask).squeeze(1)
        else:
            pooled = rows.new_zeros(episodes, _WIDTH)
        embedding: Tensor = self.readout(torch.cat([mean, support_facts(support)], dim=-1))
        return embedding + shrinkage(support) * self.attended(pooled)

"""Cross attention with a structured prior: local mixing of the joint sequence, then adaptive attention over it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .attention import Gate, Temperature, attend, bias_of, merge_heads, split_heads
from .dropout import ByteDropout
from .joint import Joint
from .sparsemax import sparsemax

_KERNELS = (7, 15, 31)
#: Local attention enters with at most this share.
_LARGEST_SHARE = 0.2
#: The prior of a key moves its logits by at most this much either way: it may help the match of query and key,
#: and cannot override it.
PRIOR_BOUND = 1.0
_HARMONICS = 3
_WASTE, _SPREAD = 0.01, 0.1


class DepthwiseMix(nn.Module):
    """Depth-wise convolutions of widths 7, 15 and 31, mixed by learnt shares.

    A sum of convolutions is one convolution of the summed kernels; it is applied as a banded matrix per
    channel, which for some hundred tokens is several times faster than a depth-wise convolution.

    Args:
        channels: c.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernels = nn.ParameterList(nn.Parameter(torch.randn(channels, k) / math.sqrt(k)) for k in _KERNELS)
        self.share = nn.Parameter(torch.zeros(len(_KERNELS)))

    def forward(self, x: Tensor) -> Tensor:
        """(n, L, c), 0 at padding -> (n, L, c)."""
        widest = max(_KERNELS)
        shares = torch.softmax(self.share, 0)
        kernel = torch.stack(
            [
                share * nn.functional.pad(kernel, ((widest - kernel.shape[1]) // 2,) * 2)
                for share, kernel in zip(shares, self.kernels, strict=True)
            ]
        ).sum(0)
        place = torch.arange(x.shape[1], device=x.device)
        offset = place - place[:, None] + widest // 2
        inside = (offset >= 0) & (offset < widest)
        band = kernel[:, offset.clamp(0, widest - 1)] * inside
        return torch.einsum("nlc,cml->nmc", x, band)


class LocalStage(nn.Module):
    """x + convolutions + at most 0.2 of gated attention among near tokens.

    Args:
        channels: c. heads: attention heads. dropout: on what is added.
    """

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.convolution = DepthwiseMix(channels)
        self.project = nn.Linear(channels, 3 * channels)
        self.gate = Gate(channels)
        self.dropout = ByteDropout(dropout)

    def forward(self, joint: Joint) -> Joint:
        """The joint sequence with updated values."""
        x = self.norm(joint.values)
        if joint.valid is not None:
            x = x * joint.valid.unsqueeze(-1)
        query, key, value = (split_heads(part, self.heads) for part in self.project(x).chunk(3, dim=-1))
        seen = merge_heads(attend(query, key, value, joint.near().unsqueeze(1)))
        added = self.convolution(x) + _LARGEST_SHARE * self.gate(x) * seen
        values = joint.values + self.dropout(added.flatten(0, 1)).view(added.shape)
        if joint.valid is not None:
            values = values * joint.valid.unsqueeze(-1)
        return joint._replace(values=values)


class KeyPrior(nn.Module):
    """How much each token of the joint sequence is worth looking at, whoever asks.

    Score = sigma(w'x) x (1 + half a Fourier series of its place) x (a factor of its kind); sparsemax of
    the scores gives weights, and a bounded logarithm of weight x number of tokens is added to the key's logits.

    Args:
        channels: c.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Linear(channels, 1)
        self.place = nn.Linear(2 * _HARMONICS, 1, bias=False)
        self.kind = nn.Parameter(torch.zeros(3))
        self.temperature = Temperature(1.0, 0.05)

    def forward(self, x: Tensor, joint: Joint) -> tuple[Tensor, Tensor]:
        """Normalised tokens (n, L, c) -> scores (n, L) in (0, 3), 0 at padding, and logits to add (n, L)."""
        angle = (
            2 * math.pi * joint.places().unsqueeze(-1) * torch.arange(1, _HARMONICS + 1, dtype=x.dtype, device=x.device)
        )
        place = 1 + 0.5 * torch.tanh(self.place(torch.cat([angle.cos(), angle.sin()], -1)).squeeze(-1))
        score = torch.sigmoid(self.score(x).squeeze(-1)) * place * (2 * torch.sigmoid(self.kind))[joint.kind]
        weight = sparsemax(score / self.temperature(), joint.valid)
        count = x.shape[1] if joint.valid is None else joint.valid.sum(1, keepdim=True)
        bias = PRIOR_BOUND * torch.tanh(torch.log(weight * count + 1e-3) / PRIOR_BOUND)
        if joint.valid is not None:
            score, bias = score * joint.valid, bias + bias_of(joint.valid, bias)
        return score, bias


class AdaptiveStage(nn.Module):
    """Attention of the own tokens over the joint sequence under a key prior, then a gated feed-forward layer.

    Only own tokens ask: nothing reads what the others would become.

    Args:
        channels: c. heads: attention heads. dropout: on what is added.
    """

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.prior = KeyPrior(channels)
        self.query = nn.Linear(channels, channels)
        self.memory = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        self.forward_norm = nn.LayerNorm(channels)
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.SiLU(), nn.Linear(4 * channels, channels)
        )
        self.gate = Gate(channels)
        self.dropout = ByteDropout(dropout)

    def forward(self, joint: Joint) -> tuple[Tensor, Tensor]:
        """-> own tokens (n, n_own, c), and the auxiliary loss, see `_penalty`."""
        x = self.norm(joint.values)
        score, bias = self.prior(x, joint)
        query = split_heads(self.query(x[:, : joint.n_own]), self.heads)
        key, value = (split_heads(part, self.heads) for part in self.memory(x).chunk(2, dim=-1))
        logits = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias[:, None, None, :]
        attention = torch.softmax(logits, dim=-1)
        seen = self.out(merge_heads(attention @ value))
        own = joint.values[:, : joint.n_own] + self.dropout(seen.flatten(0, 1)).view(seen.shape)
        y = self.forward_norm(own)
        fed = self.gate(y) * self.feed_forward(y)
        own = own + self.dropout(fed.flatten(0, 1)).view(fed.shape)
        return own, _penalty(score, attention, joint)


def _penalty(score: Tensor, attention: Tensor, joint: Joint) -> Tensor:
    """0.01 (E[s (1 - contribution)] + 0.1 KL(uniform || mean score)).

    A high score must be earned: a key's contribution is the attention it receives, relative to the key that
    receives most. And scores must not all sit on the same places of every pair.
    """
    if joint.valid is None:
        received = attention.mean(1).sum(1)
        mean, weight = score.mean(0), score.numel()
    else:
        asks = joint.own(joint.values[:, : joint.n_own]).mask.to(score.dtype)
        received = torch.einsum("nhql,nq->nl", attention, asks)
        count = joint.valid.sum(0)
        mean, weight = score.sum(0)[count > 0] / count[count > 0], int(joint.valid.sum())
    contribution = received / received.amax(1, keepdim=True).clamp_min(1e-6)
    waste = (score * (1 - contribution)).sum() / weight
    share = mean / mean.sum()
    return _WASTE * (waste - _SPREAD * torch.log(share * share.shape[0] + 1e-12).mean())

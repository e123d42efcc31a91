"""Sparsemax: the Euclidean projection of scores onto the probability simplex."""

from __future__ import annotations

import torch
from torch import Tensor

from .attention import bias_of


def sparsemax(scores: Tensor, valid: Tensor | None = None) -> Tensor:
    """Weights >= 0 that sum to 1, many of them exactly 0 (Martins & Astudillo 2016, algorithm 1).

    Args:
        scores: (..., L). moderate numbers. valid: (..., L) bool; others get weight 0. None = all.

    Returns:
        (..., L); all zero where nothing is valid.
    """
    if valid is not None:
        scores = scores + bias_of(valid, scores)
    ordered = scores.sort(dim=-1, descending=True).values
    sums = ordered.cumsum(-1)
    rank = torch.arange(1, scores.shape[-1] + 1, dtype=scores.dtype, device=scores.device)
    support = (1 + rank * ordered > sums).sum(-1, keepdim=True)
    threshold = (sums.gather(-1, support - 1) - 1) / support
    weights = torch.clamp_min(scores - threshold, 0.0)
    return weights if valid is None else weights * valid

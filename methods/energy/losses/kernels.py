"""Kernels on rows, and what is computed from them: HSIC and the maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def squared_distances(x: Tensor) -> Tensor:
    """(n, d) -> (n, n) squared Euclidean distances, zero on the diagonal."""
    centred = x - x.mean(0)
    norm = centred.square().sum(1)
    distance = (norm.unsqueeze(1) + norm.unsqueeze(0) - 2 * centred @ centred.T).clamp_min(0.0)
    return distance.masked_fill(torch.eye(x.shape[0], dtype=torch.bool, device=x.device), 0.0)


def median_bandwidth(squared: Tensor) -> float:
    """Median of the off-diagonal squared distances (the lower one of an even number); 1 if there is none above 0."""
    n = squared.shape[0]
    if n < 2:
        return 1.0
    above = torch.triu_indices(n, n, offset=1)
    median = float(squared.detach()[above[0], above[1]].median())
    return median if median > 0 else 1.0


def rbf(x: Tensor, scales: Sequence[float] = (1.0,)) -> Tensor:
    """Mean over s in `scales` of exp(-d^2 / (2 s b)), b the median squared distance (a constant of the step)."""
    squared = squared_distances(x)
    bandwidth = median_bandwidth(squared)
    return torch.stack([torch.exp(-squared / (2 * scale * bandwidth)) for scale in scales]).mean(0)


def delta(code: Tensor) -> Tensor:
    """(n,) codes -> (n, n), 1 where two codes are equal."""
    return (code.unsqueeze(1) == code.unsqueeze(0)).to(torch.get_default_dtype())


def hsic(first: Tensor, second: Tensor) -> Tensor:
    """tr(K H L H) / (n - 1)^2 of two kernel matrices (Gretton et al. 2005); never negative, 0 for fewer than 2 rows."""
    n = first.shape[0]
    if n < 2:
        return first.sum() * 0.0
    second = second.to(first.dtype)
    centred = second - second.mean(0, keepdim=True) - second.mean(1, keepdim=True) + second.mean()
    return (first * centred).sum().clamp_min(0.0) / (n - 1) ** 2


def pairwise_mmd(kernel: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Squared maximum mean discrepancy of every two groups of rows (Gretton et al. 2012, the biased estimate >= 0).

    Args:
        kernel: (n, n). group: (n,) codes 0..n_groups-1, each occurring.

    Returns:
        (n_groups, n_groups), zero on the diagonal.
    """
    member = torch.nn.functional.one_hot(group, n_groups).to(kernel.dtype)
    share = member / member.sum(0, keepdim=True)
    mean = share.T @ kernel @ share
    own = mean.diagonal()
    return (own.unsqueeze(1) + own.unsqueeze(0) - 2 * mean).clamp_min(0.0)

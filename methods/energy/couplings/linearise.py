"""Canonical forms: the straight line that stands for a coupling, exact or by statistical linearisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..parts import Canonical

#: Nodes of the quadrature. The equidistant rule converges geometrically for smooth functions under a normal
#: weight: 193 nodes reach 1e-15 for a Hill curve of power 4, where 256 Gauss-Hermite nodes reach 1e-12.
_NODES, _REACH = 193, 12.0


def line(slope: Tensor, offset: Tensor, temperature: Tensor) -> Canonical:
    """(slope U + offset) / T as a canonical form; slope and offset (E,), temperature () or (E, 1)."""
    scale = temperature.reshape(-1)
    return Canonical(slope / scale, offset / scale)


def linearise(logit: Callable[[Tensor], Tensor], like: Tensor) -> Canonical:
    """The line nearest to F(U) in mean square under U ~ N(0, 1): slope E[U F(U)] = E[F'(U)], offset E[F(U)].

    The two expressions of the slope are equal by Stein's lemma.

    Args:
        logit: from potentials (n,) to logits (E, n). like: whose dtype the result has; inside it is float64.
    """
    nodes = torch.linspace(-_REACH, _REACH, _NODES, dtype=torch.float64, device=like.device)
    weights = torch.softmax(-nodes.square() / 2, 0)
    values = logit(nodes).double()
    slope, offset = values @ (weights * nodes), values @ weights
    return Canonical(slope.to(like.dtype), offset.to(like.dtype))

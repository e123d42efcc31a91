"""Potential heads: from the latent vector of a pair to its potential U."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class FourierEnergyHead(nn.Module):
    """out = w' SiLU(s) + b with s_i = sum_j sum_{k=0..G} a_ijk cos(k t_j) + b_ijk sin(k t_j), t = pi tanh(z).

    A Kolmogorov-Arnold layer in the Fourier basis (Xu et al. 2024, FourierKAN): every edge j -> i carries
    its own periodic function of the bounded angle t_j. Coefficients start with sd sqrt(2 / (d (G + 1))).

    Args:
        d: size of z. width: number of sums s_i. harmonics: G >= 1.
    """

    orders: Tensor

    def __init__(self, d: int, width: int, harmonics: int) -> None:
        super().__init__()
        scale = math.sqrt(2.0 / (d * (harmonics + 1)))
        self.cosine = nn.Parameter(torch.randn(width, d, harmonics + 1) * scale)
        self.sine = nn.Parameter(torch.randn(width, d, harmonics + 1) * scale)
        self.out = nn.Linear(width, 1)
        self.register_buffer("orders", torch.arange(harmonics + 1, dtype=torch.float32), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """(..., d) floats -> (...,) real energies, unbounded in sign."""
        angle = (math.pi * torch.tanh(z)).unsqueeze(-1) * self.orders
        waves = torch.cat([torch.cos(angle), torch.sin(angle)], dim=-1).flatten(-2)
        sums = nn.functional.linear(waves, torch.cat([self.cosine, self.sine], dim=-1).flatten(1))
        energy: Tensor = self.out(nn.functional.silu(sums)).squeeze(-1)
        return energy


class LinearHead(nn.Module):
    """U = w' z + b.

    Args:
        d: size of z.
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.out = nn.Linear(d, 1)

    def forward(self, z: Tensor) -> Tensor:
        """(..., d) -> (...,)."""
        energy: Tensor = self.out(z).squeeze(-1)
        return energy

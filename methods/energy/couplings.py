"""Couplings: how the potential of a pair and the environment of a cell form a logit."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...tasks.errors import MethodError
from .config import CouplingKind
from .environment import Environment


class Canonical(NamedTuple):
    """The scalar part of a coupling in canonical form: logit = slope U + offset, each (E,)."""

    slope: Tensor
    offset: Tensor


class Temperature(nn.Module):
    """One global T = softplus(t), kept in [low, high] by projection.

    Raises:
        MethodError: not 0 < low <= start <= high.
    """

    def __init__(self, start: float, low: float, high: float) -> None:
        super().__init__()
        if not 0.0 < low <= start <= high:
            raise MethodError(f"A temperature needs 0 < low <= start <= high, not {low}, {start}, {high}.")
        self.low, self.high = low, high
        self.raw = nn.Parameter(torch.tensor(math.log(math.expm1(start))))

    def forward(self) -> Tensor:
        """T, a scalar."""
        return nn.functional.softplus(self.raw).clamp(self.low, self.high)

    def project(self) -> None:
        """Bring t back to the interval, where the clamp of `forward` still passes a gradient."""
        with torch.no_grad():
            self.raw.clamp_(math.log(math.expm1(self.low)), math.log(math.expm1(self.high)))


class Coupling(nn.Module, ABC):
    """Logits of n pairs in each of E cells."""

    @abstractmethod
    def forward(self, potential: Tensor, latent: Tensor, environment: Environment, temperature: Tensor) -> Tensor:
        """Form logits.

        Args:
            potential: (n,) one set of pairs for all cells, or (E, n). latent: (n, d) or (E, n, d).
            environment: of E cells. temperature: scalar T > 0.

        Returns:
            (E, n) logits.
        """

    def canonical(self, environment: Environment, temperature: Tensor) -> Canonical:
        """Slope 1 / T and offset -R / T of the part that does not depend on the pair, each (E,)."""
        return Canonical((1.0 / temperature).expand_as(environment.resistance), -environment.resistance / temperature)


class Additive(Coupling):
    """(U - R) / T. Leaves the ranking inside a cell as U has it (B0)."""

    def forward(self, potential: Tensor, latent: Tensor, environment: Environment, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`; `latent` is not used."""
        return (potential - environment.resistance.unsqueeze(1)) / temperature


class Bilinear(Coupling):
    """(U + phi(z)' W e - R) / T with phi = tanh and W = A B of low rank.

    A starts at zero, so training starts from `Additive`.

    Args:
        d: size of z. embedding: d_e. rank: of W.
    """

    def __init__(self, d: int, embedding: int, rank: int) -> None:
        super().__init__()
        self.pair = nn.Parameter(torch.zeros(d, rank))
        self.cell = nn.Parameter(torch.randn(rank, embedding) / math.sqrt(embedding))

    def forward(self, potential: Tensor, latent: Tensor, environment: Environment, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        direction = environment.embedding @ self.cell.T @ self.pair.T  # (E, d)
        if latent.dim() == 2:
            interaction = direction @ torch.tanh(latent).T
        else:
            interaction = torch.einsum("end,ed->en", torch.tanh(latent), direction)
        return (potential + interaction - environment.resistance.unsqueeze(1)) / temperature


def build_coupling(kind: CouplingKind, *, d: int, embedding: int, rank: int) -> Coupling:
    """The coupling that the configuration names."""
    match kind:
        case CouplingKind.ADDITIVE:
            return Additive()
        case CouplingKind.BILINEAR:
            return Bilinear(d, embedding, rank)

"""Multiplicative modulation: the cell scales and shifts the potential."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..parts import Canonical, Coupling, Pairs
from .linearise import line
from .ranges import START_RESISTANCE, inverse_softplus


class Affine(Coupling):
    """(M U + B) / T with M > 0.

    Only M / T and B / T enter, so T is for the configuration to fix, not for the cell. (U, M, B) and
    (s U + d, M / s, B - M d / s) give the same logits; the canonical slope and offset of a standardised U do not.
    """

    x_dependent = False
    names = ("M", "B")

    def natural(self, raw: Tensor) -> Tensor:
        """M = softplus, B as it is."""
        return torch.cat([softplus(raw[:, :1]), raw[:, 1:]], dim=1)

    def neutral(self) -> Tensor:
        """M = 1, B = 0: U / T."""
        return torch.tensor([1.0, 0.0])

    def default(self) -> Tensor:
        """M = 1, and the offset that the additive coupling starts from."""
        return torch.tensor([inverse_softplus(1.0), -START_RESISTANCE])

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        return (pairs.potential * natural[:, :1] + natural[:, 1:]) / temperature

    def canonical(self, natural: Tensor, temperature: Tensor) -> Canonical:
        """Slope M / T, offset B / T."""
        return line(natural[:, 0], natural[:, 1], temperature)

"""From an embedding to the raw parameters of a coupling."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..parts import CellFacts, Estimator, SupportRows


class Modulator(nn.Module):
    """raw = default + W e, without a bias beside the learned default: an embedding of 0 gives the default.

    W starts at zero, so that training starts from the default in every cell.

    Args:
        size: d_e. default: (P,) raw parameters to start from.
    """

    def __init__(self, size: int, default: Tensor) -> None:
        super().__init__()
        self.default = nn.Parameter(default.detach().clone())
        self.weight = nn.Parameter(torch.zeros(default.shape[0], size, dtype=default.dtype))

    def forward(self, embedding: Tensor) -> Tensor:
        """(E, d_e) -> (E, P)."""
        return self.default + embedding @ self.weight.T


class Reading(NamedTuple):
    """Embedding (E, d_e) and raw parameters (E, P) of E cells."""

    embedding: Tensor
    raw: Tensor


class Reader(nn.Module):
    """An estimator and its modulator: one voice about a cell.

    Args:
        estimator: reads supports and facts. modulator: of the estimator's size.
    """

    def __init__(self, estimator: Estimator, modulator: Modulator) -> None:
        super().__init__()
        self.estimator, self.modulator = estimator, modulator

    def forward(self, support: SupportRows, facts: CellFacts) -> Reading:
        """E supports -> embeddings and raw parameters."""
        embedding = self.estimator(support, facts)
        return Reading(embedding, self.modulator(embedding))

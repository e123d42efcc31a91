"""Origin and scale of U for couplings in which zero means something."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from .ranges import inverse_softplus


class Place(nn.Module):
    """U' = s U + u_0 with s > 0, shared by all cells.

    A gate, a saturation and a Hill curve have no offset of the cell's own: where on them U lies decides what they do.
    U itself is learned for its ranking at balanced classes; origin and scale are learned with the coupling, at natural
    prevalence.

    Args:
        scale: s that training starts from, > 0.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.origin = nn.Parameter(torch.zeros(()))
        self.raw_scale = nn.Parameter(torch.tensor(inverse_softplus(scale)))

    def forward(self, potential: Tensor) -> Tensor:
        """(...) -> (...)."""
        return softplus(self.raw_scale) * potential + self.origin

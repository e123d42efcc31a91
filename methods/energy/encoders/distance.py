"""Distance beside a sequence encoder: DNA alone does not say how far apart two elements lie."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...features import Standardiser
from ..parts import PairInputs


class DistanceColumn(nn.Module):
    """Appends log10 distance, standardised on the training rows, to hidden vectors.

    Args:
        inputs: training rows; the last column of their features is log10 distance, NaN = unknown.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: PairInputs) -> None:
        super().__init__()
        assert inputs.features is not None
        learnt = Standardiser.of(inputs.features[:, -1:].numpy())
        self.register_buffer("mean", torch.from_numpy(learnt.mean).float())
        self.register_buffer("scale", torch.from_numpy(learnt.scale).float())

    def forward(self, hidden: Tensor, inputs: PairInputs) -> Tensor:
        """(n, h) -> (n, h + 1); an unknown distance counts as the training mean."""
        assert inputs.features is not None
        distance = (inputs.features[:, -1:].to(hidden.dtype) - self.mean) / self.scale
        return torch.cat([hidden, distance.nan_to_num(nan=0.0)], dim=1)

"""The chromatin-feature encoder: from a row of features and distance to the hidden vector of a pair."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...device import normal_like
from ..parts import Encoder, Hidden, PairInputs
from .dropout import ByteDropout

#: A column that hardly varies in the training cells may vary in the next one; dividing by its tiny sd
#: would throw that cell far outside everything the net was trained on.
_SMALLEST_SCALE = 0.5


class PiecewiseLinear(nn.Module):
    """Piecewise-linear encoding of each column over its quantiles (Gorishniy et al. 2022, PLE).

    A column becomes `bins` numbers, the b-th rising from 0 to 1 while the value crosses the b-th bin. Inputs
    stay bounded whatever the next cell holds, and thresholds cost the net nothing.

    Args:
        inputs: (n, F) training rows; NaN = unknown. bins: per column.
    """

    low: Tensor
    width: Tensor

    def __init__(self, inputs: Tensor, bins: int) -> None:
        super().__init__()
        levels = torch.linspace(0.0, 1.0, bins + 1, dtype=torch.float64)
        edges = torch.nanquantile(_thinned(inputs).double(), levels, dim=0).T.nan_to_num(nan=0.0).float()
        self.register_buffer("low", edges[:, :-1].contiguous())
        # Equal quantiles (ties) give a step instead of a ramp.
        self.register_buffer("width", (edges[:, 1:] - edges[:, :-1]).clamp_min(1e-6))

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, F) -> (n, F * bins) in [0, 1]; NaN stays NaN."""
        return ((inputs.unsqueeze(-1) - self.low) / self.width).clamp(0.0, 1.0).flatten(1)


def _thinned(inputs: Tensor) -> Tensor:
    """At most about 2^15 evenly spaced rows: enough for quantiles."""
    return inputs[:: max(1, inputs.shape[0] // 2**15)]


class FeatureEncoder(Encoder):
    """A multilayer perceptron on piecewise-linear codes; its last hidden layer is the hidden vector.

    Args:
        inputs: (n, F) float32 training rows, from which quantiles and scales are taken; NaN = unknown.
        bins: codes per column. width: hidden units, the size. depth: hidden layers, at least 1.
        dropout: on hidden units. feature_dropout: on whole columns, all codes of one at once.
        noise: Gaussian noise on the columns in training, in their sd: ranks in an unseen cell differ that much.
    """

    mean: Tensor
    scale: Tensor
    spread: Tensor

    def __init__(
        self,
        inputs: Tensor,
        *,
        bins: int,
        width: int,
        depth: int,
        dropout: float,
        feature_dropout: float,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.noise = noise
        known = _thinned(inputs)
        spread = (known - known.nanmean(0)).square().nanmean(0).nan_to_num(nan=0.0).sqrt()
        self.register_buffer("spread", noise * spread)
        self.code = PiecewiseLinear(inputs, bins)
        codes = self.code(_thinned(inputs))
        mean = codes.nanmean(0).nan_to_num(nan=0.0)
        deviation = (codes - mean).square().nanmean(0).nan_to_num(nan=0.0).sqrt()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", deviation.clamp_min(_SMALLEST_SCALE))
        layers: list[nn.Module] = [ByteDropout(feature_dropout, group=bins)]
        size = inputs.shape[1] * bins
        for _ in range(depth):
            layers += [nn.Linear(size, width), nn.SiLU(), ByteDropout(dropout)]
            size = width
        self.size = size
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: PairInputs) -> Hidden:
        """n pairs with features (n, F) -> (n, width); an unknown value counts as the training mean."""
        assert inputs.features is not None
        features = inputs.features
        if self.training and self.noise:
            features = features + self.spread * normal_like(features)
        codes = self.code(features)
        return Hidden(self.layers(((codes - self.mean) / self.scale).nan_to_num(nan=0.0)))

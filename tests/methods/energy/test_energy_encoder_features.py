"""The feature encoder and its latent map against the one class that they were."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from epishot.methods.energy.config import EncoderConfig
from epishot.methods.energy.encoders.build import build_encoder, build_wrapper
from epishot.methods.energy.encoders.dropout import ByteDropout
from epishot.methods.energy.encoders.features import PiecewiseLinear
from epishot.methods.energy.parts import PairInputs
from epishot.tasks.errors import MethodError


class OneClass(nn.Module):
    """Encoder and latent map in one sequence of layers."""

    def __init__(
        self, inputs: Tensor, *, bins: int, width: int, depth: int, latent: int, dropout: float, columns: float
    ):
        super().__init__()
        self.code = PiecewiseLinear(inputs, bins)
        codes = self.code(inputs)
        self.mean = codes.nanmean(0).nan_to_num(nan=0.0)
        self.scale = (codes - self.mean).square().nanmean(0).nan_to_num(nan=0.0).sqrt().clamp_min(0.5)
        layers: list[nn.Module] = [ByteDropout(columns, group=bins)]
        size = inputs.shape[1] * bins
        for _ in range(depth):
            layers += [nn.Linear(size, width), nn.SiLU(), ByteDropout(dropout)]
            size = width
        layers.append(nn.Linear(size, latent))
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(((self.code(inputs) - self.mean) / self.scale).nan_to_num(nan=0.0))


def _features() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    features = torch.rand(200, 4, generator=generator)
    features[::7, 2] = torch.nan
    return features


def test_encoder_and_latent_map_are_bit_for_bit_the_one_class():
    features = _features()
    config = EncoderConfig(bins=4, width=9, depth=2, latent=3, dropout=0.4, feature_dropout=0.2, noise=0.0)
    torch.manual_seed(5)
    old = OneClass(features, bins=4, width=9, depth=2, latent=3, dropout=0.4, columns=0.2)
    torch.manual_seed(5)
    encoder = build_encoder(config, PairInputs(features))
    wrapper = build_wrapper(config, encoder.size)
    for training in (True, False):
        for part in (old, encoder, wrapper):
            part.train(training)
        hidden = encoder(PairInputs(features))
        assert hidden.hidden.shape == (200, 9)
        assert hidden.penalty is None
        assert torch.equal(wrapper(hidden.hidden).latent, old(features))


def test_an_unknown_value_counts_as_the_training_mean():
    features = _features()
    encoder = build_encoder(EncoderConfig(width=5), PairInputs(features)).eval()
    unknown = encoder(PairInputs(torch.full((1, 4), torch.nan))).hidden
    bias_only = encoder.layers(torch.zeros(1, 4 * 6))
    torch.testing.assert_close(unknown, bias_only)


def test_distance_alone_will_do_but_nothing_is_refused():
    assert build_encoder(EncoderConfig(width=5), PairInputs(torch.rand(10, 1))).size == 5
    with pytest.raises(MethodError, match="reads chromatin features and distance, and was given neither"):
        build_encoder(EncoderConfig(), PairInputs(None))


def test_noise_is_for_training_and_in_units_of_the_column():
    features = torch.rand(4000, 3) * torch.tensor([1.0, 10.0, 0.0])
    encoder = build_encoder(EncoderConfig(noise=0.5), PairInputs(features))
    torch.testing.assert_close(encoder.spread, 0.5 * features.std(0, correction=0), rtol=1e-4, atol=1e-6)
    inputs = PairInputs(features[:50])
    encoder.eval()
    assert torch.equal(encoder(inputs).hidden, encoder(inputs).hidden)
    quiet = build_encoder(EncoderConfig(noise=0.5, dropout=0.0, feature_dropout=0.0), PairInputs(features)).train()
    assert not torch.equal(quiet(inputs).hidden, quiet(inputs).hidden)

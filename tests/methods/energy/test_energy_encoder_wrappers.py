"""Latent map, bottleneck, branch, chromatin head."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from epishot.methods.energy.config import EncoderConfig
from epishot.methods.energy.encoders.build import build_wrapper
from epishot.methods.energy.encoders.wrappers import Bottleneck, Branch, ChromatinHead, ChromatinScale, LatentMap
from epishot.tasks.errors import MethodError


def test_bottleneck_is_random_in_training_and_its_mean_in_evaluation():
    torch.manual_seed(0)
    bottleneck = Bottleneck(6, 3, 0.3)
    hidden = torch.randn(10, 6)
    first, second = bottleneck(hidden), bottleneck(hidden)
    assert not torch.equal(first.latent, second.latent)
    assert torch.equal(first.mean, second.mean)
    bottleneck.eval()
    assert torch.equal(bottleneck(hidden).latent, first.mean)


def test_bottleneck_follows_the_seed():
    bottleneck, hidden = Bottleneck(6, 3, 0.3), torch.randn(10, 6)
    drawn = []
    for _ in range(2):
        torch.manual_seed(4)
        drawn.append(bottleneck(hidden).latent)
    assert torch.equal(*drawn)


def test_sigma_stays_between_its_floor_and_the_prior_whatever_the_input():
    bottleneck = Bottleneck(6, 3, 0.3)
    sigma = torch.exp(0.5 * bottleneck(torch.randn(500, 6) * 1e3).log_variance)
    assert 0.3 - 1e-6 <= sigma.min() < 0.31
    assert 0.99 < sigma.max() <= 1.0 + 1e-6


def test_noise_has_the_spread_that_is_said():
    torch.manual_seed(1)
    bottleneck = Bottleneck(2, 1, 0.5)
    out = bottleneck(torch.ones(40000, 2))
    said = torch.exp(0.5 * out.log_variance[0, 0]).item()
    assert abs((out.latent - out.mean).std().item() / said - 1) < 0.02


@pytest.mark.parametrize("sigma_min", [1.0, 2.0])
def test_a_floor_above_the_prior_is_refused(sigma_min):
    with pytest.raises(MethodError, match="must lie in"):
        build_wrapper(EncoderConfig(bottleneck=True, sigma_min=sigma_min), 4)


def test_configuration_chooses_the_wrapper_and_shapes_lead_through():
    plain = build_wrapper(EncoderConfig(latent=5), 4)
    assert isinstance(plain, LatentMap)
    out = plain(torch.randn(2, 3, 4))
    assert out.latent.shape == (2, 3, 5)
    assert out.mean is None
    assert out.log_variance is None
    assert isinstance(build_wrapper(EncoderConfig(bottleneck=True), 4), Bottleneck)


def test_branch_and_chromatin_head_keep_leading_shapes():
    hidden = torch.randn(2, 3, 4)
    for net in (Branch(4, 7), ChromatinHead(4, 7)):
        assert net(hidden).shape == (2, 3, 7)
        torch.testing.assert_close(net(hidden)[1], net(hidden[1]))
    assert not torch.allclose(Branch(4, 7)(hidden), 2 * Branch(4, 7)(hidden / 2))


def test_a_chromatin_head_without_targets_is_refused():
    with pytest.raises(MethodError, match="no chromatin features"):
        ChromatinHead(4, 0)


def test_targets_are_standardised_on_training_rows_and_stay_unknown():
    rng = np.random.default_rng(0)
    train = rng.gamma(2.0, 3.0, (300, 3))
    train[::5, 1] = np.nan
    scale = ChromatinScale(train)
    scaled = scale(train)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(train))
    np.testing.assert_allclose(np.nanmean(scaled, axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.nanstd(scaled, axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(
        scale(train[:4] + 1) - scaled[:4], 1 / np.nanstd(train, axis=0) + 0 * scaled[:4], rtol=1e-4
    )

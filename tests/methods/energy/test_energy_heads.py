"""The linear head, and which head a configuration builds."""

from __future__ import annotations

import torch

from epishot.methods.energy.config import EncoderConfig, HeadKind
from epishot.methods.energy.encoders.build import build_head
from epishot.methods.energy.encoders.heads import FourierEnergyHead, LinearHead


def test_linear_head_is_a_dot_product_for_any_leading_shape():
    head = LinearHead(3).double()
    z = torch.randn(2, 5, 3, dtype=torch.float64)
    expected = (z * head.out.weight[0]).sum(-1) + head.out.bias
    torch.testing.assert_close(head(z), expected, rtol=0, atol=1e-14)


def test_configuration_chooses_the_head():
    assert isinstance(build_head(EncoderConfig(head=HeadKind.LINEAR)), LinearHead)
    head = build_head(EncoderConfig(latent=4, head_width=7, harmonics=3))
    assert isinstance(head, FourierEnergyHead)
    assert head.cosine.shape == (7, 4, 4)

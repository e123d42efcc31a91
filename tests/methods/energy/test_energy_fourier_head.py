"""The Fourier head against its formula, written in numpy."""

from __future__ import annotations

import numpy as np
import torch

from epishot.methods.energy.encoders.heads import FourierEnergyHead


def test_equals_the_formula_written_as_loops():
    torch.manual_seed(3)
    head = FourierEnergyHead(d=3, width=5, harmonics=4).double()
    z = torch.randn(7, 3, dtype=torch.float64) * 2
    a, b = head.cosine.detach().numpy(), head.sine.detach().numpy()
    w, bias = head.out.weight.detach().numpy()[0], head.out.bias.detach().numpy()[0]
    expected = np.empty(7)
    for row, values in enumerate(z.numpy()):
        total = bias
        for i in range(5):
            s = 0.0
            for j in range(3):
                t = np.pi * np.tanh(values[j])
                for k in range(5):
                    s += a[i, j, k] * np.cos(k * t) + b[i, j, k] * np.sin(k * t)
            total += w[i] * s / (1 + np.exp(-s))
        expected[row] = total
    np.testing.assert_allclose(head(z).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_coefficients_start_with_the_stated_spread():
    torch.manual_seed(0)
    head = FourierEnergyHead(d=16, width=200, harmonics=5)
    assert np.isclose(head.cosine.std().item(), np.sqrt(2 / (16 * 6)), rtol=0.03)


def test_keeps_leading_shapes():
    head = FourierEnergyHead(d=4, width=3, harmonics=2)
    z = torch.randn(2, 6, 4)
    torch.testing.assert_close(head(z), head(z.reshape(12, 4)).reshape(2, 6))

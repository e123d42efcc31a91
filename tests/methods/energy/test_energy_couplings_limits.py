"""Couplings: their limits, their symmetries, and the straight lines that stand for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad_vec
from scipy.stats import norm

from epishot.methods.energy.config import CouplingConfig
from epishot.methods.energy.couplings.additive import Additive
from epishot.methods.energy.couplings.affine import Affine
from epishot.methods.energy.couplings.build import build_coupling
from epishot.methods.energy.couplings.gate import Gate
from epishot.methods.energy.couplings.hill import Hill, log_softplus, occupancy
from epishot.methods.energy.couplings.saturating import Saturating
from epishot.methods.energy.parts import Pairs

ONE = torch.tensor(1.0, dtype=torch.float64)


def _pairs(potential) -> Pairs:
    potential = torch.as_tensor(potential, dtype=torch.float64)
    return Pairs(potential, torch.zeros(*potential.shape, 1, dtype=torch.float64), lambda z: z[..., 0])


def _column(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def test_hill_of_power_one_is_michaelis_menten():
    hill = Hill().double()
    torch.nn.init.constant_(hill.power.raw, -60.0)
    assert hill.power().item() == 1.0
    u, k = np.linspace(-8, 8, 41), np.array([[0.3], [1.0], [2.5]])
    logits = hill(_pairs(u), torch.tensor(k), ONE).detach().numpy()
    concentration = np.logaddexp(0.0, u)
    np.testing.assert_allclose(logits / hill.height().item() + 0.5, concentration / (concentration + k), atol=1e-6)


def test_hill_of_great_power_is_a_step_at_the_half_point():
    k = _column(1.2)
    at = torch.log(torch.expm1(torch.tensor([1.19, 1.2, 1.21], dtype=torch.float64)))
    np.testing.assert_allclose(occupancy(at, k, torch.tensor(1e5, dtype=torch.float64))[0], [0, 0.5, 1], atol=1e-9)


@pytest.mark.parametrize("raw", [-50.0, -3.0, 0.0, 3.0, 50.0])
def test_the_power_stays_between_one_and_four(raw):
    hill = Hill().double()
    torch.nn.init.constant_(hill.power.raw, raw)
    assert 1.0 <= hill.power().item() <= 4.0


def test_the_logarithm_of_softplus_is_finite_and_increasing_far_out():
    u = torch.linspace(-2000, 2000, 8001, dtype=torch.float64)
    value = log_softplus(u)
    assert torch.isfinite(value).all()
    assert (value.diff() > 0).all()
    assert value[0].item() == -2000.0
    inner = torch.linspace(-30, 30, 200, dtype=torch.float64)
    np.testing.assert_allclose(log_softplus(inner), np.log(np.logaddexp(0, inner.numpy())), atol=1e-12)


def _hessian(loss, at):
    return torch.linalg.eigh(torch.autograd.functional.hessian(loss, at))


def test_moving_potential_and_resistance_together_is_a_flat_direction():
    torch.manual_seed(0)
    u = torch.randn(3, 80, dtype=torch.float64)
    y = (torch.rand(3, 80) < 0.4).double()
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    additive = Additive(signed=True)
    values, vectors = _hessian(
        lambda p: bce(additive(_pairs(u + p[0]), p[1:, None], ONE), y),
        torch.tensor([0.2, 0.5, 1.0, -0.3], dtype=torch.float64),
    )
    assert abs(values[0]) < 1e-14
    np.testing.assert_allclose(vectors[:, 0].abs(), 0.5, atol=1e-7)
    assert (values[1:] > 1e-3).all()


def test_the_canonical_form_of_a_standardised_potential_has_no_flat_direction():
    torch.manual_seed(0)
    u = torch.randn(3, 80, dtype=torch.float64)
    u = (u - u.mean()) / u.std()
    y = (torch.rand(3, 80) < 0.4).double()
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    affine = Affine()

    def loss(p, shift=0.0, scale=1.0):
        moved = (u + shift) * scale
        return bce(affine(_pairs((moved - moved.mean()) / moved.std()), p.reshape(3, 2), ONE), y)

    at = torch.tensor([1.2, -0.5, 0.8, 0.1, 1.5, -1.0], dtype=torch.float64)
    values, _ = _hessian(loss, at)
    assert values[0] > 1e-3
    assert loss(at, 2.0, 3.0).item() == pytest.approx(loss(at).item(), abs=1e-12)


def test_potential_scale_and_offset_of_the_affine_coupling_trade_off():
    affine, u = Affine(), torch.randn(50, dtype=torch.float64)
    logits = affine(_pairs(u), torch.tensor([[1.5, 0.4]], dtype=torch.float64), ONE)
    moved = torch.tensor([[1.5 / 2, 0.4 - 1.5 * 0.7 / 2]], dtype=torch.float64)
    torch.testing.assert_close(affine(_pairs(2 * u + 0.7), moved, ONE), logits, rtol=0, atol=1e-13)


def test_the_literal_gate_and_saturation_are_temperatures_of_the_cells_own():
    u, r = torch.randn(50, dtype=torch.float64), _column(0.0, 0.7, 3.0)
    pure = Additive()
    for coupling, own in (
        (Saturating(), 1 + r),
        (Gate("literal").double(), 1 + torch.exp(-r)),
    ):
        logits = coupling(_pairs(u), r, 1.7 * ONE).detach()
        torch.testing.assert_close(logits, pure(_pairs(u), 0 * r, 1.7 * own), rtol=1e-6, atol=1e-7)
        assert (coupling.canonical(r, ONE).offset == 0).all()


def test_a_closed_gate_blocks_in_one_form_and_says_one_half_in_the_other():
    u, closed = torch.tensor([-3.0, 3.0], dtype=torch.float64), _column(-20.0)
    blocking = Gate("blocking").double()
    assert (blocking(_pairs(u), closed, ONE) < -1.99).all()
    literal = torch.sigmoid(Gate("literal").double()(_pairs(u), closed, ONE))
    torch.testing.assert_close(literal.detach(), torch.full_like(literal, 0.5))


@pytest.mark.parametrize(("share", "monotone"), [(0.3, True), (0.833, True), (0.8345, False), (0.95, False)])
def test_the_tanh_gate_is_increasing_up_to_its_limit(share, monotone):
    gate = Gate("tanh").double()
    torch.nn.init.constant_(gate.share.raw, 60.0)
    u = torch.linspace(-6, 6, 20001, dtype=torch.float64)
    logits = gate(_pairs(u), torch.logit(_column(share)), ONE)[0]
    assert bool((logits.diff() > 0).all()) is monotone


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "gate", "form": "blocking"},
        {"kind": "gate", "form": "tanh"},
        {"kind": "hill"},
        {"kind": "additive"},
        {"kind": "interaction"},
        {"kind": "affine"},
        {"kind": "conditional"},
        {"kind": "saturating"},
        {"kind": "gate", "form": "literal"},
        {"kind": "gate", "form": "hard"},
        {"kind": "bilinear"},
    ],
    ids=lambda o: "-".join(o.values()),
)
def test_canonical_slope_and_offset_are_the_moments_under_a_normal_potential(options):
    coupling = build_coupling(CouplingConfig(rank=2, **options), latent=1).double()
    raw = coupling.default().double() + _column(-0.8, 0.0, 1.1)
    natural = coupling.natural(raw)
    if coupling.x_dependent:
        natural = torch.cat([natural[:, :1], 0 * natural[:, 1:]], dim=1)
    temperature = _column(0.7, 1.0, 1.6)
    slope, offset = coupling.canonical(natural, temperature)

    def density(u):
        with torch.no_grad():
            logits = coupling(_pairs([u]), natural, temperature)[:, 0].numpy()
        return np.stack([u * logits, logits]) * norm.pdf(u)

    moments, _ = quad_vec(density, -10, 10, epsabs=1e-11, epsrel=1e-11, points=[0])
    np.testing.assert_allclose(np.stack([slope.detach(), offset.detach()]), moments, rtol=0, atol=1e-9)


def test_a_linearised_form_keeps_dtype_and_gradient():
    hill = Hill()
    natural = torch.tensor([[1.0]], requires_grad=True)
    slope, offset = hill.canonical(natural, torch.tensor(1.0))
    assert slope.dtype == offset.dtype == torch.float32
    offset.sum().backward()
    assert natural.grad.item() < 0

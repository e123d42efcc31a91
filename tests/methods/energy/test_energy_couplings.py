"""Couplings: written-out forms, what "no environment" means, rank identity inside a cell, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import average_precision_score

from epishot.methods.energy.config import CouplingConfig, CouplingKind
from epishot.methods.energy.couplings.build import build_coupling
from epishot.methods.energy.couplings.interaction import Interaction
from epishot.methods.energy.encoders.heads import FourierEnergyHead
from epishot.methods.energy.parts import Coupling, Pairs
from epishot.tasks.errors import MethodError

D, RANK, CELLS, N = 5, 3, 4, 300
SCALAR = (
    {"kind": "additive"},
    {"kind": "additive", "signed": True},
    {"kind": "interaction"},
    {"kind": "interaction", "sign": "positive"},
    {"kind": "conditional"},
    {"kind": "gate", "form": "blocking"},
    {"kind": "gate", "form": "literal"},
    {"kind": "gate", "form": "tanh"},
    {"kind": "gate", "form": "hard"},
    {"kind": "saturating"},
    {"kind": "hill"},
    {"kind": "affine"},
)
READS_Z = ("film", "gate_vector", "pair_resistance", "bilinear", "projection", "bypass")
ALL = (*SCALAR, *({"kind": kind} for kind in READS_Z))
T = torch.tensor(1.3, dtype=torch.float64)


def _named(options) -> str:
    return "-".join(str(value) for value in options.values())


def _build(options) -> Coupling:
    torch.manual_seed(1)
    return build_coupling(CouplingConfig(rank=RANK, **options), latent=D).double()


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    torch.manual_seed(0)
    head = FourierEnergyHead(D, 7, 3).double()
    z = torch.randn(N, D, dtype=torch.float64)
    return Pairs(head(z).detach(), z, head)


def _raw(coupling: Coupling, spread: float = 1.0) -> torch.Tensor:
    g = torch.Generator().manual_seed(3)
    noise = torch.randn(CELLS, coupling.n_raw, generator=g, dtype=torch.float64)
    return coupling.default().double() + spread * noise


@pytest.mark.parametrize("options", ALL, ids=_named)
def test_one_set_of_pairs_for_all_cells_equals_a_set_for_each(options, pairs):
    coupling = _build(options)
    natural = coupling.natural(_raw(coupling))
    own = Pairs(pairs.potential.expand(CELLS, -1), pairs.latent.expand(CELLS, -1, -1), pairs.head)
    shared = coupling(pairs, natural, T)
    assert shared.shape == (CELLS, N)
    assert natural.shape == (CELLS, coupling.n_raw)
    assert len(coupling.names) == coupling.n_raw
    torch.testing.assert_close(coupling(own, natural, T), shared, rtol=0, atol=1e-12)
    torch.testing.assert_close(coupling(pairs, natural, T.expand(CELLS, 1)), shared, rtol=0, atol=1e-13)


@pytest.mark.parametrize("options", ALL, ids=_named)
def test_without_environment_the_logit_is_the_potential(options, pairs):
    coupling = _build(options)
    neutral = coupling.neutral().double()
    assert neutral.shape == (coupling.n_raw,)
    logits = coupling(pairs, neutral.expand(CELLS, -1), T)
    expected = pairs.potential.expand(CELLS, -1)
    if options.get("form") == "blocking":
        expected = torch.nn.functional.softplus(expected) - coupling.bias
    if options["kind"] == "hill":  # bounded: no half point gives U
        assert (logits.diff(dim=0) == 0).all()
        return
    torch.testing.assert_close(logits, expected / T, rtol=0, atol=1e-13)


@pytest.mark.parametrize("options", SCALAR, ids=_named)
def test_a_scalar_coupling_leaves_the_ranking_inside_a_cell(options, pairs):
    coupling = _build(options)
    assert not coupling.x_dependent
    label = (torch.rand(N, generator=torch.Generator().manual_seed(0)) < torch.sigmoid(pairs.potential - 1)).numpy()
    alone = average_precision_score(label, pairs.potential.numpy())
    natural = coupling.natural(_raw(coupling, 0.4))
    assert (coupling.canonical(natural, T).slope > 0).all()
    for logits in coupling(pairs, natural, T).detach().numpy():
        assert average_precision_score(label, logits) == pytest.approx(alone, abs=1e-12)


@pytest.mark.parametrize("kind", READS_Z)
def test_a_coupling_that_reads_z_changes_the_ranking_inside_a_cell(kind, pairs):
    coupling = _build({"kind": kind})
    assert coupling.x_dependent
    assert coupling.n_raw == 1 + RANK
    label = (torch.rand(N, generator=torch.Generator().manual_seed(0)) < torch.sigmoid(pairs.potential - 1)).numpy()
    alone = average_precision_score(label, pairs.potential.numpy())
    natural = coupling.natural(_raw(coupling))
    for logits in coupling(pairs, natural, T).detach().numpy():
        assert abs(average_precision_score(label, logits) - alone) > 1e-4


@pytest.mark.parametrize("kind", READS_Z)
def test_cell_coordinate_and_its_map_both_have_a_gradient_at_the_start(kind, pairs):
    coupling = _build({"kind": kind})
    raw = coupling.default().double().expand(CELLS, -1).clone().requires_grad_(True)
    coupling(pairs, coupling.natural(raw), T).square().sum().backward()
    assert (raw.grad.abs() > 1e-8).all()
    if kind == "projection":
        assert coupling.axes.grad.abs().max() > 1e-8


def test_scalar_forms_equal_what_is_written_down(pairs):
    u, t = pairs.potential.numpy()[None], 1.3
    softplus = lambda x: np.logaddexp(0.0, x)  # noqa: E731

    def logits(options, raw):
        coupling = _build(options)
        natural = coupling.natural(torch.tensor(raw, dtype=torch.float64))
        return coupling(pairs, natural, T).detach().numpy()

    raw = np.array([[-1.0], [0.4], [2.2]])
    r = softplus(raw)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)  # noqa: E731  (start values are float32)
    close(logits({"kind": "additive"}, raw), (u - r) / t)
    close(logits({"kind": "additive", "signed": True}, raw), (u - raw) / t)
    close(logits({"kind": "interaction"}, raw), (u - r + 0.1 * u * r) / t)
    close(logits({"kind": "interaction", "sign": "negative"}, raw), (u - r - 0.1 * u * r) / t)
    close(logits({"kind": "saturating"}, raw), u / (1 + r) / t)
    close(logits({"kind": "gate"}, raw), (softplus(u) * expit(raw) - 2) / t)
    close(logits({"kind": "gate", "form": "literal"}, raw), u * expit(raw) / t)
    close(logits({"kind": "gate", "form": "tanh"}, raw), u * (1 + 0.5 * np.tanh(u) * expit(raw)) / t)
    close(logits({"kind": "gate", "form": "hard"}, raw), u * np.where(raw > 0, 1.0, 0.5) / t)
    powered = softplus(u) ** 2.5
    close(logits({"kind": "hill"}, raw), 6 * (powered / (powered + r**2.5) - 0.5) / t)
    both = np.array([[0.3, -1.0], [-2.0, 0.5]])
    close(logits({"kind": "affine"}, both), (softplus(both[:, :1]) * u + both[:, 1:]) / t)
    close(logits({"kind": "conditional"}, both), (u + both[:, :1] * u + both[:, 1:]) / t)


def test_forms_that_read_z_equal_what_is_written_down(pairs):
    z, u = pairs.latent.numpy(), pairs.potential.numpy()
    v, r = np.array([0.5, -1.0, 0.8]), np.logaddexp(0.0, 0.7)
    raw = torch.tensor([[0.7, *v]], dtype=torch.float64)
    head = lambda x: pairs.head(torch.tensor(x)).detach().numpy()  # noqa: E731

    def check(kind, expected):
        coupling = _build({"kind": kind})
        values = {name: value.detach().numpy() for name, value in coupling.named_parameters()}
        logits = coupling(pairs, coupling.natural(raw), T)[0].detach().numpy()
        np.testing.assert_allclose(logits, (expected(coupling, values) - r) / 1.3, rtol=0, atol=1e-12)

    silu = lambda x: x * expit(x)  # noqa: E731
    check("film", lambda _, w: head((1 + w["scale"] @ v) * z + w["shift"] @ v))
    check("bilinear", lambda _, w: u + np.tanh(z) @ w["axes"] @ v)

    def projected(_, w):
        axis = w["axes"] @ v
        return head(z - np.outer(z @ axis / (axis @ axis + 0.1), axis))

    check("projection", projected)

    def gated(coupling, w):
        gate = coupling.gate(coupling.natural(raw))[0].detach().numpy()
        assert gate.min() >= 0
        assert gate.sum() == pytest.approx(1, abs=1e-12)
        assert np.ptp(gate) > 0
        return head(D * gate * z)

    check("gate_vector", gated)

    def resisted(_, w):
        pair = np.tanh(z) @ w["pair.weight"].T + w["pair.bias"]
        change = (silu(pair + w["cell.weight"] @ v) - silu(pair)) @ w["out.weight"][0]
        return u + r - np.logaddexp(0.0, 0.7 + 5 * np.tanh(change / 5))

    check("pair_resistance", resisted)

    def bypassed(coupling, w):
        split = coupling.split(pairs.latent)
        parts = z @ w["parts.weight"].T
        for part, columns in zip(split, np.split(parts, 3, axis=1), strict=True):
            np.testing.assert_allclose(part.detach().numpy(), columns, atol=1e-13)
        together = lambda context: silu(parts @ w["pair.weight"].T + w["pair.bias"] + w["cell.weight"] @ context)  # noqa: E731
        film = lambda m: np.split(m @ w["modulation.weight"].T, 2, axis=1)  # noqa: E731
        interaction = np.split(parts, 3, axis=1)[2]
        out = [s * interaction + b for s, b in (film(together(v)), film(together(0 * v)))]
        return u + (out[0] - out[1]) @ w["out.weight"][0]

    check("bypass", bypassed)


def test_pair_resistance_is_never_negative_and_can_be_switched_off(pairs):
    coupling = _build({"kind": "pair_resistance"})
    natural = coupling.natural(_raw(coupling, 3.0))
    assert (coupling.resistance(pairs.latent, natural) > 0).all()
    natural = torch.cat([torch.zeros(CELLS, 1), natural[:, 1:]], dim=1).requires_grad_(True)
    resistance = coupling.resistance(pairs.latent, natural)
    assert resistance.abs().max() < 1e-15
    resistance.sum().backward()
    assert torch.isfinite(natural.grad).all()


@pytest.mark.parametrize(("sign", "ok"), [("positive", lambda s: s > 0), ("negative", lambda s: s < 0)])
def test_the_sign_of_the_interaction_cannot_be_trained_away(sign, ok):
    coupling = Interaction(sign=sign)
    optimiser = torch.optim.SGD(coupling.parameters(), lr=1.0)
    for _ in range(40):
        optimiser.zero_grad()
        (coupling.strength if sign == "positive" else -coupling.strength).backward()
        optimiser.step()
        assert ok(coupling.strength)


def test_an_inverted_ranking_shows_in_the_smallest_slope(pairs):
    coupling = Interaction(sign="free").double()
    torch.nn.init.constant_(coupling.raw_strength, -0.5)
    natural = torch.tensor([[0.5], [3.0]], dtype=torch.float64)
    assert coupling.smallest_slope(natural).item() == pytest.approx(-0.5)
    logits = coupling(pairs, natural, T).detach().numpy()
    assert np.corrcoef(logits[0], pairs.potential)[0, 1] > 0.999
    assert np.corrcoef(logits[1], pairs.potential)[0, 1] < -0.999


def test_a_hard_gate_steps_but_has_the_gradient_of_a_sigmoid(pairs):
    coupling = _build({"kind": "gate", "form": "hard"})
    natural = torch.tensor([[-0.1], [0.1]], dtype=torch.float64, requires_grad=True)
    logits = coupling(pairs, natural, T)
    torch.testing.assert_close(logits[0] * 2, logits[1])
    logits.sum().backward()
    slope = torch.sigmoid(natural.detach()) * torch.sigmoid(-natural.detach())
    torch.testing.assert_close(natural.grad, 0.5 * slope * pairs.potential.sum() / T)


@pytest.mark.parametrize("kind", ["saturating", "hill", "affine", "conditional"])
def test_a_signed_resistance_is_refused_where_there_is_none(kind):
    with pytest.raises(MethodError, match="take `signed` out"):
        build_coupling(CouplingConfig(kind=kind, signed=True), latent=D)


def test_options_of_another_coupling_are_refused():
    with pytest.raises(MethodError, match="`sign` is that of the interaction"):
        build_coupling(CouplingConfig(kind=CouplingKind.ADDITIVE, sign="positive"), latent=D)
    with pytest.raises(MethodError, match="`form` is that of a gate"):
        build_coupling(CouplingConfig(kind=CouplingKind.HILL, form="literal"), latent=D)

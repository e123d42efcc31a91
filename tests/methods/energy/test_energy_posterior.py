"""The posterior of a cell's parameters against scipy and scikit-learn, at its limits, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from epishot.methods.energy.config import CouplingConfig, EnergyConfig, TemperatureConfig
from epishot.methods.energy.couplings.build import build_coupling, build_temperature
from epishot.methods.energy.encoders.heads import LinearHead
from epishot.methods.energy.environments.posterior import Posterior
from epishot.methods.energy.model import EnergyModel
from epishot.methods.energy.parts import CellFacts, PairInputs, Pairs
from epishot.tasks.errors import MethodError

D, CELLS, K = 4, 3, 40
KINDS = (
    "additive",
    "interaction",
    "conditional",
    "gate",
    "saturating",
    "hill",
    "affine",
    "film",
    "gate_vector",
    "pair_resistance",
    "bilinear",
    "projection",
    "bypass",
)


class Case:
    """A coupling with supports of three cells, labels drawn at a third positives."""

    def __init__(self, kind: str, *, dtype=torch.float64, k: int = K, seed: int = 0, **options) -> None:
        torch.manual_seed(seed)
        self.coupling = build_coupling(CouplingConfig(kind=kind, rank=2, **options), latent=D).to(dtype)
        head = LinearHead(D).to(dtype)
        self.z = torch.randn(CELLS, k, D, dtype=dtype)
        self.u = 2 * torch.randn(CELLS, k, dtype=dtype)
        self.y = torch.rand(CELLS, k) < torch.sigmoid(self.u - 1)
        self.weight = torch.ones(CELLS, k, dtype=dtype)
        self.mu = self.coupling.default().to(dtype) + 0.3 * torch.randn(CELLS, self.coupling.n_raw, dtype=dtype)
        self.head = head

    def logits(self, theta):
        return self.coupling(Pairs(self.u, self.z, self.head), self.coupling.natural(theta), torch.ones(()))

    def rows(self, theta):
        pairs = Pairs(self.u.reshape(-1, 1), self.z.reshape(-1, 1, D), self.head)
        return self.coupling(pairs, self.coupling.natural(theta), torch.ones(()))

    def posterior(self, *, prior_sd=1.0, steps=6):
        return Posterior(self.coupling.n_raw, prior_sd=prior_sd, steps=steps).to(self.mu.dtype)

    def objective(self, theta, prior_sd=1.0):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            self.logits(theta), self.y.to(theta.dtype), reduction="none"
        )
        return loss.sum(1) + ((theta - self.mu) / prior_sd).square().sum(1) / 2


def _reference(kind, coupling):
    """The coupling in numpy, written with functions that also take complex numbers."""
    softplus = lambda x: np.log(1 + np.exp(x))  # noqa: E731
    if kind == "affine":
        return lambda t, u, z: softplus(t[0]) * u + t[1]
    if kind == "additive":
        return lambda t, u, z: u - softplus(t[0])
    if kind == "hill":
        power, height, threshold = (f().item() for f in (coupling.power, coupling.height, coupling.threshold))
        return lambda t, u, z: height * (1 / (1 + (softplus(t[0]) / np.log1p(np.exp(u))) ** power) - threshold)
    axes = coupling.axes.detach().numpy()
    return lambda t, u, z: u + np.tanh(z) @ axes @ t[1:] - softplus(t[0])


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("kind", ["affine", "additive", "hill", "bilinear"])
def test_equals_the_minimum_that_scipy_finds(kind, rows):
    case = Case(kind)
    known = case.weight.clone()
    known[:, -7:] = 0.0
    found = case.posterior(prior_sd=0.8, steps=40)(
        case.mu, case.logits, case.y, known, rows=case.rows if rows else None
    )
    logit = _reference(kind, case.coupling)
    for e in range(CELLS):
        u, z, y = case.u[e, :-7].numpy(), case.z[e, :-7].numpy(), case.y[e, :-7].numpy()
        mu = case.mu[e].numpy()

        def objective(t, u=u, z=z, y=y, mu=mu):
            value = logit(t, u, z)
            return (np.log(1 + np.exp(value)) - y * value).sum() + (((t - mu) / 0.8) ** 2).sum() / 2

        def gradient(t, objective=objective):
            return np.array([objective(t + 1e-30j * unit).imag / 1e-30 for unit in np.eye(t.size)])

        best = minimize(objective, mu, jac=gradient, method="BFGS", options={"gtol": 1e-9})
        np.testing.assert_allclose(found[e].detach(), best.x, rtol=0, atol=1e-6)


def test_equals_ridge_logistic_regression_for_a_coupling_affine_in_its_parameters():
    case = Case("conditional")
    mu = torch.tensor([[-1.0, 0.0]], dtype=torch.float64).expand(CELLS, -1)
    found = case.posterior(prior_sd=0.6, steps=20)(mu, case.logits, case.y, case.weight)
    for e in range(CELLS):
        design = np.stack([case.u[e], np.ones(K)], axis=1)
        ridge = LogisticRegression(C=0.6**2, fit_intercept=False, tol=1e-12, max_iter=1000).fit(design, case.y[e])
        np.testing.assert_allclose(found[e].detach() + torch.tensor([1.0, 0.0]), ridge.coef_[0], rtol=0, atol=1e-6)


def test_a_flat_prior_is_platt_scaling():
    case = Case("affine")
    found = case.coupling.natural(case.posterior(prior_sd=1e5, steps=40)(case.mu, case.logits, case.y, case.weight))
    for e in range(CELLS):
        platt = LogisticRegression(C=1e12, tol=1e-12, max_iter=1000).fit(case.u[e, :, None], case.y[e])
        np.testing.assert_allclose(found[e].detach(), [platt.coef_[0, 0], platt.intercept_[0]], rtol=0, atol=1e-5)


def test_a_sharp_prior_is_the_prior():
    case = Case("affine")
    found = case.posterior(prior_sd=1e-5)(case.mu, case.logits, case.y, case.weight)
    torch.testing.assert_close(found, case.mu, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_steps_come_close_to_the_minimum(kind):
    case = Case(kind)
    at = [case.objective(case.posterior(steps=steps)(case.mu, case.logits, case.y, case.weight)) for steps in (6, 200)]
    gain = (case.objective(case.mu) - at[1]).clamp_min(0.05)
    assert (at[0] - at[1] < 0.05 * gain).all()


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("kind", ["affine", "hill", "bilinear"])
def test_both_jacobians_agree_with_and_without_a_graph(kind, rows):
    case = Case(kind)
    posterior = case.posterior()
    expected = posterior(case.mu, case.logits, case.y, case.weight)
    with torch.no_grad():
        found = posterior(case.mu, case.logits, case.y, case.weight, rows=case.rows if rows else None)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=1e-12)
    with torch.inference_mode():
        found = posterior(case.mu, case.logits, case.y, case.weight, rows=case.rows if rows else None)
        assert torch.allclose(found, expected, rtol=0, atol=1e-12)


def test_a_temperature_of_the_cells_own_is_estimated_beside_the_coupling():
    case = Case("saturating")
    temperature = build_temperature(TemperatureConfig(kind="per_cell", low=0.1, high=10.0))

    def logits(theta):
        natural = case.coupling.natural(theta[:, :1])
        return case.coupling(Pairs(case.u, case.z, case.head), natural, temperature(theta[:, 1:]))

    # Labels that follow U closely ask for a low temperature, labels by chance for a high one.
    case.y = case.u + 0.3 * torch.randn(CELLS, K, dtype=torch.float64) > 0
    case.y[1] = torch.rand(K) < 0.5
    found = Posterior(2).double()(torch.zeros(CELLS, 2, dtype=torch.float64), logits, case.y, case.weight)
    cells = temperature(found[:, 1:])[:, 0]
    assert cells[1] > 1.0
    assert cells[0] < 0.8
    assert cells[2] < 0.8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", ["none", "all", "separable"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_class_and_separable_supports_are_finite_and_gain(kind, labels, dtype):
    case = Case(kind, dtype=dtype, k=128)
    case.u = 10 * case.u
    case.y = {"none": torch.zeros_like(case.y), "all": torch.ones_like(case.y), "separable": case.u > 0}[labels]
    mu = case.mu.clone().requires_grad_(True)
    posterior = case.posterior(prior_sd=5.0)
    found = posterior(mu, case.logits, case.y, case.weight, rows=case.rows)
    assert torch.isfinite(found).all()
    before, after = case.objective(case.mu, 5.0), case.objective(found.detach(), 5.0)
    assert (after <= before * (1 + 1e-5)).all()
    found.sum().backward()
    assert torch.isfinite(mu.grad).all()
    assert torch.isfinite(posterior.log_precision.grad).all()


def test_one_class_moves_the_offset_towards_it_and_more_rows_move_it_more():
    case = Case("conditional")
    offsets = []
    for positive in (False, True):
        for k in (5, 40):
            weight = case.weight * (torch.arange(K) < k)
            label = torch.full_like(case.y, positive)
            offsets.append(case.posterior()(case.mu, case.logits, label, weight)[:, 1] - case.mu[:, 1])
    few_no, many_no, few_yes, many_yes = offsets
    assert (many_no < few_no).all()
    assert (few_no < 0).all()
    assert (few_yes > 0).all()
    assert (few_yes < many_yes).all()


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("kind", ["affine", "hill", "bilinear"])
def test_a_support_without_known_labels_returns_the_prior_mean_exactly(kind, rows):
    case = Case(kind)
    other = {"rows": case.rows} if rows else {}
    posterior = case.posterior()
    assert torch.equal(posterior(case.mu, case.logits, case.y, torch.zeros_like(case.weight), **other), case.mu)
    known = case.weight.clone()
    known[1] = 0.0
    found = posterior(case.mu, case.logits, case.y, known, **other)
    assert torch.equal(found[1], case.mu[1])
    assert (found[0] != case.mu[0]).any()
    empty = Case(kind, k=0)
    assert torch.equal(posterior(empty.mu, empty.logits, empty.y, empty.weight), empty.mu)


def test_what_stands_in_padding_does_not_matter():
    case = Case("bilinear")
    known = case.weight * (torch.arange(K) < 25)
    first = case.posterior()(case.mu, case.logits, case.y, known)
    case.u[:, 25:], case.z[:, 25:] = 1e4, -50.0
    label = case.y.double()
    label[:, 25:] = float("nan")
    second = case.posterior()(case.mu, case.logits, label, known)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-12)


def test_a_weight_of_two_is_the_row_twice():
    case = Case("affine", k=10)
    weighted = case.posterior()(case.mu, case.logits, case.y, 2 * case.weight)
    case.u, case.z = case.u.repeat(1, 2), case.z.repeat(1, 2, 1)
    twice = case.posterior()(case.mu, case.logits, case.y.repeat(1, 2), case.weight.repeat(1, 2))
    torch.testing.assert_close(weighted, twice, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("kind", ["affine", "hill", "bilinear"])
def test_its_gradient_is_that_of_finite_differences(kind, rows):
    case = Case(kind, k=8)
    posterior = case.posterior(steps=4)

    def run(mu, log_precision, potential):
        case.u = potential
        arguments = (mu, case.logits, case.y, case.weight)
        return torch.func.functional_call(
            posterior, {"log_precision": log_precision}, arguments, {"rows": case.rows if rows else None}
        )

    leaves = [value.detach().clone().requires_grad_(True) for value in (case.mu, posterior.log_precision, case.u)]
    assert torch.autograd.gradcheck(run, leaves, atol=1e-6, rtol=1e-5)


def test_the_prior_can_be_learned_from_cells():
    torch.manual_seed(0)
    cells, k = 32, 24
    offset = 1.5 * torch.randn(cells, 1)  # slopes are alike, offsets are not
    u = torch.randn(cells, 2 * k)
    y = (torch.rand(cells, 2 * k) < torch.sigmoid(u + offset)).float()
    coupling = build_coupling(CouplingConfig(kind="conditional"), latent=1)
    posterior, mu = Posterior(2, prior_sd=0.5), torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.Adam([*posterior.parameters(), mu], lr=0.1)

    def logits(theta, potential):
        return coupling(Pairs(potential, potential, lambda z: z), theta, torch.ones(()))

    for _ in range(60):
        theta = posterior(mu.expand(cells, -1), lambda t: logits(t, u[:, :k]), y[:, :k], torch.ones(cells, k))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits(theta, u[:, k:]), y[:, k:])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    sd_slope, sd_offset = torch.exp(-0.5 * posterior.log_precision.detach())
    assert sd_offset > 1.0
    assert sd_slope < 0.5 * sd_offset


def test_a_share_narrows_the_prior_as_a_smaller_sd_would():
    case = Case("bilinear")
    size = case.coupling.n_raw
    share = torch.full((size,), 0.2)
    narrowed = Posterior(size, prior_sd=1.0, steps=20, share=share).double()
    expected = case.posterior(prior_sd=0.2, steps=20)(case.mu, case.logits, case.y, case.weight)
    torch.testing.assert_close(narrowed(case.mu, case.logits, case.y, case.weight), expected, rtol=0, atol=1e-6)
    assert "share" not in narrowed.state_dict()


@pytest.mark.parametrize("cells", [4, 48])
def test_only_the_interaction_is_shrunk_and_less_by_more_cells(cells):
    options = {"coupling": {"kind": "bilinear"}, "environment": {"student": "moments", "posterior": True}}
    inputs = PairInputs(features=torch.rand(50, 3))
    model = EnergyModel(EnergyConfig.parse(options, where="test"), inputs, cells).eval()
    with torch.no_grad():
        model.student.modulator.weight.normal_()
        share = {4: 0.2, 48: 0.75}[cells]
        torch.testing.assert_close(model.posterior.share, torch.tensor([1.0] + 4 * [share]))
        rows = torch.arange(30).unsqueeze(0)
        support = model.supports(
            model.encode(inputs), rows, None, torch.zeros(1, dtype=torch.bool), torch.ones(1, 30, dtype=torch.bool)
        )
        facts = CellFacts(torch.full((1,), -1), None)
        _, raw = model.student(support, facts)
        own, found = model.coupling.natural(raw), model.read(support, facts).parameters
    torch.testing.assert_close(found[:, :1], own[:, :1])
    torch.testing.assert_close(found[:, 1:], share * own[:, 1:])


def test_impossible_arguments_are_refused():
    for bad in ({"size": 0}, {"size": 2, "prior_sd": 0.0}, {"size": 2, "steps": 0}):
        with pytest.raises(MethodError, match="prior_sd > 0 and at least one step"):
            Posterior(**bad)
    case = Case("affine")
    with pytest.raises(MethodError, match="of 3 parameters, and the prior mean has 2"):
        Posterior(3)(case.mu, case.logits, case.y, case.weight)

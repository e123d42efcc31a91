"""Couplings: closed forms, symmetries, rank invariance (B0), temperature bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from epishot.methods.energy.config import CouplingKind
from epishot.methods.energy.couplings import Bilinear, Temperature, build_coupling
from epishot.methods.energy.environment import Environment
from epishot.tasks.errors import MethodError


def _case(episodes=6, n=400, d=5, d_e=7):
    g = torch.Generator().manual_seed(2)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    environment = Environment(draw(episodes).abs() * 3, draw(episodes, d_e))
    return draw(n), draw(n, d), environment


@pytest.fixture
def bilinear() -> Bilinear:
    torch.manual_seed(0)
    coupling = Bilinear(5, 7, 3).double()
    torch.nn.init.normal_(coupling.pair)
    return coupling


def test_additive_and_its_canonical_form():
    potential, latent, environment = _case()
    temperature = torch.tensor(1.7, dtype=torch.float64)
    additive = build_coupling(CouplingKind.ADDITIVE, d=5, embedding=7, rank=3)
    logits = additive(potential, latent, environment, temperature)
    expected = (potential.numpy()[None] - environment.resistance.numpy()[:, None]) / 1.7
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-14)
    slope, offset = additive.canonical(environment, temperature)
    np.testing.assert_allclose((slope[:, None] * potential + offset[:, None]).numpy(), expected, atol=1e-13)


def test_moving_potential_and_resistance_together_leaves_the_logits():
    potential, latent, environment = _case()
    temperature = torch.tensor(0.6, dtype=torch.float64)
    additive = build_coupling(CouplingKind.ADDITIVE, d=5, embedding=7, rank=3)
    moved = environment._replace(resistance=environment.resistance + 1.25)
    torch.testing.assert_close(
        additive(potential, latent, environment, temperature),
        additive(potential + 1.25, latent, moved, temperature),
        rtol=0,
        atol=1e-13,
    )


def test_bilinear_equals_the_written_out_form(bilinear):
    potential, latent, environment = _case()
    temperature = torch.tensor(1.3, dtype=torch.float64)
    w = (bilinear.pair @ bilinear.cell).detach().numpy()
    expected = (
        potential.numpy()[None]
        + environment.embedding.numpy() @ w.T @ np.tanh(latent.numpy()).T
        - environment.resistance.numpy()[:, None]
    ) / 1.3
    np.testing.assert_allclose(
        bilinear(potential, latent, environment, temperature).detach().numpy(), expected, atol=1e-13
    )
    own = bilinear(potential.expand(6, -1), latent.expand(6, -1, -1), environment, temperature)
    np.testing.assert_allclose(own.detach().numpy(), expected, atol=1e-13)


def test_bilinear_starts_as_the_additive_coupling():
    potential, latent, environment = _case()
    one = torch.tensor(1.0, dtype=torch.float64)
    start = build_coupling(CouplingKind.BILINEAR, d=5, embedding=7, rank=3).double()
    additive = build_coupling(CouplingKind.ADDITIVE, d=5, embedding=7, rank=3)
    torch.testing.assert_close(
        start(potential, latent, environment, one), additive(potential, latent, environment, one)
    )


def test_only_an_x_dependent_coupling_changes_the_ranking_inside_a_cell(bilinear):
    potential, latent, environment = _case()
    label = (torch.rand(400, generator=torch.Generator().manual_seed(0)) < torch.sigmoid(potential)).numpy()
    temperature = torch.tensor(0.7, dtype=torch.float64)
    alone = average_precision_score(label, potential.numpy())
    additive = build_coupling(CouplingKind.ADDITIVE, d=5, embedding=7, rank=3)
    for logits in additive(potential, latent, environment, temperature).numpy():
        assert average_precision_score(label, logits) == pytest.approx(alone, abs=1e-12)
    changed = [
        abs(average_precision_score(label, logits) - alone)
        for logits in bilinear(potential, latent, environment, temperature).detach().numpy()
    ]
    assert min(changed) > 1e-4


def test_temperature_stays_in_its_bounds_and_can_come_back():
    temperature = Temperature(1.0, 0.5, 2.0)
    assert temperature().item() == pytest.approx(1.0)
    optimiser = torch.optim.SGD(temperature.parameters(), lr=1.0)
    for sign, bound in ((1.0, 0.5), (-1.0, 2.0)):
        for _ in range(50):
            optimiser.zero_grad()
            (sign * temperature()).backward()
            assert temperature.raw.grad.abs() > 0
            optimiser.step()
            temperature.project()
            assert 0.5 <= temperature().item() <= 2.0
        assert temperature().item() == pytest.approx(bound, abs=1e-6)


def test_impossible_bounds_are_refused():
    with pytest.raises(MethodError, match="0 < low <= start <= high"):
        Temperature(1.0, 2.0, 0.5)

"""Simulated tasks for recovering parameters: couplings that vary in full, and their canonical truth."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from epishot.tasks import synthetic
from epishot.tasks.errors import EpishotError
from epishot.tasks.synthetic.cell_coupling import linearise
from epishot.tasks.synthetic.settings import GENERATOR_VERSION, Coupling, Settings
from epishot.tasks.synthetic.simulate import Simulation, canonical_truth, simulate

MANY = {"cells": 48, "pairs": 200, "prevalence": 0.2, "slope": 1.5, "slope_sd": 0.72, "offset_sd": 1.1}


def many(coupling: Coupling, **settings: float | bool) -> Simulation:
    return simulate(Settings(coupling, **{**MANY, **settings}))  # type: ignore[arg-type]


#: Labels (sha256) and sum of the ceiling under generator version "1": other rows need another version.
VERSION_1 = {
    "additive": ("e90cdb9e33d43935", 170.605366),
    "multiplicative": ("711ac2f0eef9115b", 168.659639),
    "gate": ("ea0f19e80214fa04", 168.853570),
    "saturating": ("3ac2da7fe07ac0d6", 162.203779),
    "hill": ("bbbed6640760eebe", 154.418127),
    "xdependent": ("538fb9eb50df652b", 161.701237),
    "null": ("16c5907357903b3b", 160.000000),
    "shortcut": ("22aabff8ea5eb901", 313.017179),
}


@pytest.mark.parametrize("coupling", [Coupling.GATE, Coupling.HILL])
def test_the_line_of_a_curve_equals_adaptive_integration(coupling: Coupling) -> None:
    simulation = many(coupling, full_spread=True, cells=3)
    truth = canonical_truth(simulation)
    for cell, rows in enumerate(simulation.cells):

        def value(u: float, logit: object = rows.coupling.logit) -> float:
            return float(logit(np.array(u)) * norm.pdf(u))  # type: ignore[operator]

        def moment(u: float) -> float:
            return u * value(u)

        assert truth.offset[cell] == pytest.approx(quad(value, -10, 10, limit=200)[0], abs=1e-4)
        assert truth.slope[cell] == pytest.approx(quad(moment, -10, 10, limit=200)[0], abs=1e-4)
    assert np.isnan(simulation.truth.slope).all()


def test_the_line_of_a_softplus_is_known() -> None:
    # E[sigma(U)] = 1/2 by symmetry: the slope of softplus under a standard normal.
    assert linearise(lambda u: np.logaddexp(0.0, u)).slope == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(
    "coupling",
    [Coupling.ADDITIVE, Coupling.MULTIPLICATIVE, Coupling.INTERACTION, Coupling.LITERAL_GATE, Coupling.SATURATING],
)
def test_the_line_of_an_affine_coupling_is_exact(coupling: Coupling) -> None:
    simulation = many(coupling)
    found = canonical_truth(simulation)
    np.testing.assert_allclose(found.slope, simulation.truth.slope, atol=1e-9)
    np.testing.assert_allclose(found.offset, simulation.truth.offset, atol=1e-9)


def test_interaction_moves_slope_and_offset_by_one_resistance() -> None:
    simulation = many(Coupling.INTERACTION)
    truth = simulation.truth
    for cell, rows in enumerate(simulation.cells):
        resistance, strength, scale = (truth.parameters[cell][name] for name in ("R", "lambda", "T"))
        assert resistance >= 0
        assert strength < 0
        u = np.linspace(-2, 2, 5)
        np.testing.assert_allclose(rows.coupling.logit(u), (u - resistance + strength * u * resistance) / scale)
    assert truth.slope.min() > 0
    assert truth.slope.mean() == pytest.approx(1.5, abs=0.1)
    assert truth.slope.std(ddof=1) == pytest.approx(0.72, abs=0.05)
    assert truth.offset.std(ddof=1) == pytest.approx(1.1, abs=0.08)


def test_a_literal_gate_is_a_temperature_of_the_cells_own() -> None:
    simulation = many(Coupling.LITERAL_GATE)
    for parameters, rows in zip(simulation.truth.parameters, simulation.cells, strict=True):
        u = np.linspace(-2, 2, 5)
        expected = (u - parameters["u0"]) * expit(parameters["R"]) / parameters["T"]
        np.testing.assert_allclose(rows.coupling.logit(u), expected)
    assert simulation.truth.slope.std(ddof=1) >= 0.6


@pytest.mark.parametrize(("coupling", "own", "shared"), [(Coupling.GATE, "R", "t"), (Coupling.HILL, "K", "h0")])
def test_full_spread_moves_one_parameter_and_shares_the_threshold(coupling: Coupling, own: str, shared: str) -> None:
    little, full = many(coupling), many(coupling, full_spread=True)
    for simulation in (little, full):
        assert np.ptp([parameters[shared] for parameters in simulation.truth.parameters]) < 1e-9
    narrow, wide = (canonical_truth(simulation) for simulation in (little, full))
    assert wide.offset.std(ddof=1) >= 1.0 > 3 * narrow.offset.std(ddof=1)
    spread = wide.slope if coupling is Coupling.GATE else wide.offset
    # The normal numbers behind the cells are cut at two standard deviations.
    assert spread.std(ddof=1) == pytest.approx(0.72 if coupling is Coupling.GATE else 1.1, rel=0.15)
    assert all(np.isfinite(parameters[own]) for parameters in full.truth.parameters)


def test_resistance_is_rarely_cut_off_at_zero() -> None:
    for coupling in (Coupling.ADDITIVE, Coupling.INTERACTION, Coupling.SATURATING, Coupling.XDEPENDENT):
        cut = [parameters["R"] == 0 for parameters in many(coupling).truth.parameters]
        assert sum(cut) <= 3


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"coupling": "additive", "full_spread": True}, "gate and Hill"),
        ({"coupling": "interaction", "slope": 1.0, "slope_sd": 0.8}, "invert"),
        ({"coupling": "hill", "slope": 1.5, "offset_sd": 4.0, "full_spread": True}, "bounded too tightly"),
        ({"coupling": "xdependent", "bilinear": -1.0}, "bilinear"),
    ],
)
def test_impossible_spreads_are_refused_in_one_sentence(settings: dict[str, object], says: str) -> None:
    with pytest.raises(EpishotError, match=says):
        synthetic.generate(**settings)  # type: ignore[arg-type]


def test_a_stronger_bilinear_term_takes_more_from_the_potential() -> None:
    def agreement(strength: float) -> float:
        rows = simulate(Settings(Coupling.XDEPENDENT, cells=2, pairs=400, bilinear=strength)).cells
        return float(np.mean([np.corrcoef(cell.potential, cell.oracle)[0, 1] for cell in rows]))

    assert agreement(0.3) > agreement(0.7) > agreement(1.5)


@pytest.mark.parametrize("name", VERSION_1)
def test_published_variants_stay_what_they_were(name: str) -> None:
    task = getattr(synthetic, name)(cells=4, pairs=400)
    labels = hashlib.sha256(task.columns.label.astype(np.int8).tobytes()).hexdigest()[:16]
    assert GENERATOR_VERSION == "1"
    assert labels == VERSION_1[name][0]
    assert task.references["ceiling"].sum() == pytest.approx(VERSION_1[name][1], abs=1e-4)

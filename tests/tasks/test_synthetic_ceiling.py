"""The ceiling and the oracle of the simulated tasks are what they claim: exact probabilities."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import chi2, norm
from sklearn.metrics import average_precision_score, log_loss

from epishot.tasks.synthetic import latents, measure
from epishot.tasks.synthetic.ceiling import expected_probability
from epishot.tasks.synthetic.settings import Coupling, Settings
from epishot.tasks.synthetic.simulate import CellRows, Simulation, simulate

INFORMATIVE = [coupling for coupling in Coupling if coupling is not Coupling.NONE]
AFFINE = [Coupling.ADDITIVE, Coupling.MULTIPLICATIVE, Coupling.SATURATING]


@cache
def simulated(coupling: Coupling) -> Simulation:
    # Scale 1 in every cell: a published value is then exp(gain x readout) and easily inverted.
    return simulate(Settings(coupling, cells=4, scale_sd=0.0))


def pooled(simulation: Simulation, name: str) -> np.ndarray:
    return np.concatenate([getattr(rows, name) for rows in simulation.cells])


@pytest.mark.parametrize("coupling", INFORMATIVE)
def test_sixty_four_nodes_have_converged(coupling: Coupling) -> None:
    for rows in simulated(coupling).cells:
        finer = expected_probability(rows.coupling.logit, rows.v_mean, rows.v_sd, nodes=128)
        np.testing.assert_allclose(rows.ceiling, finer, rtol=0, atol=1e-10)


@pytest.mark.parametrize("coupling", INFORMATIVE)
def test_quadrature_equals_adaptive_integration(coupling: Coupling) -> None:
    rows = simulated(coupling).cells[1]
    for row in np.argsort(rows.ceiling)[:: len(rows.ceiling) // 6]:
        mean, sd = rows.v_mean[row], rows.v_sd

        def density(v: float, mean: float = mean, sd: float = sd) -> float:
            return float(expit(rows.coupling.logit(np.array(v))) * norm.pdf(v, mean, sd))

        exact = quad(density, mean - 10 * sd, mean + 10 * sd, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
        assert rows.ceiling[row] == pytest.approx(exact, abs=1e-10)


def _posterior_samples(
    rng: np.random.Generator, side: str, columns: slice, mean: np.ndarray, readout: np.ndarray, n: int
) -> np.ndarray:
    """Latents of one side drawn from their prior and resampled by the likelihood of the readouts."""
    spread = np.sqrt(latents.LATENT_VARIANCE[columns])
    drawn = mean + spread * rng.standard_normal((n, len(spread)))
    residual = readout - drawn @ measure.loadings(side).T
    weight = np.exp(-0.5 * (residual**2).sum(axis=1) / measure.NOISE_SD**2)
    return drawn[rng.choice(n, n, p=weight / weight.sum())]


def _monte_carlo(rng: np.random.Generator, rows: CellRows, row: int, n: int) -> np.ndarray:
    readout = np.log(rows.features[row].astype(np.float64)) / measure.LOG_GAIN
    parts, start = [], 0
    for side, columns in (
        ("enhancer", latents.ENHANCER),
        ("promoter", latents.PROMOTER),
        ("window", latents.CONTACT),
    ):
        width = len(measure.READOUTS[side])
        values = readout[start : start + width]
        parts.append(_posterior_samples(rng, side, columns, rows.prior_mean[row, columns], values, n))
        start += width
    v = (np.hstack(parts) - rows.centre) @ rows.weight
    return expit(rows.coupling.logit(v))


@pytest.mark.parametrize("coupling", INFORMATIVE)
def test_ceiling_equals_brute_force_monte_carlo_over_the_latents(coupling: Coupling) -> None:
    rng = np.random.default_rng(7)
    rows = simulated(coupling).cells[2]
    order = np.argsort(rows.ceiling)
    for row in order[[len(order) // 2, int(0.9 * len(order)), int(0.97 * len(order)), len(order) - 5]]:
        repeats = np.array([_monte_carlo(rng, rows, row, 20_000).mean() for _ in range(12)])
        error = repeats.std(ddof=1) / np.sqrt(len(repeats))
        assert abs(repeats.mean() - rows.ceiling[row]) < 5 * error + 2e-4


@pytest.mark.parametrize("name", ["ceiling", "oracle"])
@pytest.mark.parametrize("coupling", INFORMATIVE)
def test_labels_in_bins_match_the_probabilities(coupling: Coupling, name: str) -> None:
    probability, label = pooled(simulated(coupling), name), pooled(simulated(coupling), "label")
    bins = np.array_split(np.argsort(probability), 20)
    statistic = used = 0.0
    for rows in bins:
        variance = (probability[rows] * (1 - probability[rows])).sum()
        if variance > 3:
            statistic += (label[rows].sum() - probability[rows].sum()) ** 2 / variance
            used += 1
    assert used >= 5
    assert statistic < chi2.ppf(0.999, used)


@pytest.mark.parametrize("coupling", INFORMATIVE)
def test_oracle_is_at_least_as_good_as_the_ceiling_which_beats_less_informed_scores(coupling: Coupling) -> None:
    simulation = simulated(coupling)
    label, oracle, ceiling = (pooled(simulation, name) for name in ("label", "oracle", "ceiling"))
    assert average_precision_score(label, oracle) > average_precision_score(label, ceiling) - 0.005
    assert log_loss(label, oracle) < log_loss(label, ceiling)
    # Without the features: the same quadrature on the prior.
    prior = np.concatenate(
        [
            expected_probability(
                rows.coupling.logit,
                (rows.prior_mean - rows.centre) @ rows.weight,
                float(np.sqrt(rows.weight**2 @ latents.LATENT_VARIANCE)),
            )
            for rows in simulation.cells
        ]
    )
    assert average_precision_score(label, ceiling) > average_precision_score(label, prior) + 0.1
    assert log_loss(label, ceiling) < log_loss(label, prior)


def test_posterior_covers_the_latents() -> None:
    rows = simulated(Coupling.ADDITIVE).cells[0]
    v = (rows.latent - rows.centre) @ rows.weight
    z = (v - rows.v_mean) / rows.v_sd
    # Rows share elements, so the effective number is a fraction of the 2,000 rows.
    assert abs(z.mean()) < 0.15
    assert z.std() == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("coupling", AFFINE)
def test_affine_couplings_have_the_stated_slope_and_offset(coupling: Coupling) -> None:
    simulation = simulated(coupling)
    for rows in simulation.cells:
        expected = rows.coupling.slope * rows.potential + rows.coupling.offset
        np.testing.assert_allclose(logit(rows.oracle), expected, atol=1e-8)


def test_closed_form_of_a_steep_coupling() -> None:
    # sigma(s v) tends to a step: its Gaussian mean is the normal distribution function.
    mean = np.linspace(-2, 2, 9)
    got = expected_probability(lambda v: 300.0 * v, mean, 1.0, nodes=180)
    np.testing.assert_allclose(got, norm.cdf(mean), atol=0.04)
    assert expected_probability(lambda v: v, np.zeros(1), 2.0)[0] == pytest.approx(0.5, abs=1e-14)

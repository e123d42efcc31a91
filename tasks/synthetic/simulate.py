"""The mechanistic simulator: genome and cells in, EP pairs with labels, ceiling and truth out.

Per cell: motif content x TF concentration gives the mean of each element's latents; a Gaussian term is
added; features are noisy linear readouts of the latents; contact decays with distance; U is a linear
function of enhancer, promoter and contact; the coupling turns U into P(y=1 | x, c); labels are independent
draws given the latents. Everything between sequence and U is linear and Gaussian, hence the exact ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from . import latents, measure, nuisance
from .ceiling import expected_probability
from .cell_coupling import CellCoupling, linearise
from .cells import Candidates, CellLine, candidate_list, make_cells
from .couplings import couplings
from .genome import Genome, build_genome
from .settings import Coupling, Nuisance, Settings
from .streams import stream

_GENES_PER_PAIR = 0.32

#: (7,) weights of the latents in U before standardisation.
POTENTIAL = np.array([0.75, 0.2, -0.25, 0.45, 0.15, -0.2, 0.7])

#: (7, 2) W of the bilinear term: what e(c) turns towards. Both columns are made orthogonal to POTENTIAL.
_TURN = np.array([[0.8, 0.0], [0.0, 0.6], [0.0, 0.3], [-0.6, 0.4], [0.0, 0.5], [0.2, -0.3], [0.0, -0.5]])
BILINEAR_WEIGHTS = _TURN - np.outer(POTENTIAL, POTENTIAL @ _TURN) / (POTENTIAL @ POTENTIAL)


@dataclass(frozen=True)
class CellRows:
    """All rows of one cell; n rows.

    Attributes:
        cell: the cell line.
        coupling: its true coupling.
        candidates: its candidate pairs.
        features: (n, F) float32, as published.
        prior_mean: (n, 7) mean of the latents given sequence, distance and cell.
        latent: (n, 7) the latents: enhancer, promoter (activity, architecture, repression each), contact.
        centre: (7,) mean of `prior_mean` over the rows.
        weight: (7,) weights of latent - centre in V, the quantity that enters the coupling.
        potential: (n,) U: mean 0, variance 1 in expectation over the latents.
        v_mean, v_sd: (n,) and scalar: V given all that a method may read is N(v_mean, v_sd^2).
        oracle: (n,) P(y=1 | latents).
        ceiling: (n,) P(y=1 | sequence, features, distance, cell).
        label: (n,) int8.
    """

    cell: CellLine
    coupling: CellCoupling
    candidates: Candidates
    features: np.ndarray
    prior_mean: np.ndarray
    latent: np.ndarray
    centre: np.ndarray
    weight: np.ndarray
    potential: np.ndarray
    v_mean: np.ndarray
    v_sd: float
    oracle: np.ndarray
    ceiling: np.ndarray
    label: np.ndarray


@dataclass(frozen=True)
class Truth:
    """What generated the labels; never part of the EP table. C cells, n rows in the table's order.

    Attributes:
        slope, offset: (C,) canonical a(c), b(c) with logit = a(c) U + b(c) (x-dependent: plus a(c) times the
            bilinear term); NaN where the coupling is not affine in U.
        potential: (n,) U of every row, mean 0 and variance 1 in every cell.
        embedding: (C, 2) e(c) of the bilinear term, zero without one.
        parameters: the coupling's own parameters, one mapping per cell.
    """

    slope: np.ndarray
    offset: np.ndarray
    potential: np.ndarray
    embedding: np.ndarray
    parameters: tuple[dict[str, float], ...]


class CanonicalTruth(NamedTuple):
    """Per cell: logit = slope U + offset, exactly or as nearly as a straight line can; (C,) float64 each."""

    slope: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class Simulation:
    """A finished simulation: settings, genome, and the rows of every cell."""

    settings: Settings
    genome: Genome
    cells: tuple[CellRows, ...]

    @property
    def truth(self) -> Truth:
        """Slopes, offsets and potentials that a method may be asked to recover."""
        return Truth(
            slope=np.array([rows.coupling.slope for rows in self.cells]),
            offset=np.array([rows.coupling.offset for rows in self.cells]),
            potential=np.concatenate([rows.potential for rows in self.cells]),
            embedding=np.stack([rows.coupling.embedding for rows in self.cells]),
            parameters=tuple(rows.coupling.parameters for rows in self.cells),
        )


def canonical_truth(simulation: Simulation) -> CanonicalTruth:
    """Canonical slope and offset of every cell, (C,) each, for any coupling: exact, or by statistical linearisation.

    `Truth.slope` and `Truth.offset` hold the exact ones only. With a bilinear term the line is in V = U + that term.
    """
    lines = [linearise(rows.coupling.logit) for rows in simulation.cells]
    return CanonicalTruth(np.array([line.slope for line in lines]), np.array([line.offset for line in lines]))


def simulate(settings: Settings) -> Simulation:
    """Run the simulator. The same settings give the same simulation, on any machine up to rounding."""
    names = cell_names(settings)
    genome = build_genome(settings.seed, ceil(_GENES_PER_PAIR * settings.pairs))
    cells = make_cells(settings.seed, names)
    rules = couplings(settings, np.array([cell.openness for cell in cells]))
    codes = nuisance.codes(settings.seed, settings.cells)
    rows = [
        _simulate_cell(settings, genome, cell, rule, code)
        for cell, rule, code in zip(cells, rules, codes.tolist(), strict=True)
    ]
    return Simulation(settings, genome, tuple(rows))


def cell_names(settings: Settings) -> tuple[str, ...]:
    """Names of the cells: S1, S2, ...; with the shortcut, the first is `shifted`."""
    names = [f"S{number}" for number in range(1, settings.cells + 1)]
    if settings.nuisance is Nuisance.SHORTCUT:
        names[0] = nuisance.SHIFTED
    return tuple(names)


class _Side(NamedTuple):
    """One measured side of the pairs.

    Attributes:
        name: "enhancer", "promoter" or "window".
        columns: its columns among the 7 latents.
        mean: (m, k) prior mean of its m elements (window: of the n pairs).
        rows: (n,) element of every row.
    """

    name: str
    columns: slice
    mean: np.ndarray
    rows: np.ndarray


class _Observed(NamedTuple):
    """Latents of a cell's n rows, and what the measurements tell of them.

    Attributes:
        prior_mean: (n, 7) mean given sequence, distance and cell.
        latent: (n, 7) the latents.
        posterior_mean: (n, 7) mean given the features as well.
        covariance: (7, 7) posterior covariance, the same for every row.
        features: (n, F) float32, as published.
    """

    prior_mean: np.ndarray
    latent: np.ndarray
    posterior_mean: np.ndarray
    covariance: np.ndarray
    features: np.ndarray


def _observe(settings: Settings, cell: CellLine, sides: list[_Side]) -> _Observed:
    covariance = np.zeros((latents.WIDTH, latents.WIDTH))
    prior, value, posterior, published = [], [], [], []
    for side in sides:
        variance = latents.LATENT_VARIANCE[side.columns]
        drawn = latents.draw(settings.seed, cell, side.name, side.mean, variance)
        readout = measure.measure(settings.seed, cell, side.name, drawn.value)
        known = measure.infer(side.name, side.mean, variance, readout)
        covariance[side.columns, side.columns] = known.covariance
        prior.append(side.mean[side.rows])
        value.append(drawn.value[side.rows])
        posterior.append(known.mean[side.rows])
        features = measure.publish(settings.seed, cell, side.name, readout, settings.scale_sd)
        published.append(features[side.rows])
    return _Observed(np.hstack(prior), np.hstack(value), np.hstack(posterior), covariance, np.hstack(published))


def _simulate_cell(settings: Settings, genome: Genome, cell: CellLine, rule: CellCoupling, code: float) -> CellRows:
    seed, n = settings.seed, settings.pairs
    enhancer = latents.programme_mean(cell, genome.enhancer_content)
    promoter = latents.programme_mean(cell, genome.promoter_content)
    pairs = candidate_list(seed, cell, genome, enhancer[:, 0] / enhancer[:, 0].std(), n)
    sides = [
        _Side("enhancer", latents.ENHANCER, enhancer, pairs.enhancer),
        _Side("promoter", latents.PROMOTER, promoter, pairs.gene),
        _Side("window", latents.CONTACT, latents.contact_mean(pairs.distance), np.arange(n)),
    ]
    seen = _observe(settings, cell, sides)
    features = seen.features
    if settings.nuisance is Nuisance.SHORTCUT:
        features = np.hstack([features, nuisance.block(seed, cell.name, code, n)])
    centre = seen.prior_mean.mean(axis=0)
    potential_weight = _standard(POTENTIAL, seen.prior_mean)
    weight = potential_weight
    if settings.coupling is Coupling.XDEPENDENT:
        weight = weight + settings.bilinear * _standard(BILINEAR_WEIGHTS @ rule.embedding, seen.prior_mean)
    v_mean = (seen.posterior_mean - centre) @ weight
    v_sd = float(np.sqrt(weight @ seen.covariance @ weight))
    oracle = expit(rule.logit((seen.latent - centre) @ weight))
    ceiling = expected_probability(rule.logit, v_mean, v_sd)
    if settings.coupling is Coupling.NONE:
        # Rounding that differs from row to row would rank rows that are all alike.
        oracle = ceiling = np.full(n, settings.prevalence)
    labels = stream(seed, "label", settings.coupling.value, settings.nuisance.value, cell.name)
    return CellRows(
        cell=cell,
        coupling=rule,
        candidates=pairs,
        features=features,
        prior_mean=seen.prior_mean,
        latent=seen.latent,
        centre=centre,
        weight=weight,
        potential=(seen.latent - centre) @ potential_weight,
        v_mean=v_mean,
        v_sd=v_sd,
        oracle=oracle,
        ceiling=ceiling,
        label=(labels.random(n) < oracle).astype(np.int8),
    )


def _standard(weight: np.ndarray, prior_mean: np.ndarray) -> np.ndarray:
    """Scale weights so that weight . latent has variance 1 over the cell's rows and the Gaussian terms."""
    return weight / np.sqrt(np.var(prior_mean @ weight) + weight**2 @ latents.LATENT_VARIANCE)

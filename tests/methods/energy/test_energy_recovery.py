"""On tasks simulated with each coupling, the matching preset recovers potential, slopes and offsets of unseen cells."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score

from epishot.methods.base import Balance, Regime, Supports
from epishot.methods.energy import presets
from epishot.methods.energy.method import EnergyMethod
from epishot.methods.tables import cell_table, fit_context, pair_table, train_table
from epishot.tasks.chance import chance_aupr
from epishot.tasks.synthetic.settings import Coupling, Settings
from epishot.tasks.synthetic.simulate import CanonicalTruth, Simulation, canonical_truth, simulate
from epishot.tasks.synthetic.table import make_task
from epishot.tasks.task import Task

TRAINING, HELD_OUT, PAIRS = 24, 24, 1600
SUPPORTS, SHOTS = 10, 64
#: Half of the genome, so that ten disjoint supports share no locus with the rows that are scored.
SUPPORT_CHROMOSOMES = np.arange(1, 23, 2)

#: Prevalence 0.25, offset sd 1.3 and slope sd 1 around 1.5, where the coupling lets them vary.
SPREAD: Mapping[str, float] = {"prevalence": 0.25, "slope": 1.5, "slope_sd": 1.0, "offset_sd": 1.3}
SETTINGS: Mapping[Coupling, Mapping[str, float | bool]] = {
    Coupling.ADDITIVE: SPREAD,
    Coupling.MULTIPLICATIVE: SPREAD,
    # More would invert the ranking of the cell with the highest resistance.
    Coupling.INTERACTION: {**SPREAD, "prevalence": 0.2, "slope_sd": 0.72, "offset_sd": 1.1},
    Coupling.GATE: {**SPREAD, "full_spread": True},
    # The offset is the slope times the common origin, which is farther from 0 where positives are fewer.
    Coupling.LITERAL_GATE: {**SPREAD, "prevalence": 0.2},
    Coupling.SATURATING: {**SPREAD, "prevalence": 0.2},
    Coupling.HILL: {**SPREAD, "offset_sd": 1.1, "full_spread": True},
    # The couplings that rank differently in each cell are judged by ranking alone.
    Coupling.XDEPENDENT: {"prevalence": 0.25, "slope": 3.0, "offset_sd": 1.0, "bilinear": 1.0},
}

MATCHING = {
    Coupling.ADDITIVE: "EnergyAdditive",
    Coupling.MULTIPLICATIVE: "EnergyCmdn",
    Coupling.INTERACTION: "EnergyInteraction",
    Coupling.GATE: "EnergyGate",
    Coupling.LITERAL_GATE: "EnergyGateLiteral",
    Coupling.SATURATING: "EnergySaturating",
    Coupling.HILL: "EnergyHill",
}


class World(NamedTuple):
    """A simulation, its task, and for every held-out cell its rows, ten supports and the scored rows."""

    simulation: Simulation
    task: Task
    cells: list[np.ndarray]
    supports: list[np.ndarray]
    scored: list[np.ndarray]


@lru_cache(maxsize=1)
def world(coupling: Coupling) -> World:
    """48 cells of 1600 pairs; the first 24 are for training."""
    simulation = simulate(Settings(coupling, cells=TRAINING + HELD_OUT, pairs=PAIRS, **SETTINGS[coupling]))  # type: ignore[arg-type]
    task = make_task(simulation)
    cells, supports, scored = [], [], []
    for cell in range(TRAINING, TRAINING + HELD_OUT):
        rows = np.flatnonzero(task.columns.cell == cell)
        names = np.array([str(name).removeprefix("chr") for name in simulation.genome.gene_chrom])
        chromosome = names[simulation.cells[cell].candidates.gene]
        pool = np.isin(chromosome, SUPPORT_CHROMOSOMES.astype(str))
        drawn = np.random.default_rng(cell).permutation(rows[pool])[: SUPPORTS * SHOTS]
        cells.append(rows)
        supports.append(drawn.reshape(SUPPORTS, SHOTS))
        scored.append(rows[~pool])
    return World(simulation, task, cells, supports, scored)


class Recovery(NamedTuple):
    """What a fitted method recovers of the held-out cells; means over cells.

    Attributes:
        potential: Spearman correlation of learned and true U within a cell.
        slope, offset: (C,) canonical, each the mean over the supports, in units of the reference table's U.
        gain: chance-corrected average precision of the scored rows. ceiling: that of the exact probability.
        alone: that of U without any environment.
    """

    potential: float
    slope: np.ndarray
    offset: np.ndarray
    gain: float
    ceiling: float
    alone: float


def fitted(name: str, coupling: Coupling, **options: object) -> EnergyMethod:
    """A preset trained on the first 24 cells."""
    task = world(coupling).task
    method: EnergyMethod = getattr(presets, name)(**options)
    rows = np.flatnonzero(task.columns.cell < TRAINING)
    method.fit(train_table(task, rows, method.reads), fit_context(task))
    return method


def corrected(label: np.ndarray, score: np.ndarray) -> float:
    """Average precision as a share of the way from chance to 1."""
    chance = chance_aupr(label.size, int(label.sum()))
    return (float(average_precision_score(label, score)) - chance) / (1 - chance)


def recover(method: EnergyMethod, coupling: Coupling) -> Recovery:
    """Let the method read each held-out cell from ten natural supports of 64 labelled pairs."""
    made = world(coupling)
    task, label, ceiling = made.task, made.task.columns.label, made.task.references["ceiling"]
    truth = made.simulation.truth.potential
    potentials, logits, gains, ceilings, alone, agreement = [], [], [], [], [], []
    for rows, support, scored in zip(made.cells, made.supports, made.scored, strict=True):
        whole = cell_table(task, rows, method.reads)
        query = pair_table(task, scored, method.reads)
        pool = np.sort(support.ravel())
        supports = Supports(
            Regime.LABELLED,
            Balance.NATURAL,
            pair_table(task, pool, method.reads),
            np.searchsorted(pool, support),
            label[support],
        )
        potential = method.potential(query, whole)
        score = method.score(supports, query, whole)
        agreement.append(spearmanr(potential, truth[scored]).statistic)
        gains.append(np.mean([corrected(label[scored], row) for row in score]))
        ceilings.append(corrected(label[scored], ceiling[scored]))
        alone.append(corrected(label[scored], potential))
        potentials.append(potential)
        logits.append(score)
    slope, offset = canonical(potentials, logits)
    return Recovery(
        float(np.mean(agreement)),
        slope,
        offset,
        float(np.mean(gains)),
        float(np.mean(ceilings)),
        float(np.mean(alone)),
    )


def canonical(potentials: list[np.ndarray], logits: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(C,) slopes and offsets of the least-squares line of each cell's logit F_c(U) on one reference table.

    The reference table holds the scored rows of all held-out cells, U standardised over them. For a coupling
    that is affine in U the line is exact; for others this is statistical linearisation.

    Args:
        potentials: per cell (n,) U. logits: per cell (supports, n) logits, increasing functions of U.
    """
    reference = np.sort(np.concatenate(potentials))
    standard = (reference - reference.mean()) / reference.std()
    slope, offset = [], []
    for potential, rows in zip(potentials, logits, strict=True):
        order = np.argsort(potential)
        at = [np.interp(reference, potential[order], row[order]) for row in rows]
        slope.append(np.mean([value @ standard / value.size for value in at]))
        offset.append(np.mean(at))
    return np.array(slope), np.array(offset)


def require_spread(coupling: Coupling, truth: CanonicalTruth) -> None:
    """Prevalence, offsets and slopes vary over cells as much as recovery is meant for."""
    labels = world(coupling).task.columns.label.reshape(TRAINING + HELD_OUT, PAIRS)
    # The one parameter of the bounded Hill curve moves its slope by less than its offset.
    slope_sd = {Coupling.ADDITIVE: 0.0, Coupling.HILL: 0.4}.get(coupling, 0.7)
    for part in (slice(None, TRAINING), slice(TRAINING, None)):
        assert labels[part].mean() >= 0.2
        assert truth.offset[part].std(ddof=1) >= 1.0
        assert truth.slope[part].std(ddof=1) >= slope_sd


@pytest.mark.slow
@pytest.mark.parametrize(("coupling", "name"), MATCHING.items(), ids=list(MATCHING.values()))
def test_the_matching_preset_recovers_the_truth(coupling: Coupling, name: str) -> None:
    truth = canonical_truth(world(coupling).simulation)
    require_spread(coupling, truth)
    found = recover(fitted(name, coupling), coupling)
    assert found.potential >= 0.9
    assert found.gain >= 0.9 * found.ceiling
    # Signs count: a standardised U that ranks as the truth does leaves none open.
    for learned, true in ((found.slope, truth.slope[TRAINING:]), (found.offset, truth.offset[TRAINING:])):
        if np.ptp(true) > 1e-9:
            assert pearsonr(learned, true).statistic >= 0.9


@pytest.mark.slow
def test_a_bilinear_coupling_beats_every_scalar_one_where_rankings_differ() -> None:
    coupling = Coupling.XDEPENDENT
    bilinear = recover(fitted("EnergyBilinear", coupling), coupling)
    scalar = recover(fitted("EnergyAdditive", coupling), coupling)
    assert bilinear.gain >= max(scalar.gain, exact_potential(coupling)) + 0.05


def exact_potential(coupling: Coupling) -> float:
    """Corrected average precision of the best linear reading of the true U from each cell's own features.

    No scalar coupling ranks otherwise than its U; this one is fitted to the truth in the very cell.
    """
    made = world(coupling)
    label, truth = made.task.columns.label, made.simulation.truth.potential
    gains = []
    for rows, scored in zip(made.cells, made.scored, strict=True):
        columns = made.task.columns
        matrix = np.column_stack([np.log(columns.features[rows]), np.log10(columns.distance[rows]), np.ones(rows.size)])
        weight = np.linalg.lstsq(matrix, truth[rows], rcond=None)[0]
        gains.append(corrected(label[scored], (matrix @ weight)[np.isin(rows, scored)]))
    return float(np.mean(gains))


def test_the_line_of_an_affine_coupling_is_its_canonical_form() -> None:
    rng = np.random.default_rng(0)
    potentials = [rng.normal(2.0, 3.0, 5000) for _ in range(2)]
    logits = [np.outer([0.5, 0.7], u) + np.array([[-1.0], [-3.0]]) for u in potentials]
    slope, offset = canonical(potentials, logits)
    pooled = np.concatenate(potentials)
    # Beyond the range of a cell's own U the curve is held constant: a cell of 5000 pairs loses little.
    np.testing.assert_allclose(slope, 0.6 * pooled.std(), rtol=0.01)
    np.testing.assert_allclose(offset, 0.6 * pooled.mean() - 2.0, atol=0.02)

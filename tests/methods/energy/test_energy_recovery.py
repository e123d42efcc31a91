"""On tasks simulated with each coupling, the matching preset recovers potential, slopes and offsets of unseen cells."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
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
from epishot.tasks.synthetic.simulate import Simulation, canonical_truth, simulate
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
    # A slope of more standard deviations, since the resistance that lowers it must not invert a ranking.
    Coupling.INTERACTION: {**SPREAD, "slope_sd": 0.72},
    Coupling.GATE: {**SPREAD, "full_spread": True},
    Coupling.LITERAL_GATE: SPREAD,
    Coupling.SATURATING: SPREAD,
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


@cache
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


@pytest.mark.slow
@pytest.mark.parametrize(("coupling", "name"), MATCHING.items(), ids=list(MATCHING.values()))
def test_the_matching_preset_recovers_the_truth(coupling: Coupling, name: str) -> None:
    truth = canonical_truth(world(coupling).simulation)
    found = recover(fitted(name, coupling), coupling)
    assert found.potential >= 0.9
    assert found.gain >= 0.9 * found.ceiling
    for learned, true in ((found.slope, truth.slope[TRAINING:]), (found.offset, truth.offset[TRAINING:])):
        if np.ptp(true) > 1e-9:
            assert abs(pearsonr(learned, true).statistic) >= 0.9

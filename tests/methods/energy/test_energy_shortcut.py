"""On the shortcut task the negative controls fail as predicted, and the target system does not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from epishot.benchmark.calibration import brier, expected_calibration_error
from epishot.methods.base import Balance, FitContext, PairTable, Regime, Supports, TrainTable, no_support
from epishot.methods.energy import presets
from epishot.methods.energy.method import EnergyMethod
from epishot.methods.tables import cell_table, fit_context, pair_table, train_table
from epishot.tasks.chance import chance_aupr
from epishot.tasks.synthetic import generate, nuisance
from epishot.tasks.task import Task

SUPPORTS, SHOTS = 10, 64


@cache
def shortcut_task() -> Task:
    """12 cells, one logit per standard deviation of U: what the block tells of a row outweighs what U tells.

    In the default variant, of three logits, a pooled model loses a fifth of its gain to the block, not all of it.
    """
    return generate("additive", nuisance="shortcut", cells=12, slope=1.0)


class Outcome(NamedTuple):
    """What became of a method on the cell `shifted`, means over its supports where it reads one.

    Attributes:
        pooled: average precision over the rows of all training cells, each in its own, known cell.
        held_out: chance-corrected average precision of the scored rows. potential: that of U alone.
        brier, ece: of its probabilities. recalibrated: Brier and ECE of U through a logistic regression on each
            natural support.
    """

    pooled: float
    held_out: float
    potential: float
    brier: float
    ece: float
    recalibrated: tuple[float, float]


@cache
def outcome(name: str, *, block: bool = True) -> Outcome:
    """Train a preset on all cells but `shifted`; without `block` the nuisance features are taken away."""
    task = shortcut_task()
    label, cell = task.columns.label, task.columns.cell
    held_out = cell == task.card.cells.index(nuisance.SHIFTED)
    method: EnergyMethod = getattr(presets, name)()
    n_features = len(task.card.features) - (0 if block else len(nuisance.FEATURES))
    assert task.card.feature_names[n_features:] == (() if block else tuple(f.name for f in nuisance.FEATURES))

    def keep(pairs: PairTable) -> PairTable:
        return replace(pairs, features=pairs.column("features")[:, :n_features])

    train = train_table(task, np.flatnonzero(~held_out), method.reads)
    train = TrainTable(keep(train.pairs), train.label, train.cell, train.n_cells)
    known = fit_context(task)
    method.fit(train, FitContext(known.seed, known.feature_names[:n_features], known.activity, known.budget))
    rows = np.flatnonzero(held_out)
    pool = np.isin(task.columns.chrom[rows], np.unique(task.columns.chrom)[::2])
    chosen = np.random.default_rng(0).permutation(rows[pool])[: SUPPORTS * SHOTS].reshape(SUPPORTS, SHOTS)
    scored = rows[~pool]
    whole = keep(cell_table(task, rows, method.reads)) if method.transductive else None
    at = np.sort(chosen.ravel())
    support = keep(pair_table(task, at, method.reads))
    query = keep(pair_table(task, scored, method.reads))
    labelled = Supports(Regime.LABELLED, Balance.NATURAL, support, np.searchsorted(at, chosen), label[chosen])
    nothing = no_support(query)
    scores = method.score(labelled if Regime.LABELLED in method.regimes else nothing, query, whole)
    potential = method.potential(query, whole)
    anchors = method.potential(support, whole)[labelled.rows]
    recalibrated = []
    for u, y in zip(anchors, label[chosen], strict=True):
        model = LogisticRegression(C=1e3).fit(u[:, None], y)
        recalibrated.append(model.decision_function(potential[:, None]))
    truth = label[scored]
    pooled = average_precision_score(train.label, method.score_training(train))
    return Outcome(
        float(pooled),
        float(np.mean([corrected(truth, row) for row in scores])),
        corrected(truth, potential),
        *calibration(scores, truth),
        calibration(np.array(recalibrated), truth),
    )


def calibration(logits: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Mean Brier score and mean expected calibration error over supports."""
    probability = expit(logits)
    return float(brier(probability, label).mean()), float(expected_calibration_error(probability, label).mean())


def corrected(label: np.ndarray, score: np.ndarray) -> float:
    """Average precision as a share of the way from chance to 1."""
    chance = chance_aupr(label.size, int(label.sum()))
    return (float(average_precision_score(label, score)) - chance) / (1 - chance)


def reference(*, held_out: bool) -> float:
    """What the exact probability reaches: corrected on the shifted cell, or pooled over all other cells."""
    task = shortcut_task()
    rows = (task.columns.cell == task.card.cells.index(nuisance.SHIFTED)) == held_out
    label, exact = task.columns.label[rows], task.references["ceiling"][rows]
    return corrected(label, exact) if held_out else float(average_precision_score(label, exact))


@pytest.mark.slow
def test_a_potential_that_sees_the_block_looks_good_in_training_and_ranks_the_shifted_cell_by_noise() -> None:
    found = outcome("EnergyPseudoDecoupled")
    assert found.pooled >= found.held_out + 0.3
    assert found.held_out <= 0.1
    assert reference(held_out=True) >= 0.2


@pytest.mark.slow
def test_a_table_of_cell_ids_knows_its_cells_and_is_miscalibrated_on_another() -> None:
    found = outcome("EnergyIdTable")
    assert found.pooled >= 0.9 * reference(held_out=False)
    brier_of_u, ece_of_u = found.recalibrated
    assert found.brier > 1.1 * brier_of_u
    assert found.ece > 1.5 * ece_of_u
    # One offset for all rows of a cell leaves the ranking to U.
    assert found.held_out == pytest.approx(found.potential, abs=1e-9)


@pytest.mark.slow
def test_the_teacher_student_system_does_without_the_block() -> None:
    seeing, blind = outcome("EnergyTeacherStudent"), outcome("EnergyTeacherStudent", block=False)
    assert abs(seeing.held_out - blind.potential) <= 0.05
    assert seeing.held_out >= 0.6 * reference(held_out=True)


def test_only_the_id_table_answers_an_unseen_cell_with_its_mean_and_its_row_says_so() -> None:
    found = {
        method.name: method
        for method in vars(presets).values()
        if isinstance(method, type) and issubclass(method, EnergyMethod) and method is not EnergyMethod
    }
    means = {name for name, method in found.items() if method().config()["environment"]["unseen"] == "mean"}
    assert means == {"energy-id-table"}
    assert "mean of the table" in found["energy-id-table"].summary

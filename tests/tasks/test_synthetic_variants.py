"""What sets the variants apart: truth to recover, rankings that differ, null labels, the shortcut."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from epishot.tasks import synthetic
from epishot.tasks.synthetic import nuisance
from epishot.tasks.synthetic.settings import Coupling, Settings
from epishot.tasks.synthetic.simulate import BILINEAR_WEIGHTS, POTENTIAL, Simulation, simulate
from epishot.tasks.task import Task


@cache
def recovery(coupling: Coupling) -> Simulation:
    """Many cells, gentle slopes and strongly varying offsets: made for recovering a(c), b(c) and U."""
    return simulate(Settings(coupling, seed=1, cells=24, prevalence=0.25, slope=1.5, slope_sd=0.8, offset_sd=1.1))


@cache
def shortcut_task(seed: int) -> Task:
    return synthetic.shortcut(seed=seed)


@pytest.mark.parametrize("coupling", [Coupling.ADDITIVE, Coupling.MULTIPLICATIVE])
def test_slope_and_offset_are_those_of_the_labels(coupling: Coupling) -> None:
    simulation = recovery(coupling)
    truth = simulation.truth
    errors = []
    for index, rows in enumerate(simulation.cells):
        u = rows.potential[:, None]
        model = LogisticRegression(C=1e6).fit(u, rows.label)
        p = model.predict_proba(u)[:, 1]
        design = np.column_stack([np.ones(len(u)), u])
        covariance = np.linalg.inv(design.T @ (design * (p * (1 - p))[:, None]))
        estimate = np.array([model.intercept_[0], model.coef_[0, 0]])
        errors.append((estimate - [truth.offset[index], truth.slope[index]]) / np.sqrt(np.diag(covariance)))
    z = np.array(errors)
    assert np.abs(z).max() < 4.5
    assert 0.6 < z.std() < 1.4


def test_settings_control_the_spread_of_slopes_and_offsets() -> None:
    truth = recovery(Coupling.MULTIPLICATIVE).truth
    assert truth.slope.min() > 0
    assert truth.slope.mean() == pytest.approx(1.5, abs=0.2)
    assert truth.slope.std(ddof=1) >= 0.7
    assert truth.offset.std(ddof=1) >= 1.0
    labels = np.concatenate([rows.label for rows in recovery(Coupling.MULTIPLICATIVE).cells])
    assert labels.mean() >= 0.2
    additive = recovery(Coupling.ADDITIVE).truth
    np.testing.assert_allclose(additive.slope, 1.5)
    assert min(cell["R"] for cell in additive.parameters) >= 0


def test_potential_is_standardised_in_every_cell() -> None:
    for rows in recovery(Coupling.ADDITIVE).cells:
        assert rows.potential.mean() == pytest.approx(0.0, abs=0.15)
        assert rows.potential.std() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("coupling", [Coupling.ADDITIVE, Coupling.SATURATING, Coupling.GATE, Coupling.HILL])
def test_scalar_couplings_rank_by_the_potential(coupling: Coupling) -> None:
    for rows in simulate(Settings(coupling, cells=3, pairs=400)).cells:
        ranked = rows.oracle[np.argsort(rows.potential)]
        assert (np.diff(ranked) > 0).all()


def test_the_bilinear_term_changes_rankings_between_cells() -> None:
    np.testing.assert_allclose(POTENTIAL @ BILINEAR_WEIGHTS, 0.0, atol=1e-12)
    simulation = simulate(Settings(Coupling.XDEPENDENT, cells=4))
    truth = simulation.truth
    np.testing.assert_allclose(np.linalg.norm(truth.embedding, axis=1), 1.0)
    for rows in simulation.cells:
        agreement = spearmanr(rows.oracle, rows.potential).statistic
        assert 0.6 < agreement < 0.93
        bilinear = (rows.latent - rows.centre) @ rows.weight - rows.potential
        # What the cell adds depends on x through two common directions.
        basis = (rows.latent - rows.centre) @ BILINEAR_WEIGHTS
        residual = bilinear - basis @ np.linalg.lstsq(basis, bilinear, rcond=None)[0]
        assert np.abs(residual).max() < 1e-9
    weights = np.array([rows.weight / np.linalg.norm(rows.weight) for rows in simulation.cells])
    assert (weights @ weights.T).min() < 0.75


def test_truth_is_not_in_the_table() -> None:
    task = synthetic.additive(pairs=300)
    assert set(task.references) == {"ceiling", "oracle"}
    truth = simulate(Settings(Coupling.ADDITIVE, pairs=300)).truth
    names = {feature.name for feature in task.card.features}
    assert not names & {"potential", "slope", "offset"}
    columns = np.column_stack([task.columns.features, task.columns.distance])
    assert max(abs(spearmanr(column, truth.potential).statistic) for column in columns.T) < 0.9


def test_null_labels_are_independent_of_everything() -> None:
    task = synthetic.null(seed=3)
    columns = task.columns
    for name in ("ceiling", "oracle"):
        assert np.unique(task.references[name]).tolist() == [0.1]
    n = len(task)
    standard_error = np.sqrt(0.09 / n)
    assert abs(columns.label.mean() - 0.1) < 4 * standard_error
    per_cell = np.array([columns.label[columns.cell == cell].mean() for cell in range(6)])
    assert np.abs(per_cell - 0.1).max() < 4 * np.sqrt(0.09 / 2000)
    # Each column, and the gene's other rows: z of the correlation with the label.
    matrix = np.column_stack([columns.features, np.log(columns.distance), synthetic_gene_mean(task)])
    z = [np.corrcoef(np.argsort(np.argsort(column)), columns.label)[0, 1] * np.sqrt(n) for column in matrix.T]
    assert np.abs(z).max() < 4.2


def synthetic_gene_mean(task: Task) -> np.ndarray:
    """Mean label of the gene's rows in other cells: what a gene prior reads; its own rows left out."""
    columns = task.columns
    positive = np.zeros((columns.gene.max() + 1, 6))
    count = np.zeros_like(positive)
    np.add.at(positive, (columns.gene, columns.cell), columns.label)
    np.add.at(count, (columns.gene, columns.cell), 1)
    others = positive.sum(axis=1)[columns.gene] - positive[columns.gene, columns.cell]
    rows = count.sum(axis=1)[columns.gene] - count[columns.gene, columns.cell]
    return (others + 0.2) / (rows + 2)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shortcut_block_tells_the_cell_and_its_prevalence(seed: int) -> None:
    columns = shortcut_task(seed).columns
    block = columns.features[:, -len(nuisance.FEATURES) :]
    centres = np.array([block[columns.cell == cell].mean(axis=0) for cell in range(1, 6)])
    prevalence = np.array([columns.label[columns.cell == cell].mean() for cell in range(1, 6)])
    assert spearmanr(centres[:, 0], prevalence).statistic == pytest.approx(1.0)
    assert prevalence.max() / prevalence.min() > 3
    nearest = np.linalg.norm(block[:, None, :] - centres, axis=2).argmin(axis=1) + 1
    ordinary = columns.cell != 0
    assert (nearest == columns.cell)[ordinary].mean() > 0.9


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shortcut_block_is_noise_within_every_cell_and_wide_in_the_shifted_one(seed: int) -> None:
    task = shortcut_task(seed)
    columns = task.columns
    assert task.card.cells[0] == nuisance.SHIFTED
    block = columns.features[:, -len(nuisance.FEATURES) :]
    for cell in range(6):
        rows = columns.cell == cell
        positives = columns.label[rows].sum()
        spread = np.sqrt((len(columns.label[rows]) + 1) / 12 / positives / (rows.sum() - positives))
        for column in block[rows].T:
            assert abs(roc_auc_score(columns.label[rows], column) - 0.5) < 4.2 * spread
    inside, outside = block[columns.cell == 0, 0], block[columns.cell != 0, 0]
    assert inside.min() < np.quantile(outside, 0.05)
    assert inside.max() > np.quantile(outside, 0.95)
    assert inside.std() > 4 * max(block[columns.cell == cell, 0].std() for cell in range(1, 6))


def test_a_pooled_learner_that_reads_the_block_loses_on_the_shifted_cell() -> None:
    losses = {"shifted": [], "ordinary": []}
    for seed in (0, 1, 2):
        columns = shortcut_task(seed).columns
        matrix = np.column_stack(
            [np.log10(columns.distance), np.log(columns.features[:, :13]), columns.features[:, 13:]]
        )
        for cell in range(3):
            train, held = columns.cell != cell, columns.cell == cell
            scores = []
            for width in (14, 18):
                model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
                model.fit(matrix[train][:, :width], columns.label[train])
                scores.append(
                    average_precision_score(columns.label[held], model.decision_function(matrix[held][:, :width]))
                )
            losses["shifted" if cell == 0 else "ordinary"].append(scores[0] - scores[1])
    assert np.mean(losses["shifted"]) > 0.04
    assert np.min(losses["shifted"]) > 0.0
    assert np.mean(losses["ordinary"]) < 0.02

"""The simulated tasks as EP tables: schema, loci, features, streams, difficulty."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import cache

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from epishot.tasks import synthetic
from epishot.tasks.errors import EpishotError
from epishot.tasks.splits import FOLDS, Protocol, cell_splits
from epishot.tasks.synthetic.genome import ENHANCER_BP, MAX_DISTANCE_BP, MIN_DISTANCE_BP, PROMOTER_BP
from epishot.tasks.synthetic.settings import Coupling, Settings
from epishot.tasks.synthetic.simulate import simulate
from epishot.tasks.task import Task
from epishot.tasks.validate import build_table

FACTORIES = (
    synthetic.additive,
    synthetic.multiplicative,
    synthetic.gate,
    synthetic.saturating,
    synthetic.hill,
    synthetic.xdependent,
    synthetic.null,
    synthetic.shortcut,
)
every_variant = pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__name__)


@cache
def made(factory: object) -> Task:
    return factory()  # type: ignore[operator]


@every_variant
def test_table_passes_the_validation_of_user_data_unchanged(factory: object) -> None:
    task = made(factory)
    again = build_table(task.table.to_pandas(), task.card, where=task.card.name)
    assert again.equals(task.table)


@every_variant
def test_card_names_the_registry_entry_and_states_the_generator(factory: object) -> None:
    card = made(factory).card
    suffix = {"additive": "", "null": "-null"}.get(factory.__name__, f"-{factory.__name__}")  # type: ignore[attr-defined]
    assert card.name == f"synthetic{suffix}"
    assert card.source.repository == "generated"
    assert card.genome_build == "synthetic"
    assert card.sequence_length == (ENHANCER_BP, PROMOTER_BP)
    assert any("coupling" in note for note in card.notes)


def test_name_tells_settings_that_differ_from_the_defaults() -> None:
    assert synthetic.null(seed=2, cells=3, pairs=300).card.name == "synthetic-null-seed2-cells3-pairs300"
    task = synthetic.generate("multiplicative", cells=2, pairs=300, prevalence=0.25, slope_sd=0.7)
    assert task.card.name == "synthetic-multiplicative-cells2-pairs300-prevalence0.25-slope-sd0.7"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cells": 1}, "at least 2 cells"),
        ({"pairs": 10}, "at least 200 pairs"),
        ({"prevalence": 0.9}, "prevalence"),
        ({"slope": -1.0}, "slope"),
        ({"colour": 3}, "colour"),
        ({"coupling": "magic"}, "magic"),
        ({"nuisance": "shortcut", "cells": 2}, "at least 3 cells"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(settings: dict[str, object], says: str) -> None:
    with pytest.raises(EpishotError, match=says):
        synthetic.generate(**{"coupling": "additive", **settings})  # type: ignore[arg-type]


def test_the_same_settings_give_the_same_task_and_another_seed_another() -> None:
    first, again, other = (synthetic.additive(seed=seed, pairs=300) for seed in (5, 5, 6))
    assert first.content_hash == again.content_hash
    assert first.content_hash != other.content_hash
    assert not np.array_equal(first.columns.label, other.columns.label)


@pytest.mark.parametrize("factory", [synthetic.additive, synthetic.multiplicative, synthetic.shortcut])
def test_more_cells_leave_the_first_ones_as_they_were(factory: object) -> None:
    few, many = factory(cells=3, pairs=300), factory(cells=9, pairs=300)  # type: ignore[operator]
    assert many.card.cells[:3] == few.card.cells
    assert many.table.slice(0, len(few)).equals(few.table)
    for name, scores in few.references.items():
        np.testing.assert_array_equal(many.references[name][: len(few)], scores)


def test_references_are_those_of_the_simulation_to_ten_digits() -> None:
    task = synthetic.additive(pairs=300)
    for name, scores in task.references.items():
        exact = np.concatenate([getattr(rows, name) for rows in simulate(Settings(Coupling.ADDITIVE, pairs=300)).cells])
        np.testing.assert_allclose(scores, exact, rtol=1e-9, atol=0)
        np.testing.assert_array_equal(np.argsort(scores, kind="stable"), np.argsort(exact, kind="stable"))


def test_variants_share_loci_sequences_and_features() -> None:
    plain, hill = made(synthetic.additive).table, made(synthetic.hill).table
    same = [name for name in plain.column_names if name != "label"]
    assert plain.select(same).equals(hill.select(same))
    assert not plain["label"].equals(hill["label"])


def test_rows_are_distinct_pairs_at_their_stated_distance() -> None:
    task = made(synthetic.additive)
    columns = task.columns
    assert len(set(task.table["pair_id"].to_pylist())) == len(task)
    assert len(np.unique(np.column_stack([columns.cell, columns.pair]), axis=0)) == len(task)
    np.testing.assert_array_equal(columns.chrom, columns.promoter_chrom)
    midpoint = (columns.enhancer_start + columns.enhancer_end) / 2
    np.testing.assert_array_equal(np.abs(midpoint - columns.tss), columns.distance)
    assert columns.distance.min() >= MIN_DISTANCE_BP
    assert columns.distance.max() <= MAX_DISTANCE_BP
    assert 1e5 < np.median(columns.distance) < 4e5


def test_genes_and_elements_recur_within_and_between_cells() -> None:
    columns = made(synthetic.additive).columns
    first = columns.cell == 0
    assert first.sum() / len(np.unique(columns.gene[first])) > 2
    assert first.sum() / len(np.unique(columns.element[first])) > 1.3
    shared = np.isin(columns.pair[first], columns.pair[~first]).mean()
    assert 0.3 < shared < 0.99
    assert np.isin(columns.gene[first], columns.gene[~first]).mean() > 0.9


def test_an_element_is_measured_once_per_cell() -> None:
    task = made(synthetic.additive)
    columns = task.columns
    side = np.array([feature.side for feature in task.card.features])
    for name, identity in (("enhancer", columns.element), ("promoter", columns.gene)):
        values = columns.features[:, side == name]
        key = columns.cell.astype(np.int64) * 10**6 + identity
        n_keys = len(np.unique(key))
        assert len(np.unique(np.column_stack([key, values.astype(np.float64)]), axis=0)) == n_keys
        assert len(np.unique(values[:, 0])) > 0.99 * n_keys
    assert len(np.unique(columns.features[:, side == "window"][:, 0])) > 0.99 * len(task)


def test_feature_scales_carry_no_information() -> None:
    plain = synthetic.generate("additive", pairs=400, scale_sd=0.0)
    scaled = synthetic.generate("additive", pairs=400, scale_sd=1.0)
    np.testing.assert_array_equal(plain.references["ceiling"], scaled.references["ceiling"])
    np.testing.assert_array_equal(plain.columns.label, scaled.columns.label)
    for cell in range(6):
        rows = plain.columns.cell == cell
        ratio = scaled.columns.features[rows] / plain.columns.features[rows]
        np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape), rtol=1e-5)
        assert np.ptp(np.log(ratio[0])) > 0.5
    assert plain.columns.features.min() > 0


@pytest.mark.parametrize("protocol", list(Protocol))
def test_every_query_and_pool_holds_positives(protocol: Protocol) -> None:
    task = made(synthetic.additive)
    splits = cell_splits(task, protocol)
    assert len(splits) == (6 if protocol is Protocol.CELL else 6 * len(FOLDS))
    for split in splits:
        assert task.columns.label[split.query_rows].sum() >= 10
        assert task.columns.label[split.pool_rows].sum() >= 32
        assert len(split.pool_rows) >= 300


def _ranked(task: Task) -> np.ndarray:
    columns = task.columns
    ranks = np.empty(columns.features.shape)
    for cell in range(len(task.card.cells)):
        rows = columns.cell == cell
        ranks[rows] = rankdata(columns.features[rows], axis=0) / rows.sum()
    return np.column_stack([ranks, np.log10(columns.distance)])


def test_default_difficulty() -> None:
    """Prevalence near 0.1; distance is weak; a pooled linear learner transfers almost up to the ceiling."""
    task = made(synthetic.additive)
    columns, matrix = task.columns, _ranked(task)
    gain = {"distance": 0.0, "logistic": 0.0, "ceiling": 0.0}
    for cell in range(6):
        held, train = columns.cell == cell, columns.cell != cell
        label = columns.label[held]
        assert 0.06 < label.mean() < 0.16
        model = LogisticRegression(max_iter=500).fit(matrix[train], columns.label[train])
        scores = {
            "distance": -columns.distance[held],
            "logistic": model.decision_function(matrix[held]),
            "ceiling": task.references["ceiling"][held],
        }
        for name, score in scores.items():
            gain[name] += (average_precision_score(label, score) - label.mean()) / 6
    assert 0.1 < gain["distance"] < 0.45 * gain["ceiling"]
    assert 0.45 < gain["ceiling"] < 0.75
    assert gain["logistic"] > 0.9 * gain["ceiling"]


def test_generation_is_fast() -> None:
    start = time.process_time()
    synthetic.additive(seed=11)
    assert time.process_time() - start < 4.0


def test_importing_the_factories_imports_nothing_heavy() -> None:
    code = (
        "import sys, epishot.tasks.synthetic; "
        "print(sorted({'torch', 'datasets', 'sklearn', 'scipy', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

"""Features as a matrix: per-cell ranks against scipy, standardising against scikit-learn."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import rankdata
from sklearn.preprocessing import StandardScaler

from epishot.methods import FeatureMatrix, PairTable, Scale, TrainTable, features
from epishot.methods.features import Standardiser, cell_ranks, log10_distance
from epishot.tasks.errors import MethodError

COLUMNS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=30),
    elements=st.sampled_from([-2.0, 0.0, 0.5, 0.5, 1.0, 7.25]),
)


@settings(max_examples=60, deadline=None)
@given(COLUMNS)
def test_ranks_are_scipys_average_ranks(values):
    expected = rankdata(values, method="average", axis=0) / len(values)
    assert np.allclose(cell_ranks(values, values), expected, atol=1e-6)
    assert np.allclose(cell_ranks(values.copy(), values), expected, atol=1e-6)


def test_a_pair_is_ranked_within_its_cell_whatever_else_is_asked_for():
    rng = np.random.default_rng(0)
    cell = rng.normal(size=(50, 3)).astype(np.float32)
    some = np.array([7, 3, 31])
    assert np.allclose(cell_ranks(cell[some], cell), cell_ranks(cell, cell)[some], atol=1e-6)


def test_values_outside_the_cell_stay_inside_the_unit_interval():
    cell = np.arange(4, dtype=np.float32)[:, None]
    ranks = cell_ranks(np.array([[-9.0], [1.5], [9.0]], np.float32), cell)
    assert np.allclose(ranks[:, 0], [0.25, 0.75, 1.0])


def test_missing_values_stay_missing_and_shift_no_rank():
    cell = np.array([[3.0], [np.nan], [1.0], [np.nan]], np.float32)
    ranks = cell_ranks(cell, cell)[:, 0]
    assert np.isnan(ranks[[1, 3]]).all()
    assert np.allclose(ranks[[0, 2]], [1.0, 0.5])


def test_ranks_do_not_change_under_a_monotone_change_of_scale():
    rng = np.random.default_rng(1)
    cell = rng.gamma(1.0, size=(200, 2)).astype(np.float32)
    assert np.array_equal(cell_ranks(cell, cell), cell_ranks(np.log(cell), np.log(cell)))


def test_training_cells_are_ranked_apart_and_distance_is_not_ranked():
    features = np.array([[1.0], [2.0], [100.0], [300.0], [200.0]], np.float32)
    distance = np.array([10.0, 1e3, 1e4, 1e5, 0.0])
    train = TrainTable(
        PairTable(n=5, features=features, distance=distance),
        np.array([0, 1, 0, 1, 0], np.int8),
        np.array([0, 0, 1, 1, 1]),
        2,
    )
    matrix = FeatureMatrix(Scale.RANK).of_train(train)
    assert np.allclose(matrix[:, 0], [0.5, 1.0, 1 / 3, 1.0, 2 / 3])
    assert np.allclose(matrix[:, 1], [1, 3, 4, 5, 0])
    assert np.allclose(FeatureMatrix(Scale.RAW).of_train(train)[:, 0], features[:, 0])


def test_rank_scaling_without_a_cell_table_says_what_to_declare():
    with pytest.raises(MethodError, match="transductive = True"):
        FeatureMatrix(Scale.RANK).of_cell(PairTable(n=1, features=np.ones((1, 2), np.float32)), None)


def test_unknown_distance_stays_unknown_and_zero_becomes_one_bp():
    logs = log10_distance(np.array([0.0, 100.0, np.nan]))
    assert logs[:2].tolist() == [0.0, 2.0]
    assert np.isnan(logs[2])


def test_standardising_agrees_with_scikit_learn():
    rng = np.random.default_rng(2)
    matrix = rng.gamma(2.0, 30.0, size=(300, 4)).astype(np.float32)
    matrix[:, 2] = 0.1  # constant: scale 1
    expected = StandardScaler().fit(matrix.astype(np.float64)).transform(matrix.astype(np.float64))
    assert np.allclose(Standardiser.of(matrix)(matrix), expected, atol=1e-9)


def test_standardising_takes_missing_values_as_the_mean():
    matrix = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    standardise = Standardiser.of(matrix)
    assert np.allclose(standardise(matrix), [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    known = ~np.isnan(matrix[:, :1])
    reference = StandardScaler().fit(matrix[:, :1])
    assert np.allclose(standardise(matrix)[:, :1][known], reference.transform(matrix[:, :1])[known])


# ---- ranks are kept for a table in its cell ------------------------------------------------------------------


def table(n: int, seed: int = 0) -> PairTable:
    return PairTable(n, features=np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32))


@pytest.fixture
def rankings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of ranked pairs with each ranking."""
    calls: list[int] = []

    def counted(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
        calls.append(len(values))
        return cell_ranks(values, reference)

    monkeypatch.setattr(features, "cell_ranks", counted)
    return calls


def test_a_query_is_ranked_once_in_its_cell_whatever_supports_come_between(rankings: list[int]) -> None:
    matrix, cell, query = FeatureMatrix(Scale.RANK), table(50), table(7, seed=1)
    first = matrix.of_cell(query, cell)
    expected = np.column_stack([cell_ranks(query.features, cell.features), np.zeros(7)])
    np.testing.assert_array_equal(first, expected.astype(np.float32))
    for seed in range(5):
        matrix.of_cell(table(3, seed), cell)
    # What a method does to its matrix does not come back.
    first[:] = 9
    np.testing.assert_array_equal(matrix.of_cell(query, cell), expected.astype(np.float32))
    assert rankings == [7] + 5 * [3]


def test_an_equal_table_is_another_table_and_another_cell_another_question(rankings: list[int]) -> None:
    matrix, cell, query = FeatureMatrix(Scale.RANK), table(50), table(7, seed=1)
    matrix.of_cell(query, cell)
    matrix.of_cell(replace(query), cell)
    other = matrix.of_cell(query, table(50, seed=2))
    np.testing.assert_array_equal(other[:, :2], cell_ranks(query.features, table(50, seed=2).features))
    assert rankings == [7, 7, 7]


def test_ranks_go_with_their_table() -> None:
    before = len(features._RANKS._kept)
    query, cell = table(7), table(50)
    FeatureMatrix(Scale.RANK).of_cell(query, cell)
    assert len(features._RANKS._kept) == before + 1
    del query
    gc.collect()
    assert len(features._RANKS._kept) == before

"""Network inputs: fixed rank scale, standardised distance, no value that is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from epishot.baselines.inputs import RankedInputs
from epishot.methods.base import PairTable, TrainTable


def make_train(distance: np.ndarray | None) -> TrainTable:
    rng = np.random.default_rng(0)
    features = rng.exponential(size=(60, 2)).astype(np.float32)
    features[:, 1] = 0.0
    pairs = PairTable(n=60, features=features, distance=distance)
    return TrainTable(pairs, np.zeros(60, np.int8), np.repeat([0, 1], 30).astype(np.int32), 2)


def test_ranks_are_scaled_as_uniform_and_log_distance_to_mean_0_sd_1() -> None:
    train = make_train(10 ** np.random.default_rng(1).uniform(3, 6, 60))
    matrix = RankedInputs.fit(train).of_train(train).numpy()
    expected = np.concatenate([rankdata(train.pairs.features[c : c + 30, 0]) / 30 for c in (0, 30)])
    np.testing.assert_allclose(matrix[:, 0], (expected - 0.5) * np.sqrt(12), atol=1e-5)
    assert matrix[:, 2].mean() == pytest.approx(0, abs=1e-5)
    assert matrix[:, 2].std() == pytest.approx(1, abs=1e-5)


def test_a_mark_absent_in_training_stays_within_the_range_of_ranks_elsewhere() -> None:
    train = make_train(np.full(60, 1e4))
    inputs = RankedInputs.fit(train)
    held_out = PairTable(n=60, features=np.random.default_rng(2).normal(size=(60, 2)).astype(np.float32))
    matrix = inputs.of_cell(PairTable(60, held_out.features, np.full(60, 1e5)), held_out).numpy()
    assert np.abs(matrix[:, :2]).max() <= np.sqrt(3) + 1e-5


def test_unknown_distances_become_the_average_and_constants_are_survived() -> None:
    distance = np.full(60, 1e4)
    distance[7] = np.nan
    train = make_train(distance)
    matrix = RankedInputs.fit(train).of_train(train).numpy()
    np.testing.assert_array_equal(matrix[:, 2], np.zeros(60, np.float32))
    assert np.isfinite(RankedInputs.fit(make_train(None)).of_train(make_train(None)).numpy()).all()
    unknown = make_train(np.full(60, np.nan))
    assert np.isfinite(RankedInputs.fit(unknown).of_train(unknown).numpy()).all()

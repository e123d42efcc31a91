"""Drawing and gathering 80-row episodes from 40,000 pairs x 64 float32."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from epishot.baselines.meta_training import EpisodeSampler
from epishot.methods.base import Balance, PairTable, TrainTable

SUPPORT, QUERY, FEATURES = 16, 64, 64
#: Episodes of one draw: the tasks of a meta-training step.
BATCH = 16
WORK = "draw and gather 80-row episodes, 40k pairs x 64 float32"


@pytest.fixture(scope="module")
def train(full: bool) -> TrainTable:
    rng = np.random.default_rng(0)
    n = 40_000 if full else 2_000
    pairs = PairTable(
        n=n,
        features=rng.normal(size=(n, FEATURES)).astype(np.float32),
        chrom=rng.integers(23, size=n).astype(np.int32),
    )
    return TrainTable(pairs, (rng.random(n) < 0.2).astype(np.int8), np.zeros(n, dtype=np.int32), 1)


def gathered(sampler: EpisodeSampler, features: np.ndarray, episodes: int) -> np.ndarray:
    """(episodes, 80, F): rows drawn, then one gather."""
    batch = sampler.draw(episodes, SUPPORT, QUERY, Balance.NATURAL)
    return np.take(features, np.concatenate([batch.support, batch.query], axis=1), axis=0)


@pytest.mark.parametrize(("transforms", "must_reach"), [("NWays, KShots, LoadData", 1000), ("FusedNWaysKShots", 20)])
def test_a_taskset_of_learn2learn(train, race, machine, full, library, transforms, must_reach) -> None:
    data = library.data
    made = data.transforms
    features, label = train.pairs.column("features"), train.label.astype(np.int64)
    places = {value: np.flatnonzero(label == value).tolist() for value in (0, 1)}
    rows = torch.utils.data.TensorDataset(torch.from_numpy(features), torch.arange(len(label)))
    dataset = data.MetaDataset(rows, labels_to_indices=places, indices_to_labels=dict(enumerate(label.tolist())))
    each = (SUPPORT + QUERY) // 2
    steps = {
        "FusedNWaysKShots": [made.FusedNWaysKShots(dataset, n=2, k=each)],
        "NWays, KShots, LoadData": [made.NWays(dataset, 2), made.KShots(dataset, each)],
    }[transforms]
    taskset = data.Taskset(dataset, [*steps, made.LoadData(dataset)])
    # Both give 80 rows of the table, value for value: theirs 40 of each label, ours as the pairs come (the headline).
    x, row = taskset.sample()
    np.testing.assert_array_equal(x.numpy(), features[row.numpy()])
    assert np.bincount(label[row.numpy()]).tolist() == [each, each]
    sampler = EpisodeSampler(train, np.random.default_rng(1))
    batch = sampler.draw(4, SUPPORT, QUERY, Balance.NATURAL)
    assert all(np.unique(rows).size == SUPPORT for rows in batch.support)
    again = EpisodeSampler(train, np.random.default_rng(1))
    index = np.concatenate([batch.support, batch.query], axis=1)
    np.testing.assert_array_equal(gathered(again, features, 4), features[index])
    batches, peer_episodes = (16, 3) if full else (1, 1)
    race(
        WORK,
        lambda: [gathered(sampler, features, BATCH) for _ in range(batches)],
        (f"learn2learn Taskset ({transforms})", lambda: [taskset.sample() for _ in range(peer_episodes)]),
        must_reach,
        units=(batches * BATCH, peer_episodes),
        rounds=7,
        floor_s=machine.floor_s(n_bytes=2 * 4 * FEATURES * (SUPPORT + QUERY)),
    )


def test_rows_read_through_datasets(train, race, machine, full) -> None:
    import datasets

    features = train.pairs.column("features")
    column = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), FEATURES)
    dataset = datasets.Dataset(pa.table({"x": column})).with_format("numpy")
    sampler = EpisodeSampler(train, np.random.default_rng(1))
    other = EpisodeSampler(train, np.random.default_rng(1))

    def read(episodes: int) -> np.ndarray:
        batch = other.draw(episodes, SUPPORT, QUERY, Balance.NATURAL)
        index = np.concatenate([batch.support, batch.query], axis=1)
        return np.stack([dataset[rows]["x"] for rows in index])

    np.testing.assert_array_equal(gathered(sampler, features, 3), read(3))
    batches, peer_episodes = (16, 16) if full else (1, 1)
    race(
        WORK,
        lambda: [gathered(sampler, features, BATCH) for _ in range(batches)],
        ("the same draws read through datasets", lambda: read(peer_episodes)),
        20,
        units=(batches * BATCH, peer_episodes),
        rounds=7,
        floor_s=machine.floor_s(n_bytes=2 * 4 * FEATURES * (SUPPORT + QUERY)),
    )

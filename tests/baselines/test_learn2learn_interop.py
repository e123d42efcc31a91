"""Episodes both ways: an EPIShot task as a learn2learn `Taskset`, learn2learn transforms as an EPIShot sampler."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from epishot.baselines.inputs import RankedInputs
from epishot.baselines.learn2learn_import import Learn2learn
from epishot.baselines.learn2learn_sampler import MakeTransforms, from_task_transforms
from epishot.baselines.learn2learn_tasks import _READS, EpisodeTransform, as_meta_dataset, as_taskset
from epishot.baselines.meta_training import EpisodeSampler
from epishot.methods.base import Balance, PairTable, TrainTable
from epishot.methods.tables import train_table
from epishot.tasks.catalog import load_task
from epishot.tasks.errors import MethodError
from epishot.tasks.splits import Split, cell_splits
from epishot.tasks.task import Task

K, Q = 16, 40


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("synthetic")


@pytest.fixture(scope="module")
def split(task: Task) -> Split:
    return cell_splits(task, "cell")[0]


@pytest.fixture(scope="module")
def train(task: Task, split: Split) -> TrainTable:
    return train_table(task, split.train_rows, _READS)


def rows_of(x: torch.Tensor, train: TrainTable) -> np.ndarray:
    """Row numbers of the training table, found by the bytes of the inputs."""
    known = {row.tobytes(): i for i, row in enumerate(RankedInputs.fit(train).of_train(train).numpy())}
    return np.array([known[row.numpy().tobytes()] for row in x])


@pytest.mark.parametrize("balance", list(Balance))
def test_tasks_of_the_taskset_are_episodes_of_training_cells(
    task: Task, split: Split, train: TrainTable, library: Learn2learn, balance: Balance
) -> None:
    taskset = as_taskset(task, split, K, Q, balance=balance, num_tasks=8)
    assert isinstance(taskset, library.data.Taskset)
    assert isinstance(taskset.dataset, library.data.MetaDataset)
    assert len(taskset) == 8
    seen = set()
    for x, y in taskset:
        assert x.shape == (K + Q, train.pairs.column("features").shape[1] + 1)
        assert (x.dtype, y.dtype, y.shape) == (torch.float32, torch.int64, (K + Q,))
        rows = rows_of(x, train)
        np.testing.assert_array_equal(y.numpy(), train.label[rows])
        assert np.unique(train.cell[rows]).size == 1
        seen.add(int(train.cell[rows[0]]))
        assert np.unique(rows[:K]).size == K
        chrom = train.pairs.column("chrom")
        assert not set(chrom[rows[:K]]) & set(chrom[rows[K:]])
        if balance is Balance.BALANCED:
            assert int(y[:K].sum()) == K // 2
    assert len(seen) > 1


@pytest.mark.usefixtures("library")
def test_task_i_depends_on_the_seed_only(task: Task, split: Split) -> None:
    forward, backward, other = (as_taskset(task, split, K, Q, num_tasks=5, seed=seed) for seed in (1, 1, 2))
    expected = [forward[i] for i in range(5)]
    random.seed(0)
    for i in reversed(range(5)):
        assert all(torch.equal(a, b) for a, b in zip(backward[i], expected[i], strict=True))
    assert not torch.equal(other[0][0], expected[0][0])


@pytest.mark.usefixtures("library")
def test_an_endless_taskset_draws_anew_and_leaves_pythons_random_alone(task: Task, split: Split) -> None:
    taskset = as_taskset(task, split, K, Q)
    state = random.getstate()
    assert not torch.equal(taskset[0][0], taskset[0][0])
    assert random.getstate() == state


@pytest.mark.usefixtures("library")
def test_natural_tasks_keep_the_prevalence(task: Task, split: Split, train: TrainTable) -> None:
    taskset = as_taskset(task, split, 8, 200, num_tasks=60)
    drawn = np.mean([float(y.float().mean()) for _, y in taskset])
    by_cell = np.mean([train.of_cell(cell).prevalence for cell in range(train.n_cells)])
    assert drawn == pytest.approx(by_cell, abs=0.03)


def test_learn2learn_trains_on_the_taskset(task: Task, split: Split, library: Learn2learn) -> None:
    torch.manual_seed(0)
    taskset = as_taskset(task, split, K, Q, num_tasks=4)
    model = library.maml(torch.nn.Linear(taskset[0][0].shape[1], 1), lr=0.1)
    loss = torch.nn.BCEWithLogitsLoss()
    for x, y in taskset:
        learner = model.clone()
        learner.adapt(loss(learner(x[:K])[:, 0], y[:K].float()))
        loss(learner(x[K:])[:, 0], y[K:].float()).backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in model.parameters())


def test_the_meta_dataset_serves_learn2learns_own_transforms(
    task: Task, split: Split, train: TrainTable, library: Learn2learn
) -> None:
    dataset, made = as_meta_dataset(task, split), library.data.transforms
    assert sorted(dataset.labels) == [0, 1]
    assert len(dataset.labels_to_indices[1]) == int(train.label.sum())
    x, y = library.data.Taskset(dataset, [made.FusedNWaysKShots(dataset, n=2, k=5), made.LoadData(dataset)]).sample()
    assert int(y.sum()) == 5
    np.testing.assert_array_equal(y.numpy(), train.label[rows_of(x, train)])


@pytest.mark.usefixtures("library")
def test_what_cannot_be_drawn_is_refused(task: Task, split: Split, train: TrainTable) -> None:
    for k, n_query, balance, num in ((-1, 5, "natural", 1), (3, 5, "balanced", 1), (4, 0, "natural", 1)):
        with pytest.raises(MethodError, match="k must be"):
            as_taskset(task, split, k, n_query, balance=Balance(balance), num_tasks=num)
    with pytest.raises(MethodError, match="num_tasks is 0"):
        as_taskset(task, split, 4, 4, num_tasks=0)
    with pytest.raises(MethodError, match="cannot give a natural support of 100000"):
        as_taskset(task, split, 100_000, 4, num_tasks=20)
    transform = EpisodeTransform(EpisodeSampler(train, np.random.default_rng(0)), 4, 4)
    assert len(transform(None)) == 8
    with pytest.raises(MethodError, match="first in the list"):
        transform(transform(None))


def lists(made: Any) -> dict[str, MakeTransforms]:
    return {
        "fused": lambda d: [made.FusedNWaysKShots(d, n=2, k=60), made.LoadData(d)],
        "separate": lambda d: [made.NWays(d, n=2), made.KShots(d, k=60), made.LoadData(d)],
        "filtered": lambda d: [made.FilterLabels(d, [0, 1]), made.ConsecutiveLabels(d), made.LoadData(d)],
        "without-load": lambda d: [made.NWays(d, 2)],
        "replacement": lambda d: [made.NWays(d), made.KShots(d, k=80, replacement=True), made.LoadData(d)],
        "unshuffled": lambda d: [made.NWays(d), made.LoadData(d), made.RemapLabels(d, shuffle=False)],
    }


@pytest.mark.parametrize("which", ["fused", "separate", "filtered", "without-load", "replacement", "unshuffled"])
@pytest.mark.parametrize("balance", list(Balance))
def test_transforms_give_supports_and_queries(
    train: TrainTable, library: Learn2learn, which: str, balance: Balance
) -> None:
    sampler = from_task_transforms(train, lists(library.data.transforms)[which], np.random.default_rng(0))
    batch = sampler.draw(6, K, Q, balance)
    assert (batch.support.shape, batch.query.shape, batch.weight.shape) == ((6, K), (6, Q), (6, K))
    assert (batch.support.dtype, batch.weight.dtype, batch.balance) == (np.int64, np.float32, balance)
    assert (batch.weight == 1).all()
    chrom = train.pairs.column("chrom")
    for support, query, cell in zip(batch.support, batch.query, batch.cell, strict=True):
        assert np.unique(support).size == K
        assert (train.cell[support] == cell).all()
        assert (train.cell[query] == cell).all()
        assert not set(chrom[support]) & set(chrom[query])
        if balance is Balance.BALANCED:
            assert int(train.label[support].sum()) == K // 2


def test_rows_are_those_that_the_transforms_chose(train: TrainTable, library: Learn2learn) -> None:
    made = library.data.transforms
    positives = from_task_transforms(
        train, lambda d: [made.FilterLabels(d, [1]), made.LoadData(d)], np.random.default_rng(0)
    )
    batch = positives.draw(5, 6, 10)
    assert train.label[batch.support].all()
    assert train.label[batch.query].all()
    shots = from_task_transforms(train, lists(made)["fused"], np.random.default_rng(0)).draw(20, K, 200)
    assert train.label[shots.query].mean() == pytest.approx(0.5, abs=0.1)


def test_draws_depend_on_the_generator_only(train: TrainTable, library: Learn2learn) -> None:
    drawn = []
    for seed, python_seed in ((3, 0), (3, 1), (4, 0)):
        random.seed(python_seed)
        state = random.getstate()
        sampler = from_task_transforms(train, lists(library.data.transforms)["fused"], np.random.default_rng(seed))
        drawn.append(sampler.draw(4, K, Q))
        assert random.getstate() == state
    np.testing.assert_array_equal(drawn[0].support, drawn[1].support)
    np.testing.assert_array_equal(drawn[0].query, drawn[1].query)
    assert (drawn[0].support != drawn[2].support).any()


def test_traps_of_the_transforms_are_told(train: TrainTable, library: Learn2learn) -> None:
    made = library.data.transforms

    def draw(transforms: MakeTransforms, k: int = K) -> None:
        from_task_transforms(train, transforms, np.random.default_rng(0)).draw(20, k, Q)

    with pytest.raises(MethodError, match="leave out RemapLabels"):
        draw(lambda d: [made.FusedNWaysKShots(d, n=2, k=60), made.LoadData(d), made.RemapLabels(d)])
    with pytest.raises(MethodError, match=r"fails on training cell \d+: ValueError: Sample larger"):
        draw(lambda d: [made.FusedNWaysKShots(d, n=2, k=10**6), made.LoadData(d)])
    with pytest.raises(MethodError, match="fails on training cell 0: RuntimeError: no transforms"):
        draw(lambda d: (_ for _ in ()).throw(RuntimeError("no transforms")))
    with pytest.raises(MethodError, match="larger k"):
        draw(lambda d: [made.FusedNWaysKShots(d, n=2, k=5), made.LoadData(d)])


def test_a_cell_of_one_locus_group_per_row_is_divided_by_rows(library: Learn2learn) -> None:
    n = 60
    label = (np.arange(n) % 3 == 0).astype(np.int8)
    pairs = PairTable(n=n, features=np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32))
    train = TrainTable(pairs, label, np.zeros(n, dtype=np.int32), 1)
    made = library.data.transforms
    batch = from_task_transforms(train, lambda d: [made.LoadData(d)], np.random.default_rng(0)).draw(3, 50, Q)
    for support, query in zip(batch.support, batch.query, strict=True):
        assert not set(support) & set(query)
    empty = from_task_transforms(train, lambda d: [made.LoadData(d)], np.random.default_rng(0)).draw(2, 0, Q)
    assert empty.support.shape == (2, 0)

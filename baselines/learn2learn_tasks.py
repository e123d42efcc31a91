"""An EPIShot task as a learn2learn `Taskset`: its tasks are episodes of the training cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..methods.base import Balance, Reads, TrainTable
from ..methods.tables import train_table
from ..tasks.errors import MethodError
from ..tasks.splits import Split
from ..tasks.task import Task
from .inputs import RankedInputs
from .learn2learn_import import learn2learn
from .meta_training import EpisodeSampler

_READS = frozenset({Reads.FEATURES, Reads.DISTANCE, Reads.COORDINATES})


class TrainingPairs(Dataset):
    """Labelled pairs of the training cells as a torch dataset of (x, y).

    Attributes:
        inputs: (n, F + 1) float32 per-cell ranked features and log10 distance, see `RankedInputs`.
        label: (n,) int64, 1 = interacts. cell: (n,) int64 anonymous training cell.
    """

    def __init__(self, train: TrainTable) -> None:
        self.inputs: Tensor = RankedInputs.fit(train).of_train(train).cpu()
        self.label = torch.from_numpy(train.label.astype(np.int64))
        self.cell = torch.from_numpy(train.cell.astype(np.int64))

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.inputs[row], int(self.label[row])


class EpisodeTransform:
    """A learn2learn task transform that picks the rows of one episode: k of the support, then the query's.

    It stands first in a list of transforms, in the place of `NWays` and `KShots`, which cannot express an episode at
    natural prevalence; `LoadData` may follow. Episodes come from `EpisodeSampler`: support and query are of one
    training cell and share no chromosome.
    """

    def __init__(self, sampler: EpisodeSampler, k: int, n_query: int, balance: Balance = Balance.NATURAL) -> None:
        self._sampler, self._k, self._n_query, self._balance = sampler, k, n_query, balance
        self._description = learn2learn().data.DataDescription

    def __call__(self, task_description: object = None) -> list[Any]:
        """Row descriptions of one episode.

        Raises:
            MethodError: another transform stands before this one, or a training cell has too few pairs.
        """
        if task_description is not None:
            raise MethodError("EpisodeTransform picks the rows itself: put it first in the list of transforms.")
        return self.draw(1)[0]

    def draw(self, n_tasks: int) -> list[list[Any]]:
        """Row descriptions of `n_tasks` episodes; errors as in `__call__`."""
        batch = self._sampler.draw(n_tasks, self._k, self._n_query, self._balance)
        short = np.flatnonzero((batch.weight == 0).any(axis=1))
        if short.size:
            raise MethodError(
                f"Training cell {batch.cell[short[0]]} cannot give a {self._balance.value} support of {self._k} pairs; "
                "ask for a smaller k."
            )
        rows = np.concatenate([batch.support, batch.query], axis=1)
        return [[self._description(int(row)) for row in one] for one in rows]


def as_meta_dataset(task: Task, split: Split) -> Any:
    """The training rows of a split as a `learn2learn.data.MetaDataset`; its labels are 0 and 1.

    Raises:
        MethodError: learn2learn is not installed.
    """
    return _meta_dataset(train_table(task, split.train_rows, _READS))


def as_taskset(
    task: Task,
    split: Split,
    k: int,
    n_query: int,
    *,
    balance: Balance = Balance.NATURAL,
    num_tasks: int = -1,
    seed: int = 0,
) -> Any:
    """A `learn2learn.data.Taskset` of meta-training episodes; nothing of the held-out cell is in it.

    One task is (x, y): x (k + n_query, F + 1) float32, y (k + n_query,) int64, labels with their own meaning
    (1 = interacts: no `RemapLabels`, which exchanges them at random). The first k rows are the support,
    the others the query; `learn2learn.data.partition_task` demands equal classes and does not apply.

    Args:
        task: an EPIShot task. split: one of its cell splits, as `tasks.splits.cell_splits` gives them.
        k: pairs per support (balanced: even). n_query: pairs per query.
        balance: of the supports; queries are natural.
        num_tasks: tasks in the set, drawn here and now, so that task i is the same in whatever order tasks are asked
            for; -1: every access draws a new one.
        seed: of the draws. Python's global `random` is not used.

    Raises:
        MethodError: learn2learn is not installed, a size is out of range, or a training cell has too few pairs.
    """
    if k < 0 or n_query < 1 or (balance is Balance.BALANCED and k % 2):
        raise MethodError(f"k = {k} and n_query = {n_query}: k must be >= 0 (balanced: even), n_query >= 1.")
    if num_tasks < 1 and num_tasks != -1:
        raise MethodError(f"num_tasks is {num_tasks}; give a positive number, or -1 for new tasks without end.")
    data = learn2learn().data
    train = train_table(task, split.train_rows, _READS)
    dataset = _meta_dataset(train)
    generator = np.random.Generator(np.random.Philox(key=[seed, 0]))
    episodes = EpisodeTransform(EpisodeSampler(train, generator), k, n_query, balance)
    load = data.transforms.LoadData(dataset)
    taskset = data.Taskset(dataset, [episodes, load], num_tasks=num_tasks)
    if num_tasks > 0:
        drawn = (load(description) for description in episodes.draw(num_tasks))
        taskset.sampled_descriptions.update(enumerate(drawn))
    return taskset


def _meta_dataset(train: TrainTable) -> Any:
    pairs = TrainingPairs(train)
    rows = {label: np.flatnonzero(train.label == label).tolist() for label in (0, 1)}
    # Given here, they are not collected by reading every row once.
    return learn2learn().data.MetaDataset(pairs, labels_to_indices={label: r for label, r in rows.items() if r})

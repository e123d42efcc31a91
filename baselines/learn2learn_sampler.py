"""learn2learn task transforms as an EPIShot sampler of meta-training episodes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from ..methods.base import Balance, TrainTable
from ..tasks.errors import MethodError
from .learn2learn_import import learn2learn
from .meta_training import EpisodeSampler, MetaBatch, locus_groups

#: Orders of the loci that are tried before a task's rows are called indivisible.
_ATTEMPTS = 16

#: From the `MetaDataset` of one training cell to transforms, as a learn2learn `Taskset` takes them.
MakeTransforms = Callable[[Any], Sequence[Callable[[Any], Any]]]


class _CellRows(Dataset):
    """One training cell; an item is (row within the cell, label), so that a loaded task tells its rows."""

    def __init__(self, rows: np.ndarray, label: np.ndarray) -> None:
        self.rows, self.label = rows, label

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[int, int]:
        return row, int(self.label[row])


class TransformSampler(EpisodeSampler):
    """Draws tasks of which learn2learn transforms choose the rows; see `from_task_transforms`."""

    def __init__(self, train: TrainTable, transforms: MakeTransforms, generator: np.random.Generator) -> None:
        """Build one `Taskset` per training cell; arguments and errors as in `from_task_transforms`."""
        data = learn2learn().data
        self._generator = generator
        self._groups = locus_groups(train.pairs)
        self._label = train.label
        self._cells = np.unique(train.cell).astype(np.int64)
        self._rows = [np.flatnonzero(train.cell == cell) for cell in self._cells]
        self._tasksets = []
        for cell, rows in zip(self._cells, self._rows, strict=True):
            label = train.label[rows]
            places = {value: np.flatnonzero(label == value).tolist() for value in (0, 1)}
            known = {value: found for value, found in places.items() if found}
            dataset = data.MetaDataset(_CellRows(rows, label), labels_to_indices=known)
            with _told(cell):
                self._tasksets.append(data.Taskset(dataset, list(transforms(dataset))))

    def draw(self, n_tasks: int, k: int, n_query: int, balance: Balance = Balance.NATURAL) -> MetaBatch:
        """Draw tasks; cells are equally likely, whatever their size.

        Args:
            n_tasks: T. k: pairs per support. n_query: q.
            balance: natural takes the support as the transforms mixed it (`KShots`: half positives);
                balanced takes k/2 of each label out of the task's rows.

        Returns:
            T tasks of one k; every weight is 1.

        Raises:
            MethodError: a transform fails, changes labels, or gives too few rows for k and a query apart from it.
        """
        rng = self._generator
        support = np.empty((n_tasks, k), dtype=np.int64)
        query = np.empty((n_tasks, n_query), dtype=np.int64)
        chosen = rng.integers(len(self._cells), size=n_tasks)
        for task, cell in enumerate(chosen):
            support[task], rest = self._divide(self._task_rows(int(cell)), k, balance)
            query[task] = rest[rng.integers(rest.size, size=n_query)]
        return MetaBatch(support, np.ones((n_tasks, k), dtype=np.float32), query, self._cells[chosen], balance)

    def _task_rows(self, cell: int) -> np.ndarray:
        """Distinct rows of the training table that make up one task of the transforms."""
        with _told(self._cells[cell]), _python_random(int(self._generator.integers(2**62))):
            loaded = self._tasksets[cell].sample()
        # Without LoadData a task is the row numbers alone.
        places, label = (loaded, None) if isinstance(loaded, Tensor) else loaded
        rows = self._rows[cell][places.numpy()]
        if label is not None and (label.numpy() != self._label[rows]).any():
            raise MethodError(
                "The transforms change labels: leave out RemapLabels, which exchanges interacting and not "
                "interacting in about half of all tasks."
            )
        return np.unique(rows)

    def _divide(self, rows: np.ndarray, k: int, balance: Balance) -> tuple[np.ndarray, np.ndarray]:
        """k rows of the support, and all rows at other loci."""
        rng = self._generator
        loci, locus = np.unique(self._groups[rows], return_inverse=True)
        positive = self._label[rows] == 1
        quotas = [(~positive, k // 2), (positive, k // 2)] if balance is Balance.BALANCED else [(positive | True, k)]
        for _ in range(_ATTEMPTS):
            # Loci join the support's side one after the other until it holds enough.
            place = rng.permutation(loci.size)[locus]
            reached = max((_place_of(place[members], size) for members, size in quotas), default=0)
            taken = place < reached
            if reached <= loci.size and not taken.all():
                picked = [_some(rows[taken & members], size, rng) for members, size in quotas]
                return np.concatenate(picked), rows[~taken]
        raise MethodError(
            f"A task of {rows.size} rows at {loci.size} loci cannot be divided into a {balance.value} support of {k} "
            "pairs and a query at other loci: let the transforms keep more rows (KShots with a larger k)."
        )


def from_task_transforms(
    train: TrainTable, transforms: MakeTransforms, generator: np.random.Generator
) -> TransformSampler:
    """A sampler, in the place of `EpisodeSampler`, whose tasks are made by learn2learn transforms.

    ```python
    def transforms(dataset):
        return [FusedNWaysKShots(dataset, n=2, k=80), LoadData(dataset)]
    batch = from_task_transforms(train, transforms, generator).draw(16, k=32, n_query=64)
    ```

    The transforms run within one training cell, drawn anew for each task, and choose rows; the rows are then
    divided into a support and a query that share no chromosome, as everywhere in EPIShot. So they must keep more than
    k rows. `KShots` keeps as many positives as negatives: the natural prevalence is lost, also in the query.

    Python's global `random`, from which learn2learn draws, is seeded from `generator` for each task and put back.

    Args:
        train: training rows (in a method: those that `fit` is given).
        transforms: called with the `learn2learn.data.MetaDataset` of each training cell (labels 0 and 1);
            returns the list that a `Taskset` would take: `NWays`, `KShots`, `FilterLabels`, `LoadData`, ...
        generator: source of every draw.

    Raises:
        MethodError: learn2learn is not installed, or a transform cannot be made for a cell.
    """
    return TransformSampler(train, transforms, generator)


def _place_of(places: np.ndarray, size: int) -> int:
    """Number of loci, in their drawn order, that together hold `size` of the rows at `places`."""
    if size > places.size:
        return np.iinfo(np.int64).max
    return int(np.partition(places, size - 1)[size - 1]) + 1 if size else 0


def _some(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    return rows[rng.choice(rows.size, size=size, replace=False)] if size else rows[:0]


@contextmanager
def _python_random(seed: int) -> Iterator[None]:
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def _told(cell: int) -> Iterator[None]:
    """Name the training cell in the bare errors of learn2learn ("Sample larger than population")."""
    try:
        yield
    except MethodError:
        raise
    except Exception as error:
        raise MethodError(
            f"A learn2learn transform fails on training cell {cell}: {type(error).__name__}: {error}."
        ) from error

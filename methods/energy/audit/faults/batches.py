"""Faults of samplers, tables and evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import numpy as np

from ....base import TrainTable
from ... import training
from ...presets import EnergyContrastive
from ...samplers import blocks
from ...samplers.sides import Partition, Side
from .fault import Fault, swapped


def _overlapping(train: TrainTable) -> AbstractContextManager[None]:
    def divide(rows: np.ndarray, label: np.ndarray, loci: np.ndarray, rng: np.random.Generator) -> Partition:
        whole = Side.of(rows, label)
        return Partition(whole, whole)

    return swapped(blocks, divide=divide)


@contextmanager
def _single_cell(train: TrainTable) -> Iterator[None]:
    def let_pass(*given: object, **options: object) -> None:
        """Degenerate losses are not refused."""

    with swapped(training, refuse_degenerate=let_pass):
        yield


def _resampled(train: TrainTable) -> AbstractContextManager[None]:
    """Early stopping is scored on a stream that is half positive, as the old evaluator's was."""
    real = training.mean_average_precision

    def score(label: np.ndarray, potential: np.ndarray, cell: np.ndarray) -> float:
        rng = np.random.default_rng(0)
        rows = [
            np.concatenate([rng.choice(np.flatnonzero((cell == code) & (label == value)), 200) for value in (0, 1)])
            for code in np.unique(cell)
        ]
        own = np.concatenate(rows)
        return real(label[own], potential[own], cell[own])

    return swapped(training, mean_average_precision=score)


def _pseudo_cell(train: TrainTable) -> TrainTable:
    """The last training cell is a pseudo-cell without a positive."""
    label = train.label.copy()
    label[train.cell == train.n_cells - 1] = 0
    return replace(train, label=label)


FAULTS = (
    Fault("support-overlaps-query", "support and query are drawn from the same rows", ("batches",), _overlapping),
    Fault(
        "single-cell-contrast",
        "a contrast between cells sees one cell at a time",
        ("batches",),
        _single_cell,
        EnergyContrastive,
        {"sampler": {"kind": "cell_batch"}},
    ),
    Fault(
        "resampled-evaluation",
        "early stopping is scored on a stream that is half positive",
        ("evaluation",),
        _resampled,
        options={"stopping": {"cells": 1, "every": 10}},
    ),
    Fault(
        "mixed-supports",
        "supports are drawn from all cells at once",
        ("J13-mixed-context",),
        options={"sampler": {"mixed_support": True}},
    ),
    Fault("pseudo-cell", "a training cell holds negatives only", ("J32-label-shortcut",), table=_pseudo_cell),
)

"""What crosses the pipe between the runner and a fit's process: arrays in, scores and timings out.

A `FitJob` is the only thing a method's process ever receives: declared columns of the training rows with
their labels, declared columns of query pairs without labels, and supports. Query labels stay in the parent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..methods.base import FitContext, PairTable, Supports, TrainTable


@dataclass(frozen=True)
class FitJob:
    """One fit and everything it is to score.

    Attributes:
        method: address of the class, `module:Class` or `file.py:Class`. arguments: constructor arguments.
        code: digest of the method's source that the runs are named by; another source is refused.
        cell_table: all pairs of the held-out cell in shuffled order, for transductive methods only.
        requests: supports to score the query under, one per condition.
    """

    method: str
    arguments: dict[str, object]
    code: str
    train: TrainTable
    context: FitContext
    query: PairTable
    cell_table: PairTable | None
    requests: tuple[Supports, ...]


@dataclass(frozen=True)
class Started:
    """The process runs and has received its job."""

    pid: int


@dataclass(frozen=True)
class Fitted:
    """The fit is done."""

    fit_s: float
    cpu_s: float
    n_parameters: int | None


@dataclass(frozen=True)
class Scored:
    """Scores (E, n) float64 of one request, finite."""

    request: int
    scores: np.ndarray
    score_s: float
    cpu_s: float
    peak_memory_mb: float


@dataclass(frozen=True)
class Failed:
    """One request failed, or the whole fit where `request` is None."""

    request: int | None
    error: str


@dataclass(frozen=True)
class Finished:
    """Nothing more will come."""


Message = Started | Fitted | Scored | Failed | Finished

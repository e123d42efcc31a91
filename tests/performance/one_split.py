"""One split of `bengi` (tiny: of `synthetic`) with labelled supports, as tables for a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from epishot.benchmark.support_tables import support_table
from epishot.methods.base import Balance, Method, PairTable, Reads, Regime, Supports, TrainTable
from epishot.methods.tables import cell_table, pair_table, train_table
from epishot.tasks.catalog import load_task
from epishot.tasks.episodes import EpisodeSet
from epishot.tasks.task import Task

SHOTS, DRAWS = (8, 16, 32, 64, 128), 10


@dataclass(frozen=True)
class OneSplit:
    """supports: one condition per k. budget: of the fits that are timed."""

    task: Task
    train: TrainTable
    query: PairTable
    whole: PairTable
    supports: list[Supports]
    budget: float


def one_split(request: pytest.FixtureRequest, full: bool, reads: frozenset[Reads]) -> OneSplit:
    """The first split of protocol `cell`."""
    if full:
        request.getfixturevalue("data_mirror")
    task = load_task("bengi" if full else "synthetic")
    shots, draws = (SHOTS, DRAWS) if full else ((8,), 2)
    episodes = EpisodeSet.build(task, "cell", [0, *shots], draws)
    split = episodes.splits[0]
    drawn = [episodes.support_rows(split.cell, split.fold, "natural", k) for k in shots]
    supports = [support_table(task, rows, Regime.LABELLED, Balance.NATURAL, reads) for rows in drawn]
    return OneSplit(
        task,
        train_table(task, split.train_rows, reads),
        pair_table(task, split.query_rows, reads),
        cell_table(task, task.cell_rows(split.cell), reads),
        supports,
        1.0 if full else 0.01,
    )


def flops_of(call: Callable[[], object]) -> float:
    """Floating-point operations of the matrix products in a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def score_each(method: Method, supports: Supports, query: PairTable, whole: PairTable) -> np.ndarray:
    """Scores (E, n) of one episode at a time, each on tables of its own: nothing is kept from one to the next."""
    return np.concatenate(
        [
            method.score(
                replace(
                    supports,
                    pool=replace(supports.pool),
                    rows=supports.rows[e : e + 1],
                    label=supports.label[e : e + 1],
                ),
                replace(query),
                replace(whole),
            )
            for e in range(supports.n_episodes)
        ]
    )

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
#: Names of the peer, by whether it ranks a query anew for each episode.
PEERS = {True: "the same, one episode at a time", False: "the same, but ranks of the query are kept"}


@dataclass(frozen=True)
class OneSplit:
    """supports: one condition per k. budget: of the fits that are timed."""

    task: Task
    train: TrainTable
    query: PairTable
    whole: PairTable
    supports: list[Supports]
    budget: float

    def anew(self) -> OneSplit:
        """The same with other table objects: ranks that are kept for these tables count for nothing."""
        return replace(
            self,
            query=replace(self.query),
            whole=replace(self.whole),
            supports=[replace(supports, pool=replace(supports.pool)) for supports in self.supports],
        )

    def brief(self) -> OneSplit:
        """The first k and a hundredth of the steps, to compare two sides."""
        return replace(self, supports=self.supports[:1], budget=0.01)


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


def score(method: Method, split: OneSplit) -> list[np.ndarray]:
    """Scores (E, n) under the supports of every k, as a run has them: all of a support's episodes in one call."""
    split = split.anew()
    return [method.score(supports, split.query, split.whole) for supports in split.supports]


def score_each(method: Method, split: OneSplit, *, ranking_anew: bool) -> list[np.ndarray]:
    """The same, one episode in a call; `ranking_anew`: with tables of its own, so that nothing is kept of it."""
    split = split.anew()
    found = []
    for supports in split.supports:
        scores = []
        for e in range(supports.n_episodes):
            one = replace(supports, rows=supports.rows[e : e + 1], label=supports.label[e : e + 1])
            scores.append(method.score(one, split.query, split.whole))
            if ranking_anew:
                split = split.anew()
        found.append(np.concatenate(scores))
    return found

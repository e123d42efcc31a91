"""On the additive simulator the matching model comes close to the ceiling."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from epishot.methods.base import Balance, Regime, Supports
from epishot.methods.energy.presets import EnergyAdditive
from epishot.methods.tables import fit_context, pair_table, train_table
from epishot.tasks.catalog import load_task
from epishot.tasks.chance import chance_aupr
from epishot.tasks.episodes import EpisodeSet
from epishot.tasks.splits import Protocol


@pytest.mark.slow
def test_additive_reaches_most_of_the_ceiling_at_64_natural_shots():
    task = load_task("synthetic")
    episodes = EpisodeSet.build(task, Protocol.CELL, (64,), 2)
    split = episodes.splits[-1]
    method = EnergyAdditive()
    method.fit(train_table(task, split.train_rows, method.reads), fit_context(task))
    rows = episodes.support_rows(split.cell, split.fold, Balance.NATURAL, 64)
    pool = np.unique(rows)
    supports = Supports(
        Regime.LABELLED,
        Balance.NATURAL,
        pair_table(task, pool, method.reads),
        np.searchsorted(pool, rows),
        task.columns.label[rows],
    )
    held_out = np.flatnonzero(task.columns.cell == task.columns.cell[split.query_rows[0]])
    scores = method.score(
        supports,
        pair_table(task, split.query_rows, method.reads),
        pair_table(task, held_out, method.reads),
    )
    label = task.columns.label[split.query_rows]
    chance = chance_aupr(label.size, int(label.sum()))
    ceiling = average_precision_score(label, task.references["ceiling"][split.query_rows])
    reached = np.mean([average_precision_score(label, row) for row in scores])
    assert (reached - chance) / (ceiling - chance) >= 0.75

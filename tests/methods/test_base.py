"""The plugin contract's data classes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from epishot.methods import (
    Balance,
    EpisodeMethod,
    FitContext,
    PairTable,
    Reads,
    Regime,
    Supports,
    TrainTable,
    no_support,
)
from epishot.tasks.errors import MethodError


def pairs(n: int = 6) -> PairTable:
    return PairTable(
        n=n,
        features=np.arange(2 * n, dtype=np.float32).reshape(n, 2),
        distance=np.arange(n, dtype=np.float64),
    )


def test_take_by_index_repeats_and_by_mask_keeps_undeclared_columns_none():
    table = pairs()
    taken = table.take(np.array([4, 1, 1]))
    assert taken.n == 3
    assert taken.distance.tolist() == [4.0, 1.0, 1.0]
    assert taken.features[0].tolist() == [8.0, 9.0]
    assert taken.gene is None
    masked = table.take(table.distance > 2)
    assert masked.n == 3
    assert masked.distance.tolist() == [3.0, 4.0, 5.0]


def test_a_pair_table_without_columns_still_counts_its_pairs():
    assert PairTable(n=5).take(np.array([0, 3])).n == 2


def test_a_column_of_the_wrong_length_is_refused():
    with pytest.raises(MethodError, match="distance has 3 rows where n = 4"):
        PairTable(n=4, distance=np.zeros(3))


def test_a_column_one_cannot_do_without_is_named_when_it_is_missing():
    assert pairs().column("distance") is not None
    with pytest.raises(MethodError, match="column `gene` is missing"):
        pairs().column("gene")


def test_of_cell_keeps_the_cell_code():
    train = TrainTable(pairs(), np.array([0, 1, 0, 1, 1, 0], np.int8), np.array([0, 0, 1, 1, 1, 1]), 2)
    assert train.prevalence == 0.5
    second = train.of_cell(1)
    assert second.pairs.distance.tolist() == [2.0, 3.0, 4.0, 5.0]
    assert second.label.tolist() == [0, 1, 1, 0]
    assert set(second.cell.tolist()) == {1}


def test_random_streams_depend_on_seed_and_stream_only():
    draw = FitContext(seed=3).generator(1).random(4)
    assert np.array_equal(draw, FitContext(seed=3, budget=0.1).generator(1).random(4))
    assert not np.array_equal(draw, FitContext(seed=3).generator(2).random(4))
    assert not np.array_equal(draw, FitContext(seed=4).generator(1).random(4))


@pytest.mark.parametrize(("budget", "steps"), [(1.0, 200), (0.1, 20), (1e-6, 1)])
def test_the_budget_scales_steps_and_leaves_at_least_one(budget, steps):
    assert FitContext(budget=budget).steps(200) == steps


class SupportMean(EpisodeMethod):
    name = "support-mean"
    summary = "mean distance of the support plus the pair's own"
    reads = frozenset({Reads.DISTANCE})
    regimes = frozenset(Regime)

    def fit(self, train, context):
        pass

    def score_episode(self, support, label, query, cell_table):
        mean = support.distance.mean() if support.n else 0.0
        return query.distance + mean + (0 if label is None else 100 * label.sum())


def test_an_episode_method_sees_one_support_at_a_time():
    supports = Supports(
        Regime.LABELLED,
        Balance.NATURAL,
        pool=pairs(),
        rows=np.array([[0, 2], [4, 5]]),
        label=np.array([[0, 1], [0, 0]], np.int8),
    )
    query = pairs(3)
    scores = SupportMean().score(supports, query, None)
    assert np.array_equal(scores, [[101.0, 102.0, 103.0], [4.5, 5.5, 6.5]])
    assert np.array_equal(SupportMean().score(no_support(query), query, None), [[0.0, 1.0, 2.0]])


def test_marks_tell_transductive_and_context():
    assert SupportMean.capabilities().marks == ""

    class Both(SupportMean):
        reads = frozenset({Reads.CONTEXT})
        transductive = True

    assert Both.capabilities().marks == "TC"


def test_importing_the_contract_costs_no_learning_library():
    code = (
        "import sys, epishot.methods, epishot.methods.base, epishot.methods.registry, epishot.methods.check\n"
        "from epishot.methods import PairTable, register_method, SklearnMethod\n"
        "print([m for m in ('torch', 'sklearn', 'datasets', 'pandas', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

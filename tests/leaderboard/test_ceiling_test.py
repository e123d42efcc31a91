"""The one-sided test against the ceiling, on compact records made by the real evaluator."""

import numpy as np
import pytest

from epishot.benchmark.records import MethodFacts
from epishot.benchmark.reference_rows import logit, reference_facts, reference_runs
from epishot.benchmark.run_scores import RunScores
from epishot.benchmark.specs import Condition
from epishot.benchmark.summarise import collect_queries, summarise_method
from epishot.leaderboard.ceiling_test import MACRO, ceiling_test
from epishot.methods.base import Balance, Regime
from epishot.tasks.catalog import load_task
from epishot.tasks.episodes import EpisodeSet

ZERO = Condition(0, Regime.NONE, Balance.NATURAL)
SHOT = Condition(8, Regime.LABELLED, Balance.NATURAL)


@pytest.fixture(scope="module")
def task():
    return load_task("synthetic@cells=3,pairs=800")


@pytest.fixture(scope="module")
def board(task):
    episodes = EpisodeSet.build(task, "cell", (0, 8), 2)
    queries = collect_queries(task, episodes.splits)
    common = {"seeds": (0,), "queries": queries, "replicates": 300}

    def method(name, scores_of):
        facts = MethodFacts(
            name=name,
            summary="",
            version="1",
            kind="method",
            marks="",
            reads=(),
            regimes=("none", "labelled"),
            deterministic=True,
            logits=True,
            config="{}",
        )
        runs = [
            RunScores(split.cell, split.fold, 0, condition, np.stack([scores_of(split, r) for r in range(draws)]))
            for split in episodes.splits
            for condition, draws in ((ZERO, 1), (SHOT, 2))
        ]
        return summarise_method(task, episodes, facts, runs, conditions=(ZERO, SHOT), **common)

    truth, labels = logit(task.references["ceiling"]), task.columns.label

    def noise(split, draw):
        return np.random.default_rng([draw, *split.cell.encode()]).normal(size=split.query_rows.size)

    ceiling = summarise_method(
        task,
        episodes,
        reference_facts("ceiling"),
        reference_runs(task, episodes, "ceiling"),
        conditions=(ZERO,),
        **common,
    )
    return {
        "ceiling": ceiling,
        "near": method("near", lambda s, r: truth[s.query_rows] + 0.5 * noise(s, r)),
        "same": method("same", lambda s, r: truth[s.query_rows]),
        "leak": method("leak", lambda s, r: truth[s.query_rows] + 2.0 * labels[s.query_rows]),
    }


def test_honest_methods_are_not_above_the_ceiling(board):
    result = ceiling_test([board[name] for name in ("ceiling", "near", "same")])
    # Two methods, two conditions, three cells and the macro mean.
    assert len(result.comparisons) == 2 * 2 * 4
    assert result.rejected == ()
    assert all(c.z == pytest.approx(0, abs=1e-6) for c in result.comparisons if c.method == "same")
    assert all(c.difference < 0 for c in result.comparisons if (c.method, c.cell) == ("near", MACRO))


def test_a_leaking_method_is_above_the_ceiling(board):
    result = ceiling_test(list(board.values()))
    assert {c.method for c in result.rejected} == {"leak"}
    assert MACRO in {c.cell for c in result.rejected}
    assert [c.z for c in result.comparisons] == sorted((c.z for c in result.comparisons), reverse=True)


def test_one_ceiling_of_one_episode_set_is_needed(board):
    with pytest.raises(ValueError, match="one ceiling"):
        ceiling_test([board["near"]])
    record, replicates = board["near"]
    with pytest.raises(ValueError, match="one episode set"):
        ceiling_test([board["ceiling"], (record.model_copy(update={"episode_set": "other"}), replicates)])

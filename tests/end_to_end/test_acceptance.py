"""Whole boards of real methods: nothing stands out where nothing can be known, nothing beats the ceiling."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from epishot.benchmark.compact import read_compact
from epishot.benchmark.null_test import NullEntry, null_entries, null_test
from epishot.benchmark.query_facts import QueryFacts
from epishot.benchmark.run_scores import RunScores
from epishot.benchmark.runner import RunOptions, run_suite
from epishot.benchmark.specs import Suite, SuitePart
from epishot.benchmark.store import RunStore
from epishot.benchmark.suites import FIRST_METHODS
from epishot.leaderboard.ceiling_test import ceiling_test

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Finished:
    """What a suite of one part left behind."""

    entries: list[NullEntry]
    queries: list[QueryFacts]
    board: Path


def run(task: str, folder: Path, *, budget: float) -> Finished:
    part = SuitePart(
        task=task, protocol="cell", methods=FIRST_METHODS, shots=(0, 16, 64), draws=2, seeds=1, budget=budget
    )
    (result,) = run_suite(
        Suite("acceptance", "1", (part,)), folder, None, RunOptions(jobs=2), Console(file=io.StringIO())
    )
    assert not result.failed, result.failed
    store = RunStore(folder)
    runs: dict[str, list[RunScores]] = {}
    for fit in result.plan.fits:
        for planned in fit.runs:
            record = store.find(fit.spec.task, planned.key)
            assert record is not None
            scores = store.scores(record)
            runs.setdefault(fit.method.name, []).append(
                RunScores(fit.spec.cell, fit.spec.fold, fit.spec.seed, planned.spec.condition, scores, planned.key)
            )
    entries = [entry for name, found in runs.items() for entry in null_entries(name, found)]
    queries = [QueryFacts.of(result.plan.task, split) for split in result.plan.splits]
    return Finished(entries, queries, store.board)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_method_stands_out_on_null_labels_and_a_leak_does(seed: int, tmp_path: Path) -> None:
    null = run(f"synthetic-null@seed={seed},cells=3,pairs=900", tmp_path, budget=0.1)
    assert {entry.method for entry in null.entries} == {method.reference for method in FIRST_METHODS}
    result = null_test(null.entries, null.queries)
    assert not result.rejected, (result.worst.method, result.worst.cell, result.worst.condition, result.p_value)

    # A scorer that sees a quarter of the labels of one cell must fall in the very same board.
    victim = next(entry for entry in null.entries if entry.method == "distance")
    (query,) = [query for query in null.queries if query.cell == victim.cell]
    rng = np.random.default_rng(seed)
    seen = rng.random(query.n) < 0.25
    leaking = rng.normal(size=query.n) + 5.0 * seen * (query.labels == 1)
    planted = replace_entry(victim, leaking)
    caught = null_test([*null.entries, planted], null.queries)
    assert caught.rejected
    assert caught.worst is planted


def replace_entry(entry: NullEntry, scores: np.ndarray) -> NullEntry:
    return entry._replace(method="leaking", scores=dict.fromkeys(entry.scores, scores[None]))


@pytest.fixture(scope="module")
def additive(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run("synthetic", tmp_path_factory.mktemp("additive"), budget=0.3)


def test_no_method_is_above_the_ceiling_and_a_cheat_is(additive: Finished) -> None:
    loaded = read_compact(additive.board)
    result = ceiling_test(loaded)
    assert len(result.comparisons) > 15 * 7
    assert result.rejected == ()
    cheats = [(with_name(record), replicates) for record, replicates in loaded if record.method.name == "oracle"]
    assert {c.method for c in ceiling_test([*loaded, *cheats]).rejected} == {"cheat"}


def with_name(record):
    """The oracle row, which knows the latent variables, as if it were a method."""
    return record.model_copy(update={"method": replace_model(record.method, name="cheat", kind="method")})


def replace_model(model, **update):
    return model.model_copy(update=update)


def test_the_matching_energy_model_comes_near_the_ceiling(additive: Finished) -> None:
    """At 64 natural shots: (AP - chance) / (AP of the ceiling - chance), mean over cells, is at least 0.75."""
    by_name = {record.method.name: record for record, _ in read_compact(additive.board)}
    ceiling = {entry.cell: entry.metrics["corrected"] for entry in by_name["ceiling"].entries}
    shares = [
        entry.metrics["corrected"] / ceiling[entry.cell]
        for entry in by_name["energy-additive"].entries
        if entry.k == 64
    ]
    assert len(shares) == 6
    assert np.mean(shares) >= 0.75


def test_constant_scores_exactly_what_ties_give(additive: Finished) -> None:
    (record,) = [record for record, _ in read_compact(additive.board) if record.method.name == "constant"]
    for entry in record.entries:
        (fold,) = entry.folds
        expected = (fold.positives / fold.n - fold.chance) / (1 - fold.chance)
        assert entry.metrics["corrected"] == pytest.approx(expected, abs=1e-12)

"""`epishot check`: sound methods pass, and for every check a method with exactly that fault is caught."""

from __future__ import annotations

import io
import re
import sys
import time

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import average_precision_score

from epishot.benchmark.declared import declared
from epishot.methods import METHODS, Balance, Method, Reads, Regime, SklearnMethod
from epishot.methods.check import CheckResult, Status, check_names, print_checks, run_checks
from epishot.methods.check_case import Case, Setting
from epishot.methods.check_null import average_precisions, permutation_p
from epishot.tasks.catalog import load_task
from epishot.tasks.errors import EpishotError, MethodError, UnknownNameError

BUILT_IN = [
    name for name in METHODS.names() if METHODS.origin(name).startswith("epishot") and not declared(name).unavailable
]


class Sound(Method):
    """Distance, moved towards the mean distance of the support's positives, plus a seeded tilt."""

    name = "sound"
    summary = "keeps every clause of the contract"
    reads = frozenset({Reads.FEATURES, Reads.DISTANCE})
    regimes = frozenset(Regime)

    def __init__(self, strength=1.0):
        self.strength = strength

    def config(self):
        return {"strength": self.strength}

    def fit(self, train, context):
        self.tilt = self.strength * context.generator().normal(size=train.pairs.features.shape[1])
        self.far = np.nanmax(train.pairs.distance)

    def logs(self, pairs):
        return np.log10(np.nan_to_num(pairs.distance, nan=self.far) + 1)

    def centre(self, supports, e):
        near = self.logs(supports.pool)[supports.rows[e]]
        if supports.label is not None:
            near = near[supports.label[e] == 1]
        return near.mean() if near.size else 0.0

    def score(self, supports, query, cell_table):
        own = self.logs(query) + 1e-3 * query.features @ self.tilt
        return np.stack([-np.abs(own - self.centre(supports, e)) for e in range(supports.n_episodes)])


class SoundTransductive(Sound):
    transductive = True

    def score(self, supports, query, cell_table):
        return super().score(supports, query, None) - np.nanmean(cell_table.distance) / 1e6


class TwoLineSummary(Sound):
    summary = "first\nsecond"


class ConfigIsNoJson(Sound):
    def config(self):
        return {"strength": {1.0}}


class ConfigDoesNotFit(Sound):
    def config(self):
        return {"strength": self.strength, "width": 3}


class ConfigIsStale(Sound):
    def config(self):
        return {"strength": self.strength + 1}


class ReadsUndeclared(Sound):
    reads = frozenset({Reads.FEATURES})


class Squeezes(Sound):
    def score(self, supports, query, cell_table):
        return super().score(supports, query, cell_table).squeeze()


class NeedsBothClasses(Sound):
    def centre(self, supports, e):
        if supports.label is None:
            return 0.0
        logs, label = self.logs(supports.pool)[supports.rows[e]], supports.label[e]
        return np.sum(logs * label) / np.float64(label.sum())


class DrawsFromNowhere(Sound):
    def fit(self, train, context):
        super().fit(train, context)
        self.tilt = np.random.default_rng(time.perf_counter_ns()).normal(size=self.tilt.size)


class NotDeterministic(Sound):
    deterministic = True


class ScoresByPlace(Sound):
    def score(self, supports, query, cell_table):
        return super().score(supports, query, cell_table) + np.linspace(0, 1, query.n)


class RanksTheQuery(Sound):
    def score(self, supports, query, cell_table):
        return super().score(supports, query, cell_table) - np.nanmean(query.distance) / 1e4


class LooksAtTheFirstOfTheCell(SoundTransductive):
    def score(self, supports, query, cell_table):
        return super().score(supports, query, cell_table) + self.logs(cell_table)[0]


class TakesTheFirstSupportPair(Sound):
    def centre(self, supports, e):
        return self.logs(supports.pool)[supports.rows[e, 0]] if supports.k else 0.0


class TakesTheFirstPoolPair(Sound):
    def centre(self, supports, e):
        return self.logs(supports.pool)[0] if supports.k else 0.0


class MixesSupports(Sound):
    def score(self, supports, query, cell_table):
        scores = super().score(supports, query, cell_table)
        return scores - scores.mean(axis=0)


class RemembersSupports(Sound):
    def fit(self, train, context):
        super().fit(train, context)
        self.seen = 0

    def score(self, supports, query, cell_table):
        self.seen += supports.n_episodes * supports.k
        return super().score(supports, query, cell_table) * (1 + self.seen)


class ChangesTheTrainingRows(Sound):
    def fit(self, train, context):
        super().fit(train, context)
        train.pairs.features[...] -= 1


class ChangesTheTrainingLabels(Sound):
    def fit(self, train, context):
        super().fit(train, context)
        train.label[:] = 0


class ChangesTheQuery(Sound):
    def score(self, supports, query, cell_table):
        query.distance[...] *= 2
        return super().score(supports, query, cell_table)


class ChangesTheSupport(Sound):
    def score(self, supports, query, cell_table):
        supports.rows.sort(axis=1)
        return super().score(supports, query, cell_table)


class IgnoresUnknownDistance(Sound):
    def logs(self, pairs):
        return np.log10(pairs.distance + 1)


class FindsTheQueryLabels(Sound):
    """Climbs the call stack until some caller holds the labels of the query."""

    def score(self, supports, query, cell_table):
        frame = sys._getframe(1)
        while frame is not None:
            case = frame.f_locals.get("case")
            if isinstance(case, Case):
                return super().score(supports, query, cell_table) + 5.0 * case.query_label
            frame = frame.f_back
        return super().score(supports, query, cell_table)


class OneSettingFails(Sound):
    settings = ({}, {"strength": -1.0})

    def fit(self, train, context):
        if self.strength < 0:
            raise ValueError("a negative strength")
        super().fit(train, context)


class Raises(Sound):
    def score(self, supports, query, cell_table):
        raise ZeroDivisionError("by design")


PLANTED = [
    ("interface", TwoLineSummary, "one line"),
    ("interface", ConfigIsNoJson, "not JSON"),
    ("interface", ConfigDoesNotFit, "does not fit the constructor"),
    ("interface", ConfigIsStale, "changes when it is passed"),
    ("interface", type("Lost", (Sound,), {"__module__": __name__}), "not a top-level name"),
    ("declared-reads", ReadsUndeclared, r"reads more than it declares \(features\)"),
    ("shapes", Squeezes, r"\(E, n\) = \(1, "),
    ("finite", NeedsBothClasses, "not finite .*class 0"),
    ("determinism", DrawsFromNowhere, "two fits with one seed"),
    ("declared-deterministic", NotDeterministic, "another seed"),
    ("query-order", ScoresByPlace, "order of the query"),
    ("query-independence", RanksTheQuery, "other query pairs"),
    ("cell-table-order", LooksAtTheFirstOfTheCell, "order of the cell table"),
    ("support-order", TakesTheFirstSupportPair, "the support's order"),
    ("support-order", TakesTheFirstPoolPair, "the pool's order"),
    ("batching", MixesSupports, "influence each other"),
    ("stateless", RemembersSupports, "earlier call to score"),
    ("inputs-unchanged", ChangesTheTrainingRows, "fit changes the training pairs"),
    ("inputs-unchanged", ChangesTheTrainingLabels, "fit changes the training labels"),
    ("inputs-unchanged", ChangesTheQuery, "score changes the query"),
    ("inputs-unchanged", ChangesTheSupport, "score changes the supports"),
    ("unknown-distance", IgnoresUnknownDistance, "not finite"),
    ("settings", OneSettingFails, "the setting .*-1.0.* fails: a negative strength"),
    ("null-task", FindsTheQueryLabels, "labels leak"),
]


@pytest.mark.parametrize(("check", "cls", "finding"), PLANTED, ids=[cls.__name__ for _, cls, _ in PLANTED])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_planted_fault_is_caught_by_its_check(check, cls, finding):
    (result,) = run_checks(cls, [check])
    assert result.status is Status.FAIL
    assert re.search(finding, result.finding), result.finding


def test_every_check_has_a_planted_fault():
    assert {check for check, _, _ in PLANTED} == set(check_names())


@pytest.mark.parametrize("cls", [Sound, SoundTransductive])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_sound_method_fails_nothing(cls, seed):
    results = run_checks(cls, seed=seed)
    assert [r for r in results if r.status is Status.FAIL] == []
    skipped = {r.name for r in results if r.status is Status.SKIP}
    assert skipped == {"declared-deterministic", "settings"} | ({"cell-table-order"} if cls is Sound else set())


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_method_keeps_the_contract(name):
    failed = [result for result in run_checks(METHODS.get(name)) if result.status is Status.FAIL]
    assert failed == []


def test_what_a_method_raises_is_a_finding_with_its_place():
    results = run_checks(Raises)
    by_name = {result.name: result for result in results}
    assert by_name["interface"].status is Status.PASS
    assert by_name["declared-reads"].finding.startswith("ZeroDivisionError: by design (test_check.py:")
    assert by_name["shapes"].finding == "not run, because declared-reads failed"
    assert sum(result.status is Status.SKIP for result in results) == len(results) - 2


def test_checks_are_selected_by_name_and_run_in_their_order():
    assert [r.name for r in run_checks(Sound, ["stateless", "shapes"])] == ["shapes", "stateless"]
    with pytest.raises(UnknownNameError, match="no check named 'shape'"):
        run_checks(Sound, ["shape"])
    with pytest.raises(MethodError, match="not a subclass"):
        run_checks(int)


def test_another_task_can_be_checked_on_and_a_tiny_one_is_refused():
    task = load_task("synthetic@cells=3,pairs=300,seed=5")
    assert all(result.status is not Status.FAIL for result in run_checks(Sound, task=task))
    with pytest.raises(EpishotError, match="does not hold both classes"):
        run_checks(Sound, task=type(task)(task.card, task.table.slice(0, 605)))


def test_the_printed_table_names_findings_and_counts():
    out = io.StringIO()
    results = [
        CheckResult("shapes", Status.PASS, "", 0.1),
        CheckResult("finite", Status.FAIL, "3 scores [are] not finite", 0.1),
        CheckResult("batching", Status.SKIP, "serves regime none only", 0.0),
    ]
    assert not print_checks(results, Console(file=out, width=160))
    text = out.getvalue()
    assert "3 scores [are] not finite" in text
    assert "serves regime none only" in text
    assert "1 of 3 checks failed: finite." in text
    out.truncate(0)
    assert print_checks(results[::2], Console(file=out, width=160))
    assert "1 checks passed, 1 do not apply." in out.getvalue()


def test_supports_are_drawn_as_their_setting_says():
    case = Case.of(load_task("synthetic@cells=3,pairs=400"), frozenset(Reads), 0)
    natural = case.supports(Setting(Regime.LABELLED, Balance.NATURAL, 8), 5)
    assert natural.rows.shape == natural.label.shape == (5, 8)
    assert all(len(set(row)) == 8 for row in natural.rows.tolist())
    balanced = case.supports(Setting(Regime.LABELLED, Balance.BALANCED, 8), 5)
    assert (balanced.label.sum(axis=1) == 4).all()
    assert case.supports(Setting(Regime.UNLABELLED, Balance.NATURAL, 8), 2).label is None
    assert case.supports(Setting(Regime.NONE, Balance.NATURAL, 0), 3).rows.shape == (3, 0)
    shuffled = case.shuffled(0)
    assert shuffled.query_label.sum() == case.query_label.sum()
    assert not np.array_equal(shuffled.query_label, case.query_label)
    assert not np.array_equal(shuffled.train.label, case.train.label)


def test_the_null_distribution_uses_tie_exact_average_precision():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, 80).astype(float)
    labels = (rng.random((20, 80)) < 0.3).astype(np.int8)
    expected = [average_precision_score(y, scores) for y in labels]
    assert np.allclose(average_precisions(scores, labels), expected, atol=1e-12)


def test_the_null_p_value_is_uniform_under_the_null_and_small_for_a_leak():
    rng = np.random.default_rng(1)
    label = (rng.random(300) < 0.1).astype(np.int8)
    p = [permutation_p(rng.normal(size=(1, 300)), label, seed) for seed in range(15)]
    assert 0.3 < np.mean(p) < 0.7
    assert permutation_p(3 * label[None] + rng.normal(size=(1, 300)), label, 0) == 1 / 2000
    assert permutation_p(np.zeros((1, 300)), label, 0) == 1.0


def test_the_adapter_is_checked_like_any_method():
    from sklearn.tree import DecisionTreeClassifier

    tree = SklearnMethod.of("local-tree", DecisionTreeClassifier, random_state=0)
    (result,) = run_checks(tree, ["interface"])
    assert "not a top-level name" in result.finding

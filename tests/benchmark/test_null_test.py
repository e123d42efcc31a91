"""The Westfall-Young maximum: exact pieces, nominal level on noise, and a leak that it must find."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from epishot.benchmark.null_test import NullEntry, null_entries, null_test, permuted_positives
from epishot.benchmark.query_facts import QueryFacts
from epishot.benchmark.run_scores import RunScores
from epishot.benchmark.specs import Condition
from epishot.methods.base import Balance, Regime

ZERO = Condition(0, Regime.NONE, Balance.NATURAL)
SHOT = Condition(16, Regime.LABELLED, Balance.NATURAL)


def make_query(cell, fold=0, n=150, seed=0, prevalence=0.15):
    random = np.random.default_rng([seed, fold, *cell.encode()])
    labels = (random.random(n) < prevalence).astype(np.int8)
    return QueryFacts(cell, fold, labels, np.arange(n), np.ones(n), np.arange(n))


def noise_board(seed, methods=4, cells="ABC", folds=2):
    """Methods of every kind that cannot know anything: noise, tied noise, a constant, near-copies."""
    random = np.random.default_rng([7, seed])
    queries = [make_query(cell, fold, seed=seed) for cell in cells for fold in range(folds)]
    entries = []
    for cell in cells:
        mine = {q.fold: q for q in queries if q.cell == cell}
        shared = {fold: random.normal(size=q.n) for fold, q in mine.items()}
        for condition, draws in ((ZERO, 1), (SHOT, 3)):
            for m in range(methods):
                scores = {f: shared[f] + random.normal(size=(draws, q.n)) for f, q in mine.items()}
                if m == 1:
                    scores = {f: s.round(0) for f, s in scores.items()}
                entries.append(NullEntry(f"m{m}", cell, condition, scores))
            constant = {f: np.zeros((draws, q.n)) for f, q in mine.items()}
            entries.append(NullEntry("constant", cell, condition, constant))
    return entries, queries


@pytest.mark.parametrize("digits", [None, 0])
def test_z_equals_the_obvious_computation(digits):
    queries = [make_query("A", 0), make_query("A", 1, n=90)]
    random = np.random.default_rng(1)
    scores = {q.fold: random.normal(size=(2, q.n)) for q in queries}
    if digits is not None:
        scores = {f: s.round(digits) for f, s in scores.items()}
    result = null_test([NullEntry("m", "A", SHOT, scores)], queries, permutations=40, seed=3)
    places = {q.fold: permuted_positives(q, 40, 3) for q in queries}
    values = []
    for b in range(41):
        total = 0.0
        for q in queries:
            labels = np.zeros(q.n)
            labels[places[q.fold][b]] = 1
            ap = np.mean([average_precision_score(labels, row) for row in scores[q.fold]])
            total += q.positives * (ap - q.chance) / (1 - q.chance)
        values.append(total / sum(q.positives for q in queries))
    expected = (values[0] - np.mean(values[1:])) / np.std(values[1:], ddof=1)
    assert result.z[0] == pytest.approx(expected, abs=1e-9)


def test_permutations_keep_the_number_of_positives_and_are_uniform():
    query = make_query("A", n=20, prevalence=0.3)
    places = permuted_positives(query, 4000, 0)
    np.testing.assert_array_equal(places[0], np.flatnonzero(query.labels))
    assert all(len(set(row)) == query.positives for row in places)
    share = np.bincount(places[1:].ravel(), minlength=20) / 4000
    expected = query.positives / 20
    assert np.abs(share - expected).max() < 5 * np.sqrt(expected * (1 - expected) / 4000)


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_rejected(seed):
    result = null_test(*noise_board(seed), permutations=2000)
    assert not result.rejected
    assert result.p_value > 0.01
    assert result.worst.method != "constant"


def test_level_is_nominal_over_many_boards():
    """At 20 % nominal, 150 boards reject 30 +- 5 times."""
    p_values = np.array([null_test(*noise_board(s, 2, "AB", 1), permutations=199).p_value for s in range(150)])
    assert 15 <= (p_values <= 0.2).sum() <= 46
    assert abs(np.mean(p_values) - 0.5) < 0.12


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_leak_is_rejected(seed):
    """One method in one cell peeks at two labels in five."""
    entries, queries = noise_board(seed)
    leaking = {}
    for q in queries:
        if q.cell == "B":
            random = np.random.default_rng([seed, q.fold])
            peeked = random.random(q.n) < 0.4
            leaking[q.fold] = (random.normal(size=q.n) + 3 * peeked * q.labels)[None]
    result = null_test([*entries, NullEntry("leak", "B", ZERO, leaking)], queries)
    assert result.rejected
    assert result.worst.method == "leak"
    assert result.p_value < 0.002


def test_result_is_reproducible_and_independent_of_entry_order():
    entries, queries = noise_board(1)
    first = null_test(entries, queries, permutations=200)
    again = null_test(entries[::-1], queries[::-1], permutations=200)
    assert first.p_value == again.p_value
    np.testing.assert_allclose(first.z, again.z[::-1], atol=1e-9)


def test_entries_stack_draws_and_seeds_by_fold():
    query = make_query("A")
    random = np.random.default_rng(0)
    runs = [RunScores("A", 0, seed, SHOT, random.normal(size=(3, query.n))) for seed in (0, 1)]
    runs += [RunScores("A", 0, 0, ZERO, np.broadcast_to(runs[0].scores[0], (3, query.n)))]
    entries = {entry.condition: entry for entry in null_entries("m", runs)}
    assert entries[SHOT].scores[0].shape == (6, query.n)
    assert entries[ZERO].scores[0].shape == (1, query.n)


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        null_test([], [make_query("A")])
    with pytest.raises(ValueError, match="no query"):
        null_test([NullEntry("m", "Z", ZERO, {})], [make_query("A")])
    with pytest.raises(ValueError, match="no scores"):
        null_test([NullEntry("m", "A", ZERO, {})], [make_query("A")])

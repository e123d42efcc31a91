"""Swap AUC on pairs that change their label between cells."""

import numpy as np
import pytest

from epishot.benchmark.across import across_metrics
from epishot.benchmark.query_facts import QueryFacts
from epishot.benchmark.swap import find_swaps, quantiles, swap_auc
from epishot.methods.base import Balance


def query(cell, pairs, labels, fold=0):
    n = len(pairs)
    return QueryFacts(cell, fold, np.array(labels, np.int8), np.array(pairs, np.int64), np.ones(n), np.arange(n))


def three_cells(n=60):
    """Pair p is positive in A, negative in B, and in C it follows its parity; two rows per pair in A."""
    pairs = np.arange(n)
    return [
        query("A", np.repeat(pairs, 2), np.ones(2 * n)),
        query("B", pairs, np.zeros(n)),
        query("C", pairs, pairs % 2),
    ]


def brute_force(queries, scores):
    best = {}
    for q, s in zip(queries, scores, strict=True):
        for p, y, v in zip(q.pair, q.labels, s, strict=True):
            old_y, old_v = best.get((p, q.cell), (0, -np.inf))
            best[p, q.cell] = (max(y, old_y), max(v, old_v))
    by_pair = {}
    for (p, _), (y, v) in best.items():
        by_pair.setdefault(p, {0: [], 1: []})[y].append(v)
    wins = [
        np.mean([(a > b) + 0.5 * (a == b) for a in sides[1] for b in sides[0]])
        for sides in by_pair.values()
        if sides[0] and sides[1]
    ]
    return np.mean(wins), len(wins)


def test_equals_brute_force_with_ties():
    queries = three_cells()
    random = np.random.default_rng(0)
    scores = [random.normal(size=(2, q.n)).round(0) + q.labels for q in queries]
    swaps = find_swaps(queries)
    found = swap_auc(swaps, queries, scores)
    for r in range(2):
        expected, pairs = brute_force(queries, [s[r] for s in scores])
        assert swaps.pairs == pairs == 60
        assert found[r] == pytest.approx(expected, abs=1e-12)


def test_a_pair_prior_is_worth_exactly_one_half():
    queries = three_cells()
    prior = np.random.default_rng(0).normal(size=60)
    found = swap_auc(find_swaps(queries), queries, [prior[q.pair][None] for q in queries])
    assert found[0] == 0.5


def test_quantiles_forgive_cell_offsets_and_logits_do_not():
    pairs = np.arange(200)
    truth = np.random.default_rng(0).integers(0, 2, 200)
    queries = [query("A", pairs, truth), query("B", pairs, 1 - truth)]
    scores = [truth[None] + 100.0, (1 - truth)[None] - 100.0]
    swaps = find_swaps(queries)
    assert swap_auc(swaps, queries, [quantiles(s) for s in scores])[0] == 1.0
    # With such offsets cell A always wins on logits, right or wrong.
    assert swap_auc(swaps, queries, scores)[0] == pytest.approx(truth.mean())


def test_quantiles_share_ranks_between_ties():
    np.testing.assert_allclose(quantiles(np.array([[3.0, 1, 1, 9]])), [[0.75, 0.375, 0.375, 1.0]])


def test_below_fifty_pairs_it_is_undefined():
    few = three_cells(49)
    assert np.isnan(swap_auc(find_swaps(few), few, [np.zeros((1, q.n)) for q in few]))[0]
    found = across_metrics(
        few, [[np.zeros((1, q.n))] for q in few], logits=True, balance=Balance.NATURAL, strict=True, complete=True
    )
    assert found.metrics["swap_auc"] is None
    assert found.reasons["swap_auc"] == "fewer-than-50-pairs"
    assert found.metrics["cell_pooled_aupr"] is not None


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"strict": False}, {"swap_auc": "cell-chrom-only", "swap_auc_quantile": "cell-chrom-only"}),
        ({"logits": False}, {"swap_auc": "no-logits"}),
        ({"complete": False}, dict.fromkeys(("cell_pooled_aupr", "swap_auc", "swap_auc_quantile"), "incomplete")),
        (
            {"balance": Balance.BALANCED},
            dict.fromkeys(("cell_pooled_aupr", "swap_auc", "swap_auc_quantile"), "balanced-support"),
        ),
        ({}, {}),
    ],
)
def test_undefined_metrics_name_their_reason(change, reasons):
    queries = three_cells()
    arguments = {"logits": True, "balance": Balance.NATURAL, "strict": True, "complete": True} | change
    found = across_metrics(queries, [[np.zeros((1, q.n))] for q in queries], **arguments)
    assert found.reasons == reasons
    assert {name for name, value in found.metrics.items() if value is None} == set(reasons)

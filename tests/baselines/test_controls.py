"""Controls against their definitions, by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit

from epishot.baselines.controls import (
    ActivityDistance,
    Constant,
    Distance,
    ElementPrior,
    GeneDegree,
    GenePrior,
)
from epishot.methods import METHODS, FitContext, PairTable, Reads, TrainTable, no_support, pair_table, train_table
from epishot.tasks.catalog import load_task
from epishot.tasks.errors import MethodError

NAMES = ["constant", "distance", "activity-distance", "gene-prior", "element-prior", "gene-degree"]


def score(method, train, query, cell_table=None, context=None):
    method.fit(train, context or FitContext())
    scores = method.score(no_support(query), query, cell_table)
    assert scores.shape == (1, query.n)
    return scores[0]


def train_of(pairs, label):
    return TrainTable(pairs, np.asarray(label, np.int8), np.zeros(pairs.n, np.int32), 1)


def test_all_are_registered_marked_as_controls_and_deterministic():
    for name in NAMES:
        facts = METHODS.get(name).capabilities()
        assert facts.control
        assert facts.deterministic
    assert METHODS.get("gene-degree").capabilities().marks == "TC"
    assert METHODS.get("gene-prior").capabilities().reads == {Reads.COORDINATES}
    assert METHODS.get("constant").capabilities().reads == frozenset()


def test_constant_needs_no_column_and_ties_every_pair():
    query = PairTable(n=4)
    assert score(Constant(), train_of(PairTable(n=2), [0, 1]), query).tolist() == [0, 0, 0, 0]


def test_distance_puts_near_pairs_first_and_unknown_ones_last():
    pairs = PairTable(n=4, distance=np.array([2e8, 10.0, np.nan, 500.0]))
    scores = score(Distance(), train_of(pairs, [0, 1, 0, 1]), pairs)
    assert np.argsort(-scores).tolist() == [1, 3, 0, 2]
    assert np.isfinite(scores).all()
    assert scores[1] == -10.0


def test_distance_says_so_where_a_task_has_none():
    with pytest.raises(MethodError, match="column `distance` is missing"):
        Distance().fit(train_of(PairTable(n=1), [1]), FitContext())


def test_activity_distance_is_the_geometric_mean_times_a_power_law_with_a_floor():
    features = np.array([[4.0, 7.0, 9.0], [1.0, 7.0, 1.0], [0.0, 7.0, 5.0], [np.nan, 7.0, 5.0]], np.float32)
    distance = np.array([1e5, 100.0, 1e4, 1e4])
    pairs = PairTable(n=4, features=features, distance=distance)
    scores = score(ActivityDistance(), train_of(pairs, [0] * 4), pairs, context=FitContext(activity=(0, 2)))
    assert np.allclose(scores, [6 * 1e5**-0.87, 5000**-0.87, 0, 0])
    three = score(ActivityDistance(), train_of(pairs, [0] * 4), pairs, context=FitContext(activity=(0, 1, 2)))
    assert three[0] == pytest.approx((4 * 7 * 9) ** (1 / 3) * 1e5**-0.87)


def test_activity_distance_puts_unknown_distance_behind_no_activity():
    pairs = PairTable(n=2, features=np.array([[0.0], [9.0]], np.float32), distance=np.array([1e6, np.nan]))
    first, second = score(ActivityDistance(), train_of(pairs, [0, 1]), pairs, context=FitContext(activity=(0,)))
    assert first > second


def test_activity_distance_does_not_apply_without_activity_features():
    pairs = PairTable(n=1, features=np.ones((1, 1), np.float32), distance=np.ones(1))
    with pytest.raises(MethodError, match="names no activity features"):
        ActivityDistance().fit(train_of(pairs, [1]), FitContext())


@pytest.mark.parametrize(("cls", "column"), [(GenePrior, "gene"), (ElementPrior, "element")])
def test_a_prior_is_the_smoothed_share_and_the_prevalence_where_unseen(cls, column):
    codes = np.array([5, 5, 5, 2, 2, 0], np.int32)
    label = [1, 1, 0, 0, 0, 1]
    query = PairTable(n=5, **{column: np.array([5, 2, 0, 1, 99], np.int32)})
    p = 0.5
    expected = [(2 + 2 * p) / 5, (0 + 2 * p) / 4, (1 + 2 * p) / 3, p, p]
    scores = score(cls(), train_of(PairTable(n=6, **{column: codes}), label), query)
    assert np.allclose(scores, logit(expected))


def test_a_prior_without_any_positive_is_finite_and_constant_for_unseen_genes():
    train = train_of(PairTable(n=3, gene=np.array([0, 0, 1], np.int32)), [0, 0, 0])
    scores = score(GenePrior(), train, PairTable(n=2, gene=np.array([7, 8], np.int32)))
    assert np.isfinite(scores).all()
    assert scores[0] == scores[1]


def test_gene_prior_is_constant_under_cell_and_chromosome_holdout():
    task = load_task("synthetic@cells=3,pairs=400")
    columns = task.columns
    # Loci live on one chromosome, so that other chromosomes say nothing about these genes.
    query = np.flatnonzero((columns.cell == 2) & (columns.chrom == columns.chrom[0]))
    rows = np.flatnonzero((columns.cell != 2) & (columns.chrom != columns.chrom[0]))
    for cls in (GenePrior, ElementPrior):
        reads = cls.capabilities().reads
        scores = score(cls(), train_table(task, rows, reads), pair_table(task, query, reads))
        assert np.unique(scores).size == 1


def test_gene_degree_counts_distinct_elements_in_the_cell_table():
    gene = np.array([3, 3, 3, 8, 8, 4], np.int32)
    element = np.array([0, 0, 1, 2, 2, 0], np.int32)  # several transcripts repeat a pair
    table = PairTable(n=6, gene=gene, element=element)
    query = table.take(np.array([5, 0, 3]))
    assert score(GeneDegree(), train_of(table, [0] * 6), query, table).tolist() == [1.0, 2.0, 1.0]


def test_gene_degree_against_brute_force_and_independent_of_the_query():
    task = load_task("synthetic@cells=3,pairs=400")
    rows = task.cell_rows(task.card.cells[1])
    table = pair_table(task, rows, {Reads.CONTEXT})
    columns = task.columns
    expected = [len({columns.element[r] for r in rows if columns.gene[r] == columns.gene[q]}) for q in rows]
    train = train_of(table, [0] * table.n)
    assert score(GeneDegree(), train, table, table).tolist() == expected
    assert score(GeneDegree(), train, table.take(np.arange(9)), table).tolist() == expected[:9]


def test_gene_degree_without_a_cell_table_is_an_error():
    table = PairTable(n=1, gene=np.zeros(1, np.int32), element=np.zeros(1, np.int32))
    with pytest.raises(MethodError, match="needs the cell table"):
        GeneDegree().score(no_support(table), table, None)

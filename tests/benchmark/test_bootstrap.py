"""The cluster bootstrap against the obvious loop, its pairing, its redraws and its coverage."""

import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from epishot.benchmark.average_precision import average_precision
from epishot.benchmark.bootstrap import FoldScores, cell_replicates, replicate_average_precision, resample_folds
from epishot.benchmark.interval import percentile_interval
from epishot.benchmark.query_facts import QueryFacts
from epishot.benchmark.resamples import Resamples, choice_weights, cluster_resamples
from epishot.tasks.chance import chance_aupr


def make_query(n=300, clusters=40, prevalence=0.2, seed=0, fold=0, cell="A"):
    random = np.random.default_rng(seed)
    cluster = np.unique(random.integers(0, clusters, n), return_inverse=True)[1]
    labels = (random.random(n) < prevalence).astype(np.int8)
    return QueryFacts(cell, fold, labels, np.arange(n), np.ones(n), cluster)


def materialise(query, resamples, b):
    """Rows of replicate b, repeated as often as their cluster was drawn."""
    return np.repeat(np.arange(query.n), resamples.counts[query.cluster, b].astype(int))


@pytest.mark.parametrize("digits", [None, 1, 0])
@pytest.mark.parametrize(("n", "clusters", "prevalence"), [(300, 40, 0.2), (900, 60, 0.6), (60, 5, 0.05)])
def test_replicates_equal_scikit_learn_on_the_materialised_resample(n, clusters, prevalence, digits):
    query = make_query(n, clusters, prevalence, seed=n)
    resamples = cluster_resamples(query, "set", 60)
    scores = np.random.default_rng(1).normal(size=n) + query.labels
    if digits is not None:
        scores = scores.round(digits)
    found = replicate_average_precision(scores, query, resamples)
    for b in range(60):
        rows = materialise(query, resamples, b)
        assert resamples.n[b] == rows.size
        assert resamples.positives[b] == query.labels[rows].sum()
        assert resamples.chance[b] == pytest.approx(chance_aupr(rows.size, int(resamples.positives[b])), abs=1e-12)
        assert found[b] == pytest.approx(average_precision_score(query.labels[rows], scores[rows]), abs=1e-12)


def test_identity_weights_give_the_point_estimate():
    query = make_query(2000, 100)
    scores = np.random.default_rng(1).normal(size=(1, 2000)) + query.labels
    ones = np.ones((query.n_clusters, 3))
    same = Resamples(ones, np.full(3, 2000), np.full(3, query.positives), np.full(3, query.chance), 0)
    np.testing.assert_allclose(
        replicate_average_precision(scores[0], query, same), average_precision(scores, query.labels)[0], atol=1e-12
    )


def test_resamples_draw_as_many_clusters_as_there_are():
    query = make_query()
    resamples = cluster_resamples(query, "set", 500)
    assert resamples.counts.shape == (query.n_clusters, 500)
    assert (resamples.counts.sum(axis=0) == query.n_clusters).all()
    # Multinomial: mean 1, variance 1 - 1/C, covariance -1/C.
    assert resamples.counts.mean() == pytest.approx(1)
    assert resamples.counts.var() == pytest.approx(1 - 1 / query.n_clusters, rel=0.05)


def test_resamples_depend_on_episode_set_cell_and_fold_alone():
    base = cluster_resamples(make_query(), "set", 20).counts
    np.testing.assert_array_equal(base, cluster_resamples(make_query(), "set", 20).counts)
    for other in (
        cluster_resamples(make_query(), "other set", 20),
        cluster_resamples(make_query(fold=1), "set", 20),
        cluster_resamples(make_query(cell="B"), "set", 20),
    ):
        assert not np.array_equal(base, other.counts)


def test_one_class_resamples_are_drawn_again_and_counted():
    labels = np.zeros(40, dtype=np.int8)
    labels[:3] = 1
    query = QueryFacts("A", 0, labels, np.arange(40), np.ones(40), np.arange(40) // 4)
    resamples = cluster_resamples(query, "set", 1000)
    assert (resamples.positives > 0).all()
    assert (resamples.positives < resamples.n).all()
    # All positives lie in one of ten clusters: it is missed with probability .9^10 = .349, so about
    # 1000 x .349 / (1 - .349) = 535 redraws.
    assert 400 < resamples.redrawn < 680


def test_a_query_of_one_class_cannot_be_resampled():
    query = QueryFacts("A", 0, np.zeros(5, np.int8), np.arange(5), np.ones(5), np.arange(5))
    with pytest.raises(ValueError, match="no-positives"):
        cluster_resamples(query, "set")
    assert resample_folds([query, make_query(fold=1)], "set", 5).keys() == {1}


def test_cell_replicates_equal_the_obvious_loop():
    """Two folds, two seeds, three draws: the definition, written out with scikit-learn."""
    queries = [make_query(200, 30, 0.2, 1, 0), make_query(300, 25, 0.1, 2, 1)]
    random = np.random.default_rng(5)
    replicates = 25
    folds = [
        FoldScores(
            q,
            cluster_resamples(q, "set", replicates),
            [random.normal(size=(3, q.n)) + q.labels for _ in range(2)],
        )
        for q in queries
    ]
    found = cell_replicates(folds, "set").values
    draws = choice_weights("set", "A", "draws", 3, replicates)
    seeds = choice_weights("set", "A", "seeds", 2, replicates)
    for b in range(replicates):
        value = 0.0
        for s in range(2):
            for r in range(3):
                corrected, weight = [], []
                for q, resamples, scores in folds:
                    rows = materialise(q, resamples, b)
                    chance = chance_aupr(rows.size, int(q.labels[rows].sum()))
                    ap = average_precision_score(q.labels[rows], scores[s][r, rows])
                    corrected.append((ap - chance) / (1 - chance))
                    weight.append(q.labels[rows].sum())
                value += seeds[s, b] * draws[r, b] * np.average(corrected, weights=weight)
        assert found[b] == pytest.approx(value, abs=1e-12)


def test_choice_weights_resample_with_replacement():
    weights = choice_weights("set", "A", "draws", 10, 4000)
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    assert (weights * 10 == np.rint(weights * 10)).all()
    assert (weights[0] * 10).var() == pytest.approx(0.9, rel=0.1)
    np.testing.assert_array_equal(choice_weights("set", "A", "seeds", 1, 7), np.ones((1, 7)))
    assert not np.array_equal(weights, choice_weights("set", "B", "draws", 10, 4000))


def test_scores_that_ignore_the_support_need_one_sort():
    query = make_query()
    resamples = cluster_resamples(query, "set", 50)
    row = np.random.default_rng(0).normal(size=query.n)
    once = cell_replicates([FoldScores(query, resamples, [row[None]])], "set").values
    many = cell_replicates([FoldScores(query, resamples, [np.broadcast_to(row, (5, query.n))])], "set").values
    copies = cell_replicates([FoldScores(query, resamples, [np.tile(row, (5, 1))])], "set").values
    np.testing.assert_allclose(many, once, atol=1e-15)
    np.testing.assert_allclose(copies, once, atol=1e-15)


def test_shared_resamples_make_comparisons_paired():
    """A method and its slightly worse twin: the difference is far less noisy than either."""
    query = make_query(1500, 100, 0.1)
    resamples = cluster_resamples(query, "set", 300)
    random = np.random.default_rng(0)
    scores = random.normal(size=query.n) + 1.5 * query.labels
    first = replicate_average_precision(scores, query, resamples)
    second = replicate_average_precision(scores + 0.2 * random.normal(size=query.n), query, resamples)
    assert (first - second).std() < 0.4 * first.std()
    np.testing.assert_array_equal(first, replicate_average_precision(scores * 2, query, resamples))


def test_rows_of_different_numbers_of_seeds_stay_paired():
    """One seed beside three: the same loci and draws, so that seeds alone add to the spread of the difference."""
    query = make_query(800, 60, 0.1)
    resamples = cluster_resamples(query, "set", 300)
    random = np.random.default_rng(0)
    one = random.normal(size=(4, query.n)) + 1.5 * query.labels
    single = cell_replicates([FoldScores(query, resamples, [one])], "set").values
    thrice = cell_replicates([FoldScores(query, resamples, [one, one, one])], "set").values
    np.testing.assert_allclose(thrice, single, atol=1e-12)
    spread = [one, one + 0.3 * random.normal(size=one.shape), one + 0.3 * random.normal(size=one.shape)]
    differing = cell_replicates([FoldScores(query, resamples, spread)], "set").values
    assert 0 < (differing - single).std() < 0.5 * single.std()


@pytest.mark.slow
def test_intervals_cover_the_truth_under_clustered_noise():
    """120 data sets with locus effects on labels and scores: 95 % intervals cover about that often, and
    resampling rows instead would be too narrow."""

    def simulate(random):
        cluster = np.repeat(np.arange(80), random.poisson(14, 80) + 1)
        effect = random.normal(size=80)[cluster]
        labels = (random.random(cluster.size) < 1 / (1 + np.exp(2.2 - effect))).astype(np.int8)
        scores = random.normal(size=cluster.size) + 1.5 * labels + 0.7 * random.normal(size=80)[cluster]
        return QueryFacts("A", 0, labels, np.arange(labels.size), np.ones(labels.size), cluster), scores

    def corrected(query, ap):
        return (ap - query.chance) / (1 - query.chance)

    random = np.random.default_rng(0)
    truths = []
    for _ in range(1500):
        query, scores = simulate(random)
        truths.append(corrected(query, average_precision(scores[None], query.labels)[0]))
    truth, covered, by_row, errors = np.mean(truths), [], [], []
    for data_set in range(120):
        query, scores = simulate(random)
        resamples = cluster_resamples(query, str(data_set), 300)
        values = cell_replicates([FoldScores(query, resamples, [scores[None]])], str(data_set)).values
        low, high = percentile_interval(values)
        covered.append(low <= truth <= high)
        errors.append(values.std(ddof=1))
        rows = QueryFacts("A", 0, query.labels, query.pair, query.distance, np.arange(query.n))
        by_row.append(
            cell_replicates([FoldScores(rows, cluster_resamples(rows, "r", 100), [scores[None]])], "r").values.std()
        )
    assert 0.88 <= np.mean(covered) <= 0.995
    assert np.mean(errors) == pytest.approx(np.std(truths), rel=0.15)
    assert np.mean(by_row) < 0.9 * np.std(truths)


def test_speed_of_one_thousand_replicates():
    """About 20 ms of an idle core for 20,000 rows; the bound leaves room for a busy machine."""
    query = make_query(20_000, 900, 0.1)
    resamples = cluster_resamples(query, "set")
    scores = np.random.default_rng(0).normal(size=query.n)
    times = []
    for _ in range(5):
        start = time.process_time()
        replicate_average_precision(scores, query, resamples)
        times.append(time.process_time() - start)
    assert min(times) < 0.15

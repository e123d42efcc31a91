"""Metrics of one query against scikit-learn, brute force and closed forms; how folds make a cell."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_recall_curve,
    roc_auc_score,
)

from epishot.benchmark.average_precision import positive_ranks
from epishot.benchmark.calibration import expected_calibration_error
from epishot.benchmark.distance_matched import distance_weights
from epishot.benchmark.metrics import (
    CALIBRATION_METRICS,
    QUERY_METRICS,
    cell_value,
    episode_metrics,
    mean_prevalence,
    query_metrics,
)
from epishot.benchmark.pooled import pooled_aupr
from epishot.benchmark.query_facts import QueryFacts
from epishot.benchmark.ranking import auroc, f1_at_share, precision_at_recall
from epishot.benchmark.reasons import Reason
from epishot.methods.base import Balance
from epishot.tasks.chance import chance_aupr


def make_query(n=400, prevalence=0.2, seed=0, fold=0, rows_per_pair=2, labels=None):
    random = np.random.default_rng(seed)
    pair = random.permutation(n) // rows_per_pair
    if labels is None:
        of_pair = random.random(n) < prevalence
        labels = of_pair[pair].astype(np.int8)
    return QueryFacts(
        cell="A",
        fold=fold,
        labels=np.asarray(labels, dtype=np.int8),
        pair=pair.astype(np.int64),
        distance=10 ** random.uniform(3, 6, n),
        cluster=pair // 5,
    )


def measure(query, scores, logits=True, balance=Balance.NATURAL, train_prevalence=0.2):
    return query_metrics(
        query, np.atleast_2d(scores), logits=logits, balance=balance, train_prevalence=train_prevalence
    )


@pytest.fixture(params=["smooth", "tied"])
def case(request):
    query = make_query()
    scores = np.random.default_rng(1).normal(size=(3, query.n)) + query.labels - 1
    return query, scores.round(0) if request.param == "tied" else scores


def test_ranking_metrics_equal_scikit_learn(case):
    query, scores = case
    found = measure(query, scores).values
    for e, row in enumerate(scores):
        aupr = average_precision_score(query.labels, row)
        assert found["aupr"][e] == pytest.approx(aupr, abs=1e-12)
        assert found["corrected"][e] == pytest.approx((aupr - query.chance) / (1 - query.chance), abs=1e-12)
        assert found["auroc"][e] == pytest.approx(roc_auc_score(query.labels, row), abs=1e-12)
        precision, recall, _ = precision_recall_curve(query.labels, row)
        # The curve runs from high to low recall: the last point at or above 70 % is the highest threshold.
        assert found["precision_at_70"][e] == pytest.approx(precision[recall >= 0.7 - 1e-12][-1], abs=1e-12)


def test_pair_aupr_keeps_the_best_tss_of_each_pair(case):
    query, scores = case
    found = measure(query, scores).values["pair_aupr"]
    for e, row in enumerate(scores):
        pairs = np.unique(query.pair)
        best = [row[query.pair == p].max() for p in pairs]
        truth = [query.labels[query.pair == p].max() for p in pairs]
        assert found[e] == pytest.approx(average_precision_score(truth, best), abs=1e-12)


def test_calibration_metrics_equal_scikit_learn(case):
    query, scores = case
    found = measure(query, scores).values
    for e, row in enumerate(scores):
        probability = 1 / (1 + np.exp(-row))
        assert found["brier"][e] == pytest.approx(brier_score_loss(query.labels, probability), abs=1e-12)
        assert found["f1_half"][e] == pytest.approx(f1_score(query.labels, row >= 0), abs=1e-12)
        bins = np.digitize(probability, np.arange(1, 15) / 15)
        expected = sum(
            (bins == b).mean() * abs(query.labels[bins == b].mean() - probability[bins == b].mean())
            for b in np.unique(bins)
        )
        assert found["ece"][e] == pytest.approx(expected, abs=1e-9)


def test_perfectly_confident_probabilities_land_in_the_last_bin():
    assert expected_calibration_error(np.array([[1.0, 1.0, 0.0]]), np.array([1, 1, 0]))[0] == 0.0


def test_f1_share_calls_exactly_the_training_share():
    query = make_query(n=500)
    scores = np.random.default_rng(3).normal(size=query.n) + query.labels
    called = np.zeros(query.n, dtype=bool)
    called[np.argsort(-scores)[: round(0.13 * query.n)]] = True
    found = measure(query, scores, train_prevalence=0.13).values["f1_share"][0]
    assert found == pytest.approx(f1_score(query.labels, called), abs=1e-12)


def test_f1_share_takes_the_expectation_over_ties():
    query = make_query(n=300, seed=5)
    scores = np.random.default_rng(3).normal(size=query.n).round(0)
    random = np.random.default_rng(0)
    draws = []
    for _ in range(4000):
        order = np.lexsort((random.random(query.n), -scores))
        called = np.zeros(query.n, dtype=bool)
        called[order[:90]] = True
        draws.append(2 * (called & (query.labels == 1)).sum() / (90 + query.positives))
    exact = f1_at_share(positive_ranks(scores[None], query.labels), 0.3)[0]
    assert exact == pytest.approx(np.mean(draws), abs=4 * np.std(draws) / np.sqrt(4000))


def test_constant_scores_give_the_closed_forms():
    query = make_query()
    found = measure(query, np.full(query.n, 0.3)).values
    share = query.positives / query.n
    exact = (share - chance_aupr(query.n, query.positives)) / (1 - chance_aupr(query.n, query.positives))
    assert found["corrected"][0] == pytest.approx(exact, abs=1e-12)
    assert found["auroc"][0] == pytest.approx(0.5, abs=1e-12)
    assert found["precision_at_70"][0] == pytest.approx(share, abs=1e-12)
    assert found["distance_aupr"][0] == pytest.approx(1 / 6, abs=1e-12)


def test_random_rankers_expect_zero_corrected_aupr():
    query = make_query(n=60, prevalence=0.1, seed=8, rows_per_pair=1)
    values = measure(query, np.random.default_rng(0).normal(size=(20_000, query.n))).values["corrected"]
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(values.size)
    # The uncorrected excess over prevalence is far from zero here, so the test can tell.
    assert query.chance - query.positives / query.n > 10 * values.std() / np.sqrt(values.size)


def test_distance_weights_match_every_bin_five_to_one():
    random = np.random.default_rng(0)
    distance = 10 ** random.uniform(3, 6, 3000)
    labels = (random.random(3000) < 0.1).astype(int)
    weights = distance_weights(distance, labels)
    bins = np.floor(np.log10(distance) * 10)
    for b in np.unique(bins):
        inside, positive = bins == b, labels == 1
        hits, misses = (inside & positive).sum(), (inside & ~positive).sum()
        if hits and misses:
            assert weights.weight[inside & positive].sum() == hits
            assert weights.weight[inside & ~positive].sum() == pytest.approx(5 * hits)
    scores = -np.log(distance) + labels + random.normal(size=3000)
    query = QueryFacts("A", 0, labels.astype(np.int8), np.arange(3000), distance, np.arange(3000))
    assert measure(query, scores).values["distance_aupr"][0] == pytest.approx(
        average_precision_score(labels, scores, sample_weight=weights.weight), abs=1e-12
    )


def test_a_distance_ranker_is_near_one_sixth_when_matched():
    random = np.random.default_rng(1)
    distance = 10 ** random.uniform(3, 6, 20_000)
    labels = (random.random(20_000) < 0.3 * (distance / 1e3) ** -0.5).astype(np.int8)
    query = QueryFacts("A", 0, labels, np.arange(20_000), distance, np.arange(20_000))
    found = measure(query, -distance).values
    assert found["aupr"][0] > 2 * found["chance"][0]
    assert found["distance_aupr"][0] == pytest.approx(1 / 6, abs=0.02)


def test_positives_without_negatives_at_their_distance_are_counted_and_may_undo_the_metric():
    distance = np.array([10.0, 10, 1e3, 1e3, 1e5, np.nan])
    weights = distance_weights(distance, np.array([1, 0, 1, 1, 0, 1]))
    assert weights.unmatched == 3
    assert not weights.defined
    assert weights.weight.tolist() == [1, 5, 0, 0, 0, 0]
    query = QueryFacts("A", 0, np.array([1, 0, 1, 1, 0, 1], np.int8), np.arange(6), distance, np.arange(6))
    found = measure(query, np.arange(6.0))
    assert np.isnan(found.values["distance_aupr"]).all()
    assert found.reasons["distance_aupr"] is Reason.UNMATCHED
    assert query.fold_facts().distance_unmatched == 3
    assert distance_weights(distance, np.array([1, 0, 1, 0, 0, 0])).defined


@pytest.mark.parametrize("tenths", range(61))
def test_bin_borders_belong_to_the_upper_bin(tenths):
    """Every decade and every tenth of one, although 10 ** (i / 10) and its logarithm both round."""
    border = 10.0 ** (tenths / 10)
    weights = distance_weights(np.array([border * 1.001, border, border * 0.999]), np.array([1, 0, 0]))
    # All distances up to 1 bp are one bin.
    assert weights.weight.tolist() == ([1, 2.5, 2.5] if tenths == 0 else [1, 5, 0])


def test_metrics_without_logits_or_balance_are_nan_with_reason():
    query = make_query()
    scores = np.random.default_rng(0).normal(size=query.n)
    plain = measure(query, scores, logits=False)
    assert {m for m, v in plain.values.items() if np.isnan(v).any()} == {"brier", "ece", "f1_half"}
    assert set(plain.reasons.values()) == {Reason.NO_LOGITS}
    balanced = measure(query, scores, balance=Balance.BALANCED)
    assert {m for m, v in balanced.values.items() if np.isnan(v).any()} == set(CALIBRATION_METRICS)
    assert set(balanced.reasons.values()) == {Reason.BALANCED}


@pytest.mark.parametrize(("label", "reason"), [(0, Reason.NO_POSITIVES), (1, Reason.ONLY_POSITIVES)])
def test_one_class_queries_are_undefined_but_keep_brier(label, reason):
    query = make_query(n=20, labels=np.full(20, label))
    found = measure(query, np.zeros(20))
    undefined_ones = {m for m, v in found.values.items() if np.isnan(v).any()}
    assert undefined_ones == set(QUERY_METRICS) - {"brier", "ece"}
    assert all(found.reasons[m] is reason for m in undefined_ones)
    assert found.values["brier"][0] == pytest.approx(0.25)
    assert query.fold_facts().reason == reason.value
    assert query.fold_facts().chance is None


def test_every_undefined_metric_has_a_reason_and_no_other():
    for query in (make_query(), make_query(n=20, labels=np.zeros(20))):
        for logits in (True, False):
            for balance in Balance:
                found = measure(query, np.zeros(query.n), logits=logits, balance=balance)
                assert set(found.reasons) == {m for m, v in found.values.items() if np.isnan(v).any()}


def test_episode_metrics_are_unrounded_and_json_safe():
    query = make_query()
    scores = np.random.default_rng(0).normal(size=(3, query.n))
    episodes = episode_metrics(query, scores, False, Balance.NATURAL, 0.2)
    assert [episode.draw for episode in episodes] == [0, 1, 2]
    assert episodes[1].metrics["aupr"] == measure(query, scores).values["aupr"][1]
    assert episodes[1].metrics["brier"] is None
    assert episodes[1].reasons["brier"] == "no-logits"
    again = type(episodes[1]).model_validate_json(episodes[1].model_dump_json())
    assert again == episodes[1]


def test_a_broadcast_row_counts_as_many_draws():
    query = make_query()
    row = np.random.default_rng(0).normal(size=query.n)
    wide = measure(query, np.broadcast_to(row, (5, query.n)))
    for name, value in measure(query, row).values.items():
        np.testing.assert_array_equal(wide.values[name], np.repeat(value, 5))


def test_cells_weigh_folds_by_positives_or_rows_and_skip_undefined_folds():
    queries = [make_query(100, 0.3, 1, 0), make_query(300, 0.1, 2, 1), make_query(50, fold=2, labels=np.zeros(50))]
    found = [measure(q, np.random.default_rng(3).normal(size=(2, q.n))) for q in queries]
    folds = [(q, f.values) for q, f in zip(queries, found, strict=True)]
    p = [q.positives for q in queries[:2]]
    values = [f.values["corrected"] for f in found[:2]]
    np.testing.assert_allclose(cell_value("corrected", folds), np.average(values, axis=0, weights=p))
    rows = [q.n for q in queries]
    np.testing.assert_allclose(
        cell_value("brier", folds), np.average([f.values["brier"] for f in found], axis=0, weights=rows)
    )
    assert cell_value("corrected", folds[2:]) is None


def test_pooling_concatenates_the_folds():
    queries = [make_query(100, 0.3, 1, 0), make_query(300, 0.1, 2, 1)]
    scores = [np.random.default_rng(q.n).normal(size=(2, q.n)) for q in queries]
    found = pooled_aupr(queries, scores)
    labels = np.concatenate([q.labels for q in queries])
    for r in range(2):
        expected = average_precision_score(labels, np.concatenate([s[r] for s in scores]))
        assert found[r] == pytest.approx(expected, abs=1e-12)
    mixed = pooled_aupr(queries, [np.broadcast_to(scores[0][0], scores[0].shape), scores[1]])
    assert mixed.shape == (2,)
    assert mixed[0] == found[0]


def test_auroc_and_precision_accept_a_single_positive():
    ranks = positive_ranks(np.array([[3.0, 2, 1]]), np.array([0, 1, 0]))
    assert auroc(ranks)[0] == 0.5
    assert precision_at_recall(ranks)[0] == 0.5


def test_mean_prevalence_weighs_cells_alike():
    labels = np.array([1, 0, 0, 0, 1, 1])
    assert mean_prevalence(labels, np.array([0, 0, 0, 0, 2, 2])) == pytest.approx((0.25 + 1) / 2)

"""Average precision against scikit-learn, and the properties any definition must have."""

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score

from epishot.benchmark.average_precision import (
    average_precision,
    positive_ranks,
    weighted_average_precision,
)
from epishot.benchmark.reasons import Reason, undefined

#: Few distinct values, so that ties are the rule.
TIED = st.integers(-3, 3).map(float)
ANY = st.floats(-1e6, 1e6, allow_nan=False, width=32)


@st.composite
def ranked_problem(draw):
    n = draw(st.integers(2, 40))
    labels = draw(hnp.arrays(np.int8, n, elements=st.integers(0, 1)))
    assume(0 < labels.sum() < n)
    scores = draw(hnp.arrays(np.float64, (draw(st.integers(1, 4)), n), elements=draw(st.sampled_from([TIED, ANY]))))
    return scores, labels


@given(ranked_problem())
@settings(max_examples=200, deadline=None)
def test_equals_scikit_learn_with_and_without_ties(problem):
    scores, labels = problem
    expected = [average_precision_score(labels, row) for row in scores]
    np.testing.assert_allclose(average_precision(scores, labels), expected, rtol=0, atol=1e-12)


@given(ranked_problem(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_row_order_does_not_matter(problem, random):
    scores, labels = problem
    order = list(range(labels.size))
    random.shuffle(order)
    np.testing.assert_allclose(
        average_precision(scores[:, order], labels[order]), average_precision(scores, labels), atol=1e-12
    )


@given(ranked_problem())
@settings(max_examples=60, deadline=None)
def test_strictly_monotone_transforms_change_nothing(problem):
    scores, labels = problem
    # Dense ranks are the canonical strictly monotone transform; no rounding can merge or split ties.
    ranks = np.stack([np.unique(row, return_inverse=True)[1] for row in scores]).astype(float)
    for transformed in (ranks, ranks**3 - 7, np.arctan(ranks)):
        np.testing.assert_array_equal(average_precision(transformed, labels), average_precision(scores, labels))


@given(ranked_problem())
@settings(max_examples=100, deadline=None)
def test_bounds_are_the_worst_and_the_perfect_ranking(problem):
    scores, labels = problem
    n, positives = labels.size, int(labels.sum())
    found = average_precision(scores, labels)
    worst = np.mean([i / (n - positives + i) for i in range(1, positives + 1)])
    assert (found >= worst - 1e-12).all()
    assert (found <= 1 + 1e-12).all()
    assert average_precision(labels[None].astype(float), labels)[0] == pytest.approx(1.0, abs=1e-15)
    assert average_precision(np.zeros((1, n)), labels)[0] == pytest.approx(positives / n)


@pytest.mark.parametrize("n", [1000, 20_000])
def test_large_vectors_equal_scikit_learn(n):
    random = np.random.default_rng(n)
    labels = (random.random(n) < 0.1).astype(np.int8)
    smooth = random.normal(size=(3, n)) + labels
    for scores in (smooth, smooth.round(1), smooth.astype(np.float32), np.zeros((2, n))):
        expected = [average_precision_score(labels, row) for row in scores]
        np.testing.assert_allclose(average_precision(scores, labels), expected, rtol=0, atol=1e-12)


def test_signed_zeros_and_extreme_scores_tie_exactly():
    labels = np.array([1, 0, 1, 0])
    scores = np.array([[0.0, -0.0, 1e308, -1e308], [np.nextafter(1, 2), 1.0, 1.0, 0.5]])
    expected = [average_precision_score(labels, row) for row in scores]
    np.testing.assert_allclose(average_precision(scores, labels), expected, atol=1e-15)


@given(ranked_problem(), st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_weighted_equals_scikit_learn(problem, seed):
    scores, labels = problem
    weights = np.random.default_rng(seed).integers(0, 4, labels.size) / 3.0
    assume(weights[labels == 1].sum() > 0)
    assume(weights[labels == 0].sum() > 0)
    expected = [average_precision_score(labels, row, sample_weight=weights) for row in scores]
    np.testing.assert_allclose(weighted_average_precision(scores, labels, weights), expected, atol=1e-12)


def test_unit_weights_change_nothing_and_whole_weights_repeat_rows():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200)
    scores = random.normal(size=(2, 200)).round(1)
    np.testing.assert_allclose(
        weighted_average_precision(scores, labels, np.ones(200)), average_precision(scores, labels), atol=1e-12
    )
    times = random.integers(0, 4, 200)
    np.testing.assert_allclose(
        weighted_average_precision(scores, labels, times),
        average_precision(np.repeat(scores, times, axis=1), np.repeat(labels, times)),
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([0, 0, 0], Reason.NO_POSITIVES),
        ([1, 1], Reason.ONLY_POSITIVES),
        ([1], Reason.TOO_FEW_ROWS),
        ([], Reason.TOO_FEW_ROWS),
    ],
)
def test_undefined_is_nan_with_a_reason(labels, reason):
    assert undefined(len(labels), sum(labels)) is reason
    found = average_precision(np.zeros((2, len(labels))), np.array(labels, dtype=int))
    assert found.shape == (2,)
    assert np.isnan(found).all()


def test_weighted_is_nan_without_weight_on_either_side():
    scores, labels = np.arange(4.0)[None], np.array([0, 0, 1, 1])
    assert np.isnan(weighted_average_precision(scores, labels, np.array([1.0, 1, 0, 0])))[0]
    assert np.isnan(weighted_average_precision(scores, labels, np.array([0.0, 0, 1, 1])))[0]
    with pytest.raises(ValueError, match="weights"):
        weighted_average_precision(scores, labels, np.array([1.0, -1, 1, 1]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_must_be_finite_and_fit_the_labels(bad):
    with pytest.raises(ValueError, match="finite"):
        average_precision(np.array([[0.0, bad, 1.0]]), np.array([0, 1, 0]))
    with pytest.raises(ValueError, match="must be"):
        average_precision(np.zeros((1, 3)), np.array([0, 1]))
    with pytest.raises(ValueError, match="must be"):
        average_precision(np.zeros(3), np.array([0, 1, 0]))


def test_ranks_of_positives_by_hand():
    ranks = positive_ranks(np.array([[5.0, 3, 3, 3, 1]]), np.array([0, 1, 1, 0, 1]))
    assert ranks.above.tolist() == [[1, 1, 4]]
    assert ranks.at_least.tolist() == [[4, 4, 5]]
    assert ranks.true_at_least.tolist() == [[2, 2, 3]]


@pytest.mark.parametrize(("shape", "factor"), [((1000, 128), 30), ((8, 20_000), 3)])
def test_is_much_faster_than_a_loop_over_scikit_learn(shape, factor):
    """Idle-core factors are about 400 and 9; the bounds leave room for a busy machine."""
    random = np.random.default_rng(0)
    scores = random.normal(size=shape)
    labels = (random.random(shape[1]) < 0.1).astype(int)
    sample = scores[:40]

    def cpu(action):
        times = []
        for _ in range(3):
            start = time.process_time()
            action()
            times.append(time.process_time() - start)
        return min(times)

    loop = cpu(lambda: [average_precision_score(labels, row) for row in sample]) * len(scores) / len(sample)
    assert cpu(lambda: average_precision(scores, labels)) * factor < loop

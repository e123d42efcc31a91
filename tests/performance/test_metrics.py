"""AUPR and its bootstrap against loops over scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from epishot.benchmark.average_precision import average_precision
from epishot.benchmark.bootstrap import replicate_average_precision
from epishot.benchmark.query_facts import QueryFacts
from epishot.benchmark.resamples import Resamples, cluster_resamples


def ranking(episodes: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(episodes, n) scores with many ties, and labels."""
    rng = np.random.default_rng(0)
    label = (rng.random(n) < 0.1).astype(np.int8)
    return np.round(rng.normal(size=(episodes, n)) + label, 2), label


@pytest.mark.parametrize(
    ("work", "episodes", "n", "must_reach"),
    [
        ("AUPR of 1,000 episodes x 128 queries", 1000, 128, 100),
        ("AUPR of 64 supports x 20k queries", 64, 20_000, 3),
    ],
)
def test_average_precision(race, machine, full, work, episodes, n, must_reach) -> None:
    scores, label = ranking(episodes if full else 4, n)
    shown = len(scores) // 4

    def peer() -> np.ndarray:
        return np.array([average_precision_score(label, row) for row in scores[:shown]])

    np.testing.assert_allclose(average_precision(scores, label)[:shown], peer(), rtol=0, atol=1e-12)
    ordered = np.empty_like(scores)

    def sort() -> None:
        np.copyto(ordered, scores)
        ordered.sort(axis=1)

    race(
        work,
        lambda: average_precision(scores, label),
        ("scikit-learn average_precision_score in a loop", peer),
        must_reach,
        units=(len(scores), shown),
        rounds=7,
        floor_s=_least(sort) / len(scores),
    )


def query(n: int) -> QueryFacts:
    rng = np.random.default_rng(1)
    label = (rng.random(n) < 0.1).astype(np.int8)
    loci = max(4, n // 20)
    cluster = np.unique(rng.integers(loci, size=n), return_inverse=True)[1]
    return QueryFacts("K562", 0, label, np.arange(n), rng.uniform(1e3, 1e6, n), cluster)


def resampled(facts: QueryFacts, resamples: Resamples, scores: np.ndarray, replicate: int) -> float:
    """The obvious way: the rows of every drawn locus, once for each time it was drawn."""
    members = np.split(np.argsort(facts.cluster, kind="stable"), np.cumsum(np.bincount(facts.cluster))[:-1])
    drawn = np.repeat(np.arange(len(members)), resamples.counts[:, replicate].astype(int))
    rows = np.concatenate([members[locus] for locus in drawn])
    return float(average_precision_score(facts.labels[rows], scores[rows]))


def test_cluster_bootstrap(race, machine, full) -> None:
    facts = query(20_000 if full else 400)
    replicates = 1000 if full else 20
    scores = np.round(np.random.default_rng(2).normal(size=facts.n) + facts.labels, 3)
    resamples = cluster_resamples(facts, "performance", replicates)
    shown = 20 if full else 5

    def ours() -> np.ndarray:
        return np.percentile(replicate_average_precision(scores, facts, resamples), [2.5, 97.5])

    def peer() -> list[float]:
        return [resampled(facts, resamples, scores, b) for b in range(shown)]

    np.testing.assert_allclose(
        replicate_average_precision(scores, facts, resamples)[:shown], peer(), rtol=0, atol=1e-12
    )
    # Every row's count is added once per replicate: two running sums of float64 over the positive thresholds.
    floor_s = machine.floor_s(n_bytes=2 * 2 * 8 * replicates * facts.positives)
    race(
        "cluster-bootstrap interval of per-cell AUPR, 1,000 resamples, 20k pairs",
        ours,
        ("numpy and scikit-learn loop", peer),
        20,
        units=(1, 1) if not full else (1000, shown),
        rounds=5,
        floor_s=floor_s / replicates,
    )


def _least(call) -> float:
    import time

    took = []
    for _ in range(3):
        start = time.process_time()
        call()
        took.append(time.process_time() - start)
    return min(took)

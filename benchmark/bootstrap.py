"""Cluster bootstrap of the corrected AUPR: one sort per score vector, all replicates at once, tie-exact.

A replicate weighs row i by how often its locus cluster was drawn. Between two tie groups that hold positives
nothing but the number of rows matters, so a score vector shrinks to a (segments x clusters) table of row
counts. Its product with the (clusters x replicates) counts, summed downwards, is N at every positive
threshold of every replicate; the same with positives is TP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .query_facts import QueryFacts
from .records import N_REPLICATES
from .resamples import Resamples, choice_weights, cluster_resamples
from .run_scores import distinct_rows

#: Segments per block: a block x 1,000 replicates of float64 stays in the second-level cache.
_BLOCK = 64


def replicate_average_precision(scores: np.ndarray, query: QueryFacts, resamples: Resamples) -> np.ndarray:
    """Average precision of one score vector on every replicate.

    Args:
        scores: (n,) finite floats.
        query: facts of the query, with positives and negatives.
        resamples: B resamples of the query's clusters.

    Returns:
        (B,) float64: scikit-learn's average precision on the materialised resample, to rounding.
    """
    from scipy.sparse import csr_array

    order = np.argsort(-scores)
    ranked, cluster, positive = scores[order], query.cluster[order], query.labels[order] == 1
    group = np.cumsum(np.append(False, ranked[1:] != ranked[:-1]))
    has_positive = np.bincount(group, weights=positive) > 0
    # Segment of a row = number of tie groups with positives that lie wholly before its own group.
    segment: np.ndarray = (np.cumsum(has_positive) - has_positive)[group]
    n_segments = int(has_positive.sum())
    rows = _Segments.of(segment, cluster, n_segments)
    hits = _Segments.of(segment[positive], cluster[positive], n_segments)

    counts = resamples.counts
    n_clusters, replicates = counts.shape
    n_above, true_above, area = (np.zeros(replicates) for _ in range(3))
    for start in range(0, n_segments, _BLOCK):
        stop = min(start + _BLOCK, n_segments)
        shape = (stop - start, n_clusters)
        at_least = csr_array(rows.block(start, stop), shape=shape) @ counts
        gained = csr_array(hits.block(start, stop), shape=shape) @ counts
        true = np.empty_like(gained)
        for j in range(stop - start):
            n_above = np.add(at_least[j], n_above, out=at_least[j])
            true_above = np.add(gained[j], true_above, out=true[j])
        n_above, true_above = n_above.copy(), true_above.copy()
        # No row drawn so far means no positive either: 0 / 1 instead of 0 / 0.
        np.maximum(at_least, 1.0, out=at_least)
        np.divide(true, at_least, out=at_least)
        area += np.einsum("sb,sb->b", gained, at_least)
    return area / resamples.positives


class _Segments(NamedTuple):
    """Rows sorted by segment, as the arrays of a CSR table (segments x clusters) of row counts."""

    ones: np.ndarray
    cluster: np.ndarray
    bounds: np.ndarray

    @classmethod
    def of(cls, segment: np.ndarray, cluster: np.ndarray, n_segments: int) -> _Segments:
        bounds = np.searchsorted(segment, np.arange(n_segments + 1)).astype(np.int32)
        return cls(np.ones(bounds[-1]), cluster[: bounds[-1]].astype(np.int32), bounds)

    def block(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first, last = self.bounds[start], self.bounds[stop]
        return self.ones[first:last], self.cluster[first:last], self.bounds[start : stop + 1] - first


class FoldScores(NamedTuple):
    """Scores of one fold: its facts, its resamples and (S, R, n) scores over seeds and draws."""

    query: QueryFacts
    resamples: Resamples
    scores: Sequence[np.ndarray]


class CellReplicates(NamedTuple):
    """Replicates of a cell's corrected AUPR.

    Attributes:
        values: (B,) float64. redrawn: resamples of its folds that were drawn again.
    """

    values: np.ndarray
    redrawn: int


def resample_folds(
    queries: Sequence[QueryFacts], episode_set: str, replicates: int = N_REPLICATES
) -> dict[int, Resamples]:
    """Resamples of the folds of a cell in which average precision is defined, by fold."""
    return {
        query.fold: cluster_resamples(query, episode_set, replicates) for query in queries if query.undefined is None
    }


def cell_replicates(folds: Sequence[FoldScores], episode_set: str) -> CellReplicates:
    """Bootstrap a cell: loci within each fold, draws and seeds over all folds alike.

    A replicate is the mean over its draws and seeds of the positive-weighted mean over folds of the
    corrected AUPR, each with the replicate's own n, P and E.

    Args:
        folds: the folds in which average precision is defined, at least one; all with the same numbers of
            seeds and draws.
        episode_set: hash of the episode set.
    """
    first = folds[0]
    seeds, draws = len(first.scores), first.scores[0].shape[0]
    replicates = first.resamples.n.size
    cell = first.query.cell
    seed_weight = choice_weights(episode_set, cell, "seeds", seeds, replicates)
    draw_weight = choice_weights(episode_set, cell, "draws", draws, replicates)
    total = sum(fold.resamples.positives for fold in folds)
    values = np.zeros(replicates)
    for fold in folds:
        mean_ap = np.zeros(replicates)
        for s, scores in enumerate(fold.scores):
            distinct = distinct_rows(scores)
            for r in range(distinct):
                weight = seed_weight[s] * (draw_weight[r] if distinct > 1 else 1.0)
                mean_ap += weight * replicate_average_precision(scores[r], fold.query, fold.resamples)
        chance = fold.resamples.chance
        # Correction is linear in AP, so it may follow the mean over draws and seeds.
        values += fold.resamples.positives * (mean_ap - chance) / (1.0 - chance)
    return CellReplicates(values / total, sum(fold.resamples.redrawn for fold in folds))

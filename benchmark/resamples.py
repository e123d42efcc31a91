"""The bootstrap's random choices: which loci, draws and seeds a replicate holds.

They depend on the episode set, the cell and the fold only: every method, regime and k is resampled alike,
so that differences between methods are paired.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from ..tasks.chance import chance_auprs
from .query_facts import QueryFacts
from .records import N_REPLICATES

_PURPOSE = "epishot-bootstrap-1"
#: Redraws per replicate after which the query is taken to be impossible to resample.
_MAX_ROUNDS = 1000


@dataclass(frozen=True, eq=False)
class Resamples:
    """B cluster resamples of one query whose average precision is defined.

    Attributes:
        counts: (C, B) float64: how often replicate b holds cluster c.
        n, positives: (B,) int64 rows and positives of each replicate; 0 < positives < n.
        chance: (B,) exact expected AP of a random ranker on each replicate.
        redrawn: resamples that held one class only and were drawn again.
    """

    counts: np.ndarray
    n: np.ndarray
    positives: np.ndarray
    chance: np.ndarray
    redrawn: int


class Stream:
    """Counter-based random integers keyed by text; raw words, which numpy promises to keep between versions."""

    def __init__(self, *path: object) -> None:
        key = np.frombuffer(hashlib.sha256("\n".join(map(str, path)).encode()).digest()[:16], dtype="<u8")
        self._words = np.random.Philox(key=key.astype(np.uint64))

    def multinomial(self, rows: int, n: int) -> np.ndarray:
        """(rows, n) int64 counts of n uniform draws with replacement from n things."""
        # The remainder of a 64-bit word favours small numbers by n / 2^64: nothing.
        drawn = (self._words.random_raw(rows * n) % np.uint64(n)).astype(np.int64).reshape(rows, n)
        drawn += np.arange(rows)[:, None] * n
        return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)


def cluster_resamples(query: QueryFacts, episode_set: str, replicates: int = N_REPLICATES) -> Resamples:
    """Resample the locus clusters of a query with replacement.

    Args:
        query: a query with positives and negatives.
        episode_set: hash of the episode set.
        replicates: B.

    Raises:
        ValueError: average precision is undefined on this query.
    """
    if query.undefined is not None:
        raise ValueError(f"a query with {query.undefined.value} cannot be resampled")
    n_clusters = query.n_clusters
    size = np.bincount(query.cluster, minlength=n_clusters)
    hits = np.bincount(query.cluster[query.labels == 1], minlength=n_clusters)
    stream = Stream(_PURPOSE, episode_set, "loci", query.cell, query.fold)
    counts = np.empty((replicates, n_clusters))
    wanted = np.arange(replicates)
    redrawn = -replicates
    for _ in range(_MAX_ROUNDS):
        redrawn += wanted.size
        counts[wanted] = stream.multinomial(wanted.size, n_clusters)
        n, positives = counts[wanted] @ size, counts[wanted] @ hits
        wanted = wanted[(positives == 0) | (positives == n)]
        if not wanted.size:
            break
    else:
        raise ValueError("almost every resample of this query holds one class only")
    rows, true = (np.rint(counts @ per_cluster).astype(np.int64) for per_cluster in (size, hits))
    return Resamples(np.ascontiguousarray(counts.T), rows, true, chance_auprs(rows, true), redrawn)


def choice_weights(episode_set: str, cell: str, what: str, n: int, replicates: int = N_REPLICATES) -> np.ndarray:
    """Weights of n draws or seeds in each replicate: resampled with replacement, shared by all methods.

    Args:
        what: "draws" or "seeds".
        n: how many there are; 1 gives weight 1.

    Returns:
        (n, B) float64, columns sum to 1.
    """
    if n == 1:
        return np.ones((1, replicates))
    return Stream(_PURPOSE, episode_set, what, cell, n).multinomial(replicates, n).T / n

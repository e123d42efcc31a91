"""What the evaluator knows of the query of one (cell, fold): labels, pairs, distances, loci. Built once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..tasks.chance import chance_aupr
from .distance_matched import DistanceWeights, distance_weights
from .reasons import Reason, undefined
from .records import FoldFacts

if TYPE_CHECKING:
    from ..tasks.splits import Split
    from ..tasks.task import Task


class Collapse:
    """Rows of one enhancer-gene pair collapsed by the maximum over its TSS.

    Attributes:
        codes: (m,) distinct pair codes, ascending.
        labels: (m,) int8 label of the pair: 1 if any of its rows is positive.
    """

    def __init__(self, pair: np.ndarray, labels: np.ndarray) -> None:
        self._order = np.argsort(pair, kind="stable")
        ordered = pair[self._order]
        self._starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: ordered.size])
        self.codes = ordered[self._starts]
        self.labels = self(labels[None])[0]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Collapse (E, n) values to (E, m) maxima."""
        if self.codes.size == 0:
            return rows[:, :0]
        return np.maximum.reduceat(rows[:, self._order], self._starts, axis=1)


@dataclass(frozen=True, eq=False)
class QueryFacts:
    """The query of one (cell, fold), n rows in the order of the split's `query_rows`.

    Attributes:
        cell, fold: which query.
        labels: (n,) int8, 0 / 1.
        pair: (n,) int64 code of the enhancer-gene pair, shared over cells.
        distance: (n,) float64 bp, NaN where unknown.
        cluster: (n,) int64 locus cluster in 0..n_clusters-1, the unit of the bootstrap.
    """

    cell: str
    fold: int
    labels: np.ndarray
    pair: np.ndarray
    distance: np.ndarray
    cluster: np.ndarray

    @classmethod
    def of(cls, task: Task, split: Split) -> QueryFacts:
        """Collect the facts of a split's query."""
        from ..tasks.loci import locus_clusters

        rows, columns = split.query_rows, task.columns
        return cls(
            cell=split.cell,
            fold=split.fold,
            labels=columns.label[rows],
            pair=columns.pair[rows].astype(np.int64),
            distance=columns.distance[rows],
            cluster=np.unique(locus_clusters(task, rows), return_inverse=True)[1],
        )

    @property
    def n(self) -> int:
        """Rows."""
        return int(self.labels.size)

    @cached_property
    def positives(self) -> int:
        """Positive rows."""
        return int((self.labels == 1).sum())

    @property
    def undefined(self) -> Reason | None:
        """Why ranking metrics are undefined here, for every method; None if they are defined."""
        return undefined(self.n, self.positives)

    @cached_property
    def n_clusters(self) -> int:
        """Locus clusters."""
        return int(self.cluster.max()) + 1 if self.n else 0

    @cached_property
    def chance(self) -> float:
        """Exact expected AP of a random ranker; NaN if undefined."""
        return float("nan") if self.undefined else chance_aupr(self.n, self.positives)

    @cached_property
    def collapse(self) -> Collapse:
        """Rows to enhancer-gene pairs."""
        return Collapse(self.pair, self.labels)

    @cached_property
    def matching(self) -> DistanceWeights:
        """Weights of the distance-matched AUPR."""
        return distance_weights(self.distance, self.labels)

    def fold_facts(self) -> FoldFacts:
        """The facts as they stand in the compact record."""
        reason = self.undefined
        return FoldFacts(
            fold=self.fold,
            n=self.n,
            positives=self.positives,
            chance=None if reason else self.chance,
            reason=reason and reason.value,
            pairs=int(self.collapse.codes.size),
            positive_pairs=int((self.collapse.labels == 1).sum()),
            clusters=self.n_clusters,
            distance_unmatched=self.matching.unmatched,
        )

"""Pooled learners that also read the candidate list: the plain ones, row by row."""

from __future__ import annotations

from ..methods.base import FitContext, Reads, TrainTable
from ..methods.sklearn_adapter import SklearnMethod
from .context_matrix import ContextMatrix
from .pooled import PooledLogisticRank, PooledTreesRank


class _WithContext(SklearnMethod):
    """The pooled learner on `ContextMatrix`: ranks, unranked log10 distance, candidate-list columns."""

    reads = frozenset({Reads.FEATURES, Reads.DISTANCE, Reads.COORDINATES, Reads.CONTEXT})
    transductive = True

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Find the task's context columns, then train; see `SklearnMethod.fit`."""
        self._matrix = ContextMatrix.fit(train, context)  # type: ignore[assignment]
        super().fit(train, context)


class PooledTreesContext(_WithContext, PooledTreesRank):
    """`pooled-trees-rank` with the columns of `context_features` beside the ranks and the log10 distance."""

    name = "pooled-trees-context"
    summary = "boosted trees on per-cell ranks, log10 distance and candidate-list context, pooled"
    transductive = True


class PooledLogisticContext(_WithContext, PooledLogisticRank):
    """`pooled-logistic-rank` with the columns of `context_features` beside the ranks and the log10 distance."""

    name = "pooled-logistic-context"
    summary = "logistic regression on per-cell ranks, log10 distance and candidate-list context, pooled"
    transductive = True

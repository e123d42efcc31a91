"""Pooled learners: one classifier on all rows of all training cells, zero-shot in the held-out cell.

Plain tools, well set: on the real tasks they are the row to beat. scikit-learn is imported on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ..methods.base import FitContext
from ..methods.features import Scale
from ..methods.sklearn_adapter import SklearnMethod

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


class _PooledLogistic(SklearnMethod):
    """Standardised, unweighted L2 logistic regression with scikit-learn's default penalty."""

    deterministic = True  # the lbfgs solver draws nothing
    settings: ClassVar = ({"C": 1.0}, {"C": 0.1}, {"C": 0.01}, {"C": 0.001})

    @classmethod
    def make_estimator(cls) -> BaseEstimator:
        """Logistic regression; more iterations than the default so that heavy-tailed signals converge."""
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1000, random_state=0)


class PooledLogisticRaw(_PooledLogistic):
    """Logistic regression on the source's feature values and log10 distance."""

    name = "pooled-logistic-raw"
    summary = "logistic regression on raw features and log10 distance, pooled"
    scale = Scale.RAW


class PooledLogisticRank(_PooledLogistic):
    """Logistic regression on per-cell feature ranks and unranked log10 distance."""

    name = "pooled-logistic-rank"
    summary = "logistic regression on per-cell feature ranks and log10 distance, pooled"
    scale = Scale.RANK


class _PooledTrees(SklearnMethod):
    """Histogram gradient boosting, with gentler settings where training rows are few.

    Below `few_rows` training rows the parameters `SMALL` replace those that were not set by hand. Early
    stopping is off: its validation split would hold out rows of the same loci. The random state is fixed
    (it matters only above 200,000 rows, where bin edges are taken from a subsample).

    Args:
        few_rows: number of training rows from which the settings for many rows are used; 0 for always.
        parameters: of HistGradientBoostingClassifier.
    """

    deterministic = True
    standardise = False
    # Slower, coarser, fewer: in an unseen cell trees tend to have learned too much, never too little.
    settings: ClassVar = ({}, {"learning_rate": 0.02}, {"max_leaf_nodes": 6}, {"max_iter": 60})

    LARGE: Mapping[str, float] = {"learning_rate": 0.06, "max_iter": 250, "max_leaf_nodes": 31, "min_samples_leaf": 50}
    SMALL: Mapping[str, float] = {"learning_rate": 0.05, "max_iter": 150, "max_leaf_nodes": 12, "min_samples_leaf": 20}

    def __init__(self, few_rows: int = 20_000, **parameters: Any) -> None:
        super().__init__(**parameters)
        self._few_rows = few_rows
        # What differs from the settings for many rows was chosen by hand and outranks the rule.
        self._by_hand = {name for name in self.SMALL if parameters.get(name, self.LARGE[name]) != self.LARGE[name]}

    def config(self) -> Mapping[str, object]:
        """The classifier's parameters and the number of rows below which gentler ones replace them."""
        return {"few_rows": self._few_rows, **super().config()}

    @classmethod
    def make_estimator(cls) -> BaseEstimator:
        """Boosted trees with the settings for many rows."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(**cls.LARGE, l2_regularization=1.0, early_stopping=False, random_state=0)

    def configured(self, n_rows: int, context: FitContext) -> BaseEstimator:
        """The trees for one fit: settings by number of rows, boosting rounds scaled by the budget."""
        estimator = super().configured(n_rows, context)
        if n_rows < self._few_rows:
            estimator.set_params(**{k: v for k, v in self.SMALL.items() if k not in self._by_hand})
        return estimator.set_params(max_iter=context.steps(estimator.max_iter))


class PooledTreesRaw(_PooledTrees):
    """Boosted trees on the source's feature values and log10 distance."""

    name = "pooled-trees-raw"
    summary = "boosted trees on raw features and log10 distance, pooled"
    scale = Scale.RAW


class PooledTreesRank(_PooledTrees):
    """Boosted trees on per-cell feature ranks and unranked log10 distance."""

    name = "pooled-trees-rank"
    summary = "boosted trees on per-cell feature ranks and log10 distance, pooled"
    scale = Scale.RANK

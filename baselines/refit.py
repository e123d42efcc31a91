"""Pooled learners refitted with the labelled support up-weighted; with k = 0 they are the pooled learners."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..methods.base import Balance, FitContext, PairTable, Reads, Regime, Supports, TrainTable
from ..methods.features import Standardiser
from ..methods.sklearn_adapter import SklearnMethod
from ..tasks.errors import MethodError
from .pooled import PooledLogisticRank, PooledLogisticRaw, PooledTreesRank, PooledTreesRaw
from .refit_newton import Prior, laplace_prior, refit

#: Standardised features enter the second stage of the trees within these bounds: trees themselves never
#: extrapolate, and raw signals of an unseen cell can lie a hundred standard deviations out.
_BOUND = 3.0


class _Refit(SklearnMethod):
    """The pooled learner, then one small logistic regression per support; see `refit_newton` for J.

    The support has the share k / (k + training_rows) of the total weight. A balanced support is weighted
    as a case-control sample (King & Zeng 2001, Political Analysis 9:137, "weighting"): positives count
    2 p, negatives 2 (1 - p), p the prevalence of the training rows (with one pseudo-count per class).

    Args:
        training_rows: k0 > 0, the number of support rows that the whole training table counts as.
        parameters: of the pooled learner.

    Raises:
        MethodError: `training_rows` is not a positive finite number.
    """

    regimes = frozenset({Regime.NONE, Regime.LABELLED})
    reads = frozenset({Reads.FEATURES, Reads.DISTANCE})
    #: The weight of the support alone; the pooled learner keeps its defaults.
    settings: ClassVar = (
        {"training_rows": 256.0},
        {"training_rows": 64.0},
        {"training_rows": 1024.0},
        {"training_rows": 4096.0},
    )

    def __init__(self, training_rows: float = 256.0, **parameters: Any) -> None:
        if not 0 < training_rows < float("inf"):
            raise MethodError(
                f"Method {self.name!r}: training_rows must be above 0 and finite, and is {training_rows}."
            )
        super().__init__(**parameters)
        self._training_rows = training_rows
        self._prior: Prior
        self._prevalence: float

    def config(self) -> Mapping[str, object]:
        """k0, and the parameters of the pooled learner."""
        return {"training_rows": self._training_rows, **super().config()}

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Fit the pooled learner, then the prior of its coefficients."""
        from scipy.special import expit  # scipy is slow to import, and lists of methods import this module

        super().fit(train, context)
        matrix = self._matrix.of_train(train)
        self._start(matrix)
        positives = float(train.label.sum())
        self._prevalence = (positives + 1) / (len(train.label) + 2)
        probability = expit(np.asarray(self._scores(self._prepare(matrix)), dtype=np.float64))
        self._prior = laplace_prior(
            self._design(matrix), probability, self._centre(), self._training_rows, self._ridge()
        )

    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """Logits (E, n); without labelled pairs exactly those of the pooled learner. See `Method.score`."""
        if supports.label is None or supports.k == 0:
            return super().score(supports, query, cell_table)
        pool = self._design(self._matrix.of_cell(supports.pool, cell_table))
        weight = np.ones(supports.label.shape)
        if supports.balance is Balance.BALANCED:
            weight = np.where(supports.label == 1, 2 * self._prevalence, 2 * (1 - self._prevalence))
        found = refit(pool[supports.rows], supports.label.astype(np.float64), weight, self._prior)
        design = self._design(self._matrix.of_cell(query, cell_table))
        return found[:, :-1] @ design.T + found[:, -1:]

    def _start(self, matrix: np.ndarray) -> None:
        """Prepare what `_design` needs, from the (n, F + 1) matrix of the training rows; nothing by default."""

    @abstractmethod
    def _design(self, matrix: np.ndarray) -> np.ndarray:
        """Columns of the regression, (n, P - 1) float64 without NaN."""

    @abstractmethod
    def _centre(self) -> np.ndarray:
        """(P,) coefficients that give the pooled learner's logit."""

    @abstractmethod
    def _ridge(self) -> float:
        """Strength of the ridge around the centre."""


class _LogisticRefit(_Refit):
    """The pooled weights themselves are refitted; the ridge is scikit-learn's, moved from 0 to them.

    What differs from fitting scikit-learn on the union of training rows and up-weighted support: the loss of
    the training rows is its quadratic expansion at the pooled weights.
    """

    def _design(self, matrix: np.ndarray) -> np.ndarray:
        return self._prepare(matrix)

    def _centre(self) -> np.ndarray:
        return np.append(self._estimator.coef_[0], self._estimator.intercept_[0])

    def _ridge(self) -> float:
        return 1.0 / float(self._estimator.C)


class _TreesRefit(_Refit):
    """The trees stay; a logistic regression on [their logit, standardised features] starts from (1, 0).

    Boosting anew for every support would cost a full fit each. Feeding the output of trees to a logistic
    regression is He et al. 2014 (ADKDD, "Practical Lessons from Predicting Clicks on Ads at Facebook",
    section 3.1); here it sees their summed logit instead of single leaves, and its prior is that of the
    module `refit_newton`, with the trees' probabilities on their own training rows, which are more confident
    than in an unseen cell and so make the prior somewhat looser than `training_rows` says. The ridge is 1.
    """

    def _start(self, matrix: np.ndarray) -> None:
        self._columns = Standardiser.of(matrix)

    def _design(self, matrix: np.ndarray) -> np.ndarray:
        logit = np.asarray(self._scores(self._prepare(matrix)), dtype=np.float64)
        return np.column_stack([logit, np.clip(self._columns(matrix), -_BOUND, _BOUND)])

    def _centre(self) -> np.ndarray:
        return np.concatenate([[1.0], np.zeros(len(self._columns.mean) + 1)])

    def _ridge(self) -> float:
        return 1.0


class PooledLogisticRawRefit(_LogisticRefit, PooledLogisticRaw):
    """`pooled-logistic-raw`, refitted with the up-weighted support."""

    name = "pooled-logistic-raw-refit"
    summary = "logistic regression on raw features, refitted with the up-weighted support"


class PooledLogisticRankRefit(_LogisticRefit, PooledLogisticRank):
    """`pooled-logistic-rank`, refitted with the up-weighted support."""

    name = "pooled-logistic-rank-refit"
    summary = "logistic regression on per-cell ranks, refitted with the up-weighted support"


class PooledTreesRawRefit(_TreesRefit, PooledTreesRaw):
    """`pooled-trees-raw`, with a logistic second stage refitted with the up-weighted support."""

    name = "pooled-trees-raw-refit"
    summary = "boosted trees on raw features, logistic second stage refitted on the support"


class PooledTreesRankRefit(_TreesRefit, PooledTreesRank):
    """`pooled-trees-rank`, with a logistic second stage refitted with the up-weighted support."""

    name = "pooled-trees-rank-refit"
    summary = "boosted trees on per-cell ranks, logistic second stage refitted on the support"

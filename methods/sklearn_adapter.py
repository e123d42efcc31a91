"""Any scikit-learn classifier as a method, in one line.

    Knn = SklearnMethod.of("knn", KNeighborsClassifier, n_neighbors=15)

The class trains the classifier once on all rows of the training cells and scores the held-out cell
without any support (zero-shot).
"""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..tasks.errors import MethodError
from .base import FitContext, Method, PairTable, Reads, Regime, Supports, TrainTable
from .features import FeatureMatrix, Scale, Standardiser

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

#: log of the smallest positive float64: below the log of every probability that is not exactly 0.
_LOG_ZERO = math.log(5e-324) - 1.0
#: Training rows on which a decision function is compared with the log-odds of the probabilities.
_LOGIT_PROBES = 256


class SklearnMethod(Method):
    """A pooled classifier on features and log10 distance; subclasses say which.

    Class attributes:
        scale: raw features, or ranks within each cell (then the class declares itself transductive).
        standardise: zero mean and unit variance per column first. Without it, missing values reach an
            estimator that accepts them; any other estimator sees the training mean in their place.

    Scores are logits wherever the classifier gives probabilities: its decision function if that is its
    log-odds, otherwise log p1 - log p0. So a saturated probability ties no two pairs.
    """

    reads: ClassVar[frozenset[Reads]] = frozenset({Reads.FEATURES, Reads.DISTANCE})
    regimes: ClassVar[frozenset[Regime]] = frozenset({Regime.NONE})
    logits: ClassVar[bool] = True
    scale: ClassVar[Scale] = Scale.RANK
    standardise: ClassVar[bool] = True

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "transductive" not in cls.__dict__:
            cls.transductive = cls.scale is Scale.RANK

    def __init__(self, **parameters: Any) -> None:
        self._template = self.make_estimator()
        try:
            self._template.set_params(**parameters)
        except ValueError as error:
            raise MethodError(f"Method {self.name!r} cannot be configured: {error}") from error
        self._matrix = FeatureMatrix(self.scale)

    @classmethod
    @abstractmethod
    def make_estimator(cls) -> BaseEstimator:
        """A fresh, unfitted classifier with the default parameters of the method."""

    @classmethod
    def of(
        cls,
        name: str,
        estimator: type[BaseEstimator] | BaseEstimator,
        *,
        summary: str = "",
        scale: Scale = Scale.RANK,
        standardise: bool = True,
        version: str = "1",
        **parameters: Any,
    ) -> type[SklearnMethod]:
        """Make a method class of a scikit-learn classifier.

        Assign it to a variable at the top of a module: that is where another process finds it. Pass it to
        `register_method` to list it by name, or run it with `--method file.py:Variable`.

        Args:
            name: registry name. summary: one line for `epishot methods`.
            estimator: classifier class, or an unfitted classifier or pipeline as a template.
            scale, standardise: how the features are prepared; see the class.
            parameters: the classifier's own parameters. While a `random_state` is left open it follows the
                seed of the run; set it, and the method is deterministic and fitted once.

        Raises:
            MethodError: the estimator is no classifier, or does not know a parameter.
        """
        from sklearn.base import clone, is_classifier

        try:
            template = estimator(**parameters) if isinstance(estimator, type) else clone(estimator)
            if not isinstance(estimator, type):
                template.set_params(**parameters)
        except (TypeError, ValueError) as error:
            raise MethodError(f"Method {name!r} cannot be made: {error}") from error
        if not is_classifier(template):
            raise MethodError(f"Method {name!r}: {type(template).__name__} is not a scikit-learn classifier.")

        def make_estimator(cls: type[SklearnMethod]) -> BaseEstimator:
            return clone(template)

        attributes = {
            "__doc__": summary or f"{type(template).__name__} of scikit-learn, pooled over the training cells.",
            "__module__": sys._getframe(1).f_globals["__name__"],
            "name": name,
            "summary": summary or f"{type(template).__name__}, pooled over the training cells, zero-shot",
            "version": version,
            "scale": Scale(scale),
            "standardise": standardise,
            "logits": hasattr(template, "predict_proba"),
            "deterministic": not _free_random_states(template),
            "make_estimator": classmethod(make_estimator),
        }
        return type(_camel(name), (cls,), attributes)

    def config(self) -> Mapping[str, object]:
        """The classifier's parameters, nested ones as `step__parameter`, as far as JSON can hold them."""
        found = {}
        for key, value in self._template.get_params(deep=True).items():
            plain = value.item() if isinstance(value, np.generic) else value
            if _is_json(plain):
                found[key] = plain
        return dict(sorted(found.items()))

    def configured(self, n_rows: int, context: FitContext) -> BaseEstimator:
        """The classifier for one fit on `n_rows` rows; every open random state gets the seed."""
        from sklearn.base import clone

        return clone(self._template).set_params(**dict.fromkeys(_free_random_states(self._template), context.seed))

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Train on all rows of all training cells at once.

        Raises:
            MethodError: the training cells hold one class only.
        """
        if np.unique(train.label).size < 2:
            raise MethodError(f"Method {self.name!r} needs training rows of both classes, and got one class.")
        matrix = self._matrix.of_train(train)
        estimator = self.configured(train.pairs.n, context)
        # Trees split on the values themselves: they get them as they are, NaN included, if they can.
        as_is = not self.standardise and (_allows_nan(estimator) or not np.isnan(matrix).any())
        self._standardiser = None if as_is else Standardiser.of(matrix)
        prepared = self._prepare(matrix)
        self._estimator = estimator.fit(prepared, train.label)
        self._decides_in_logits = self._check_logits(prepared[:: max(1, len(prepared) // _LOGIT_PROBES)])

    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """Zero-shot scores, the same under every support; see `Method.score`."""
        prepared = self._prepare(self._matrix.of_cell(query, cell_table))
        scores = np.asarray(self._scores(prepared), dtype=np.float64)
        return np.broadcast_to(scores, (supports.n_episodes, query.n))

    def _prepare(self, matrix: np.ndarray) -> np.ndarray:
        if self._standardiser is None:
            return matrix
        if self.standardise:
            return self._standardiser(matrix)
        return np.where(np.isnan(matrix), self._standardiser.mean, matrix)

    def _check_logits(self, probes: np.ndarray) -> bool:
        """Whether scores are taken from the decision function."""
        if not hasattr(self._estimator, "decision_function"):
            return False
        if not hasattr(self._estimator, "predict_proba"):
            return True
        decision = self._estimator.decision_function(probes)
        probability = self._estimator.predict_proba(probes)[:, 1]
        return bool(np.allclose(0.5 * (1.0 + np.tanh(0.5 * decision)), probability, rtol=0, atol=1e-6))

    def _scores(self, prepared: np.ndarray) -> np.ndarray:
        if self._decides_in_logits:
            return self._estimator.decision_function(prepared)
        with np.errstate(divide="ignore"):
            if hasattr(self._estimator, "predict_log_proba"):
                logs = self._estimator.predict_log_proba(prepared)
            else:
                logs = np.log(self._estimator.predict_proba(prepared))
        logs = np.where(np.isneginf(logs), _LOG_ZERO, logs)
        return logs[:, 1] - logs[:, 0]


def _free_random_states(estimator: BaseEstimator) -> list[str]:
    """Parameters through which an estimator would draw from a global random stream."""
    parameters = estimator.get_params(deep=True)
    return [
        key
        for key, value in parameters.items()
        if (key == "random_state" or key.endswith("__random_state")) and value is None
    ]


def _allows_nan(estimator: BaseEstimator) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.allow_nan)


def _is_json(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | tuple):
        return all(_is_json(item) for item in value)
    return value is None or isinstance(value, bool | int | str)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.replace("_", "-").replace(".", "-").split("-"))

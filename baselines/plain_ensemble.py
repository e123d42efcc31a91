"""The ensemble without candidate-list context: the twin that says what context is worth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..methods.base import FitContext, Method, PairTable, Reads, Regime, Supports, TrainTable
from ..methods.features import FeatureMatrix, Scale
from ..tasks.errors import MethodError
from .context_cascade import Logistic


class PooledTreesEnsembleNoContext(Method):
    """Trees on ranks, trees on raw values and logistic regression on ranks, their logits averaged; zero-shot.

    The twin of `pooled-trees-ensemble` that reads features and distance alone: neither identities nor
    coordinates, so that rows of one enhancer-gene pair are scored one by one, and no candidate knows of
    its competitors. Averaging the logits of models that err differently is the plain ensemble of Breiman 1996
    (Machine Learning 24:123); ranks are transductive, raw values are not.

    Args:
        rounds, leaves, learning_rate, columns: of the boosted trees; `columns` is the share of columns that a split
            may choose from. raw: share of the raw trees among the trees.
        strength: penalty of the logistic regression. blend: its share in the score.
    """

    name = "pooled-trees-ensemble-no-context"
    summary = "boosted trees on ranks and on raw values with logistic regression, without context"
    reads = frozenset({Reads.FEATURES, Reads.DISTANCE})
    regimes = frozenset({Regime.NONE})
    transductive = True
    deterministic = True  # every random state is fixed
    paper = "Breiman 1996, doi:10.1007/BF00058655"

    def __init__(
        self,
        rounds: int = 120,
        leaves: int = 15,
        learning_rate: float = 0.06,
        columns: float = 0.3,
        raw: float = 0.5,
        strength: float = 20.0,
        blend: float = 0.25,
    ) -> None:
        if rounds < 1:
            raise MethodError(f"Method {self.name!r}: rounds must be at least 1.")
        self._rounds, self._raw, self._strength, self._blend = rounds, raw, strength, blend
        self._tree = {"learning_rate": learning_rate, "max_leaf_nodes": leaves, "max_features": columns}

    def config(self) -> Mapping[str, object]:
        """All arguments."""
        return {
            "rounds": self._rounds,
            "leaves": self._tree["max_leaf_nodes"],
            "learning_rate": self._tree["learning_rate"],
            "columns": self._tree["max_features"],
            "raw": self._raw,
            "strength": self._strength,
            "blend": self._blend,
        }

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Train the three models on all rows of all training cells.

        Raises:
            MethodError: the training cells hold one class only.
        """
        if np.unique(train.label).size < 2:
            raise MethodError(f"Method {self.name!r} needs training rows of both classes, and got one class.")
        from sklearn.ensemble import HistGradientBoostingClassifier

        self._views = {scale: FeatureMatrix(scale) for scale in (Scale.RANK, Scale.RAW)}
        tables = {scale: view.of_train(train) for scale, view in self._views.items()}
        self._trees = {
            scale: HistGradientBoostingClassifier(
                **self._tree,
                max_iter=context.steps(self._rounds),
                max_bins=63,
                min_samples_leaf=100,
                l2_regularization=1.0,
                early_stopping=False,
                random_state=0,
            ).fit(table, train.label)
            for scale, table in tables.items()
        }
        self._logistic = Logistic(self._strength).fit(tables[Scale.RANK], train.label)

    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """Zero-shot scores, the same under every support; see `Method.score`."""
        tables = {scale: view.of_cell(query, cell_table) for scale, view in self._views.items()}
        rank, raw = (self._trees[scale].decision_function(tables[scale]) for scale in (Scale.RANK, Scale.RAW))
        trees = (1 - self._raw) * rank + self._raw * raw
        score = (1 - self._blend) * trees + self._blend * self._logistic(tables[Scale.RANK])
        return np.broadcast_to(score, (supports.n_episodes, query.n))

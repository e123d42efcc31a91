"""Early stopping on held-out training cells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import average_precision_score
from torch import Tensor

from ...tasks.errors import MethodError

#: A score must be better by more than this to count.
_LEAST_GAIN = 1e-4


def choose_validation_cells(
    label: np.ndarray, cell: np.ndarray, n_cells: int, wanted: int, rng: np.random.Generator
) -> np.ndarray:
    """Training cells to hold out for early stopping; their rows then train nothing.

    Args:
        label: (n,) 0/1. cell: (n,) codes. n_cells: training cells. wanted: how many. rng: decides.

    Returns:
        (wanted,) codes.

    Raises:
        MethodError: too few cells have both classes to validate on some and train on another.
    """
    both = [code for code in range(n_cells) if 0 < label[cell == code].sum() < (cell == code).sum()]
    if len(both) <= wanted:
        raise MethodError(
            f"Early stopping on {wanted} training cells needs more than {wanted} cells with both classes, and there "
            f"are {len(both)}; set `stopping.cells` to 0."
        )
    return rng.permutation(np.array(both))[:wanted]


def mean_average_precision(label: np.ndarray, score: np.ndarray, cell: np.ndarray) -> float:
    """Mean over cells of the average precision; every cell has both classes."""
    return float(
        np.mean([average_precision_score(label[cell == code], score[cell == code]) for code in np.unique(cell)])
    )


class EarlyStopping:
    """Keeps the best weights and says when there was no gain for `patience` looks.

    Attributes:
        best: a copy of the best state so far, None before the first look. score: its score.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best: dict[str, Tensor] | None = None
        self.score = -np.inf
        self._waited = 0

    def update(self, score: float, state: Mapping[str, Tensor]) -> bool:
        """Take note of a look; True if training should stop."""
        if score > self.score + _LEAST_GAIN:
            self.score, self._waited = score, 0
            self.best = {name: value.detach().clone() for name, value in state.items()}
            return False
        self._waited += 1
        return self._waited >= self.patience

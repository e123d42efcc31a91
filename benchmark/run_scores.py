"""What the runner hands to the evaluator: the scores of one run, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..tasks.errors import MethodError
from .specs import Condition


@dataclass(frozen=True, eq=False)
class RunScores:
    """Scores of one run: one fit under one condition, over all draws.

    Attributes:
        cell: held-out cell. fold: 0..4 under `cell+chrom`, 0 under `cell`.
        seed: seed of the fit, 0 for deterministic methods.
        scores: (R, n_query) finite floats, rows in draw order, columns in the order of the split's
            `query_rows`. R = 1 for k = 0. A broadcast view of one row is fine, and cheap.
        key: key of the run record.

    Raises:
        MethodError: scores are not a finite (R, n) array.
    """

    cell: str
    fold: int
    seed: int
    condition: Condition
    scores: np.ndarray
    key: str = ""

    def __post_init__(self) -> None:
        scores = np.asarray(self.scores)
        if scores.ndim != 2 or scores.shape[0] < 1 or not np.isfinite(scores[: distinct_rows(scores)]).all():
            raise MethodError(
                f"The scores of {self.cell}, fold {self.fold}, {self.condition.label} are not a finite "
                f"(draws, pairs) array but {scores.dtype} {scores.shape}; mend the method's `score`."
            )


@dataclass(frozen=True)
class RunFailure:
    """A run that failed; `reason` is the last line of its error."""

    cell: str
    fold: int
    seed: int
    condition: Condition
    reason: str
    key: str = ""


def distinct_rows(scores: np.ndarray) -> int:
    """1 if all rows of (R, n) scores are equal (the support is ignored), else R."""
    rows = scores.shape[0]
    if rows == 1 or scores.strides[0] == 0:
        return 1
    return 1 if all(np.array_equal(scores[0], row) for row in scores[1:]) else rows

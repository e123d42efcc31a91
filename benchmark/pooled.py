"""AUPR of scores pooled over folds or cells. Every fold has its own model and offset: calibration-sensitive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .average_precision import average_precision
from .query_facts import QueryFacts
from .run_scores import distinct_rows


def pooled_aupr(queries: Sequence[QueryFacts], scores: Sequence[np.ndarray]) -> np.ndarray:
    """Average precision of the concatenated queries, draw by draw.

    Args:
        queries: facts of the folds (or of the folds of several cells).
        scores: per query (R, n_query) with the same R, draw r of all queries belonging together.

    Returns:
        (R,) float64; NaN where undefined.
    """
    distinct = max(distinct_rows(part) for part in scores)
    labels = np.concatenate([query.labels for query in queries])
    value = average_precision(np.concatenate([part[:distinct] for part in scores], axis=1), labels)
    return value if distinct > 1 else np.repeat(value, scores[0].shape[0])

"""The metrics of protocol v1 for one query and one method, and how folds make a cell.

A cell's value under `cell+chrom` is the mean over its folds, weighted by the folds' positives (ranking
metrics, F1) or rows (Brier, ECE). Folds in which a metric is undefined are left out: which ones depends on
labels and distances only, hence is the same for every method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..methods.base import Balance
from . import calibration
from .average_precision import average_precision, average_precision_of, positive_ranks, weighted_average_precision
from .query_facts import QueryFacts
from .ranking import auroc, f1_at_share, precision_at_recall
from .reasons import Reason
from .records import EpisodeMetrics
from .run_scores import distinct_rows

RANKING_METRICS = (
    "corrected",
    "aupr",
    "chance",
    "pair_aupr",
    "distance_aupr",
    "auroc",
    "precision_at_70",
)
#: They look at the offset of the scores, so they are given for natural supports only.
CALIBRATION_METRICS = ("brier", "ece", "f1_half", "f1_share")
QUERY_METRICS = RANKING_METRICS + CALIBRATION_METRICS
_NEED_LOGITS = ("brier", "ece", "f1_half")
_WEIGHTED_BY_ROWS = ("brier", "ece")


class QueryMetrics(NamedTuple):
    """Metrics of E score vectors on one query.

    Attributes:
        values: by name, (E,) float64, NaN where undefined.
        reasons: reason of each undefined metric (undefined for all E alike).
    """

    values: dict[str, np.ndarray]
    reasons: dict[str, Reason]


def query_metrics(
    query: QueryFacts, scores: np.ndarray, *, logits: bool, balance: Balance, train_prevalence: float
) -> QueryMetrics:
    """All metrics of (E, n) scores on one query.

    Args:
        query: facts of the query.
        scores: (E, n) finite floats.
        logits: whether the scores are logits of P(y = 1).
        balance: how the supports were drawn.
        train_prevalence: mean prevalence of the training cells (the share that `f1_share` calls positive).
    """
    scores = np.asarray(scores, dtype=np.float64)
    distinct = distinct_rows(scores)
    found = _distinct_metrics(query, scores[:distinct], logits, balance, train_prevalence)
    repeats = scores.shape[0] // distinct
    return QueryMetrics({name: np.repeat(v, repeats) for name, v in found.values.items()}, found.reasons)


def _distinct_metrics(
    query: QueryFacts, scores: np.ndarray, logits: bool, balance: Balance, train_prevalence: float
) -> QueryMetrics:
    reasons = _undefined_metrics(query, logits, balance)
    values = {name: np.full(scores.shape[0], np.nan) for name in QUERY_METRICS}
    if query.undefined is None:
        ranks = positive_ranks(scores, query.labels)
        values["aupr"] = average_precision_of(ranks)
        values["chance"][:] = query.chance
        values["corrected"] = (values["aupr"] - query.chance) / (1.0 - query.chance)
        values["auroc"] = auroc(ranks)
        values["precision_at_70"] = precision_at_recall(ranks, 70)
        if "pair_aupr" not in reasons:
            values["pair_aupr"] = average_precision(query.collapse(scores), query.collapse.labels)
        if "distance_aupr" not in reasons:
            values["distance_aupr"] = weighted_average_precision(scores, query.labels, query.matching.weight)
        if "f1_share" not in reasons:
            values["f1_share"] = f1_at_share(ranks, train_prevalence)
        if "f1_half" not in reasons:
            values["f1_half"] = calibration.f1_at_half(scores, query.labels)
    if "brier" not in reasons:
        probability = calibration.probabilities(scores)
        values["brier"] = calibration.brier(probability, query.labels)
        values["ece"] = calibration.expected_calibration_error(probability, query.labels)
    return QueryMetrics(values, reasons)


def _undefined_metrics(query: QueryFacts, logits: bool, balance: Balance) -> dict[str, Reason]:
    """Reasons that hold whatever the scores are."""
    reasons: dict[str, Reason] = {}
    if query.undefined is not None:
        # Brier score and ECE need no positives, only rows.
        needs_both = [m for m in QUERY_METRICS if m not in _WEIGHTED_BY_ROWS or query.n == 0]
        reasons.update(dict.fromkeys(needs_both, query.undefined))
    else:
        pairs = query.collapse.labels
        if (pairs == 1).all():
            reasons["pair_aupr"] = Reason.ONLY_POSITIVES
        if not query.matching.defined:
            reasons["distance_aupr"] = Reason.UNMATCHED
    if balance is Balance.BALANCED:
        reasons.update(dict.fromkeys(CALIBRATION_METRICS, Reason.BALANCED))
    elif not logits:
        reasons.update(dict.fromkeys(_NEED_LOGITS, Reason.NO_LOGITS))
    return reasons


def episode_metrics(
    query: QueryFacts, scores: np.ndarray, logits: bool, balance: Balance, train_prevalence: float
) -> tuple[EpisodeMetrics, ...]:
    """The metrics of one run, draw by draw, as they stand in its record.

    Args:
        query: facts of the (cell, fold). scores: (R, n) finite floats, one row per draw.
        logits, balance, train_prevalence: see `query_metrics`.
    """
    values, reasons = query_metrics(query, scores, logits=logits, balance=balance, train_prevalence=train_prevalence)
    codes = {name: reason.value for name, reason in reasons.items()}
    return tuple(
        EpisodeMetrics(draw=r, metrics={m: none_if_nan(v[r]) for m, v in values.items()}, reasons=codes)
        for r in range(np.shape(scores)[0])
    )


def cell_value(name: str, folds: Sequence[tuple[QueryFacts, Mapping[str, np.ndarray]]]) -> np.ndarray | None:
    """One metric of a cell from the metrics of its folds.

    Args:
        name: metric. folds: per fold its facts and its metrics, each (E,).

    Returns:
        (E,) weighted mean over the folds where the metric is defined; None if there is none.
    """
    total, weighted = 0.0, None
    for query, values in folds:
        if np.isnan(values[name]).any():
            continue
        weight = query.n if name in _WEIGHTED_BY_ROWS else query.positives
        part = weight * values[name]
        weighted = part if weighted is None else weighted + part
        total += weight
    return None if weighted is None else weighted / total


def none_if_nan(value: float) -> float | None:
    """The value, or None for NaN (JSON has no NaN)."""
    return None if np.isnan(value) else float(value)


def mean_prevalence(labels: np.ndarray, cells: np.ndarray) -> float:
    """Mean over the training cells of their prevalence.

    Args:
        labels: (n,) 0 / 1 of the training rows. cells: (n,) cell codes.
    """
    return float(np.mean(list(_prevalences(labels, cells))))


def _prevalences(labels: np.ndarray, cells: np.ndarray) -> Iterable[float]:
    for cell in np.unique(cells):
        yield float(np.mean(labels[cells == cell]))

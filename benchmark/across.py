"""Metrics over all held-out cells at once: cell-pooled AUPR and swap AUC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..methods.base import Balance
from .pooled import pooled_aupr
from .query_facts import QueryFacts
from .reasons import Reason, undefined
from .swap import MIN_PAIRS, find_swaps, quantiles, swap_auc

ACROSS_METRICS = ("cell_pooled_aupr", "swap_auc", "swap_auc_quantile")


class AcrossMetrics(NamedTuple):
    """Metrics over cells, means over draws and seeds, and the reasons of the undefined ones."""

    metrics: dict[str, float | None]
    reasons: dict[str, str]


def across_metrics(
    queries: Sequence[QueryFacts],
    scores: Sequence[Sequence[np.ndarray]],
    *,
    logits: bool,
    balance: Balance,
    strict: bool,
    complete: bool,
) -> AcrossMetrics:
    """Pool all held-out cells.

    Args:
        queries: facts of every fold of every feasible cell.
        scores: [query][seed] -> (R, n) with one R.
        logits: whether scores are logits. balance: of the supports.
        strict: protocol `cell+chrom` (under `cell`, training holds the very pairs that swap AUC compares).
        complete: whether all feasible cells have scores.
    """
    reasons: dict[str, Reason] = {}
    if not complete or balance is Balance.BALANCED:
        why = Reason.BALANCED if balance is Balance.BALANCED else Reason.INCOMPLETE
        return AcrossMetrics(dict.fromkeys(ACROSS_METRICS), dict.fromkeys(ACROSS_METRICS, why.value))
    values: dict[str, float] = {}
    seeds = range(len(scores[0]))
    size, positives = sum(q.n for q in queries), sum(q.positives for q in queries)
    if (why_not := undefined(size, positives)) is not None:
        reasons["cell_pooled_aupr"] = why_not
    else:
        values["cell_pooled_aupr"] = float(np.mean([pooled_aupr(queries, [part[s] for part in scores]) for s in seeds]))
    if not strict:
        reasons |= dict.fromkeys(("swap_auc", "swap_auc_quantile"), Reason.PROTOCOL)
    else:
        swaps = find_swaps(queries)
        if swaps.pairs < MIN_PAIRS:
            reasons |= dict.fromkeys(("swap_auc", "swap_auc_quantile"), Reason.FEW_PAIRS)
        else:
            if logits:
                values["swap_auc"] = float(
                    np.mean([swap_auc(swaps, queries, [part[s] for part in scores]) for s in seeds])
                )
            else:
                reasons["swap_auc"] = Reason.NO_LOGITS
            values["swap_auc_quantile"] = float(
                np.mean([swap_auc(swaps, queries, [quantiles(part[s]) for part in scores]) for s in seeds])
            )
    return AcrossMetrics({name: values.get(name) for name in ACROSS_METRICS}, {m: r.value for m, r in reasons.items()})

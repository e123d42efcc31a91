"""From a planned fit to the arrays its process receives: declared columns only, and no query labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..methods.base import PairTable, Reads, Regime, Supports
from ..methods.tables import cell_table, fit_context, pair_table, train_table
from .jobs import FitJob
from .plan import PartPlan, PlannedFit, PlannedRun

if TYPE_CHECKING:
    from ..tasks.splits import Split
    from ..tasks.task import Task


@dataclass(frozen=True, eq=False)
class PreparedFit:
    """A job and how to read its scores.

    Attributes:
        order: (n,) the job's query pair i is row `order[i]` of the split's query.
    """

    job: FitJob
    order: np.ndarray

    def in_query_order(self, scores: np.ndarray) -> np.ndarray:
        """Scores (E, n) of the job with columns in the order of the split's query rows."""
        out = np.empty_like(scores)
        out[:, self.order] = scores
        return out


def prepare_fit(plan: PartPlan, fit: PlannedFit, runs: tuple[PlannedRun, ...]) -> PreparedFit:
    """Build the job that scores `runs`. Query, pools and cell table are shuffled: their order in the source
    file may betray labels.
    """
    task, split, reads = plan.task, fit.split, fit.method.reads
    order = _shuffle(task, split, "query").permutation(split.query_rows.size)
    whole_cell = None
    if fit.method.transductive:
        whole_cell = cell_table(task, _shuffle(task, split, "cell").permutation(task.cell_rows(split.cell)), reads)
    job = FitJob(
        method=fit.method.address,
        arguments=fit.method.arguments_for(split.cell),
        code=fit.method.code,
        train=train_table(task, split.train_rows, reads),
        context=fit_context(task, seed=fit.spec.seed, budget=plan.part.budget),
        query=pair_table(task, split.query_rows[order], reads),
        cell_table=whole_cell,
        requests=tuple(_supports(plan, fit, run, reads) for run in runs),
    )
    return PreparedFit(job, order)


def _supports(plan: PartPlan, fit: PlannedFit, run: PlannedRun, reads: frozenset[Reads]) -> Supports:
    condition, task = run.spec.condition, plan.task
    rows = plan.episodes.support_rows(fit.split.cell, fit.split.fold, condition.balance.value, condition.k)
    pool, inverse = np.unique(rows, return_inverse=True)
    order = _shuffle(task, fit.split, f"pool {condition.balance.value} {condition.k}").permutation(pool.size)
    place = np.argsort(order)
    labelled = condition.regime is Regime.LABELLED
    pairs: PairTable = pair_table(task, pool[order], reads)
    return Supports(
        regime=condition.regime,
        balance=condition.balance,
        pool=pairs,
        rows=place[inverse].reshape(rows.shape).astype(np.int64),
        label=task.columns.label[rows] if labelled else None,
    )


def _shuffle(task: Task, split: Split, what: str) -> np.random.Generator:
    """A stream of its own per table, equal for all methods and seeds, and blind to the task's labels."""
    text = f"{task.card.name} {task.card.version} {split.protocol.value} {split.cell} {split.fold} {what}"
    key = np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))

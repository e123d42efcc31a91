"""From the scores of all runs of one method on one task to its compact record and bootstrap replicates.

A pure function of scores, task and episode set: whoever has the run store gets the same record, byte for
byte (cost and provenance aside).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..methods.base import Balance
from ..tasks.errors import EpishotError
from .across import across_metrics
from .bootstrap import FoldScores, cell_replicates, resample_folds
from .compact import replicates_digest
from .interval import percentile_interval
from .metrics import QUERY_METRICS, cell_value, mean_prevalence, query_metrics
from .pooled import pooled_aupr
from .query_facts import QueryFacts
from .reasons import Reason, undefined
from .records import N_REPLICATES, AcrossEntry, CellEntry, CompactRecord, MethodFacts
from .run_scores import RunFailure, RunScores
from .specs import Condition

if TYPE_CHECKING:
    from ..tasks.episodes import EpisodeSet
    from ..tasks.splits import Split
    from ..tasks.task import Task


@dataclass(frozen=True, eq=False)
class Query:
    """A split's query as the evaluator needs it.

    Attributes:
        facts: labels, pairs, distances, loci. train_prevalence: mean prevalence of the split's training cells.
    """

    facts: QueryFacts
    train_prevalence: float

    @classmethod
    def of(cls, task: Task, split: Split) -> Query:
        """Collect the facts of one split."""
        columns, rows = task.columns, split.train_rows
        prevalence = mean_prevalence(columns.label[rows], columns.cell[rows]) if rows.size else 0.0
        return cls(QueryFacts.of(task, split), prevalence)


def collect_queries(task: Task, splits: Sequence[Split]) -> dict[str, list[Query]]:
    """Queries by held-out cell, folds in order; build once, share over methods."""
    found: dict[str, list[Query]] = {}
    for split in splits:
        found.setdefault(split.cell, []).append(Query.of(task, split))
    return found


class Summary(NamedTuple):
    """A method's compact record and the replicates of its entries, (rows, 1000) float32."""

    record: CompactRecord
    replicates: np.ndarray


def summarise_method(
    task: Task,
    episodes: EpisodeSet,
    facts: MethodFacts,
    runs: Sequence[RunScores],
    *,
    conditions: Sequence[Condition],
    seeds: Sequence[int],
    failures: Sequence[RunFailure] = (),
    cells: Sequence[str] | None = None,
    queries: Mapping[str, Sequence[Query]] | None = None,
    budget: float = 1.0,
    cost: Mapping[str, float | None] | None = None,
    overlap: Mapping[str, Mapping[str, float]] | None = None,
    test_scorings: int | None = None,
    command: str = "",
    commit: str = "",
    versions: Mapping[str, str] | None = None,
    replicates: int = N_REPLICATES,
) -> Summary:
    """Summarise one method on one task under one protocol.

    Every cell of the card gets an entry under every condition: with metrics and replicates, or with the
    reason why not (infeasible, failed, missing).

    Args:
        task, episodes: what was run. facts: what the leaderboard shows of the method.
        runs: all runs that gave scores, in any order. failures: the others.
        conditions: conditions the method was asked for (a zero-shot method: k = 0 alone).
        seeds: seeds of its fits, (0,) for deterministic methods.
        cells: held-out cells that were asked for; default: all of the card.
        queries: `collect_queries(task, episodes.splits)`, if already at hand.
        budget, cost, overlap, command, commit, versions: copied into the record.
        test_scorings: how often a held-out cell was scored; default: once per run given here.
        replicates: bootstrap replicates (tests lower it).

    Raises:
        EpishotError: scores do not fit the query, or a run is given twice.
    """
    if queries is None:
        queries = collect_queries(task, episodes.splits)
    store = _Runs(runs, failures, tuple(seeds))
    entries: list[CellEntry] = []
    rows: list[np.ndarray] = []
    for cell in task.card.cells:
        folds = queries.get(cell, ())
        resamples = resample_folds([query.facts for query in folds], episodes.hash, replicates)
        for condition in conditions:
            blank = _blank(cell, condition, folds)
            trouble = _trouble(store, episodes, cell, folds, condition, cells)
            if trouble is not None:
                entries.append(blank.model_copy(update=trouble._asdict()))
                continue
            scores = store.scores(folds, condition)
            metrics, reasons = _cell_metrics(folds, scores, facts.logits, condition.balance)
            update: dict[str, object] = {
                "status": "ok",
                "draws": scores[0][0].shape[0],
                "seeds": len(seeds),
                "metrics": metrics,
                "reasons": reasons,
            }
            defined = [
                FoldScores(query.facts, resamples[query.facts.fold], part)
                for query, part in zip(folds, scores, strict=True)
                if query.facts.fold in resamples
            ]
            if defined:
                found = cell_replicates(defined, episodes.hash)
                update |= {
                    "interval": percentile_interval(found.values),
                    "redrawn": found.redrawn,
                    "replicates": len(rows),
                }
                rows.append(found.values.astype(np.float32))
            entries.append(blank.model_copy(update=update))
    table = np.stack(rows) if rows else np.empty((0, replicates), dtype=np.float32)
    record = CompactRecord(
        task=task.card.name,
        task_version=task.card.version,
        task_hash=task.content_hash,
        headline_shots=task.card.headline_shots,
        protocol=_text(episodes.protocol),
        episode_set=episodes.hash,
        shots=tuple(episodes.shots),
        draws=episodes.draws,
        budget=budget,
        method=facts,
        cells=task.card.cells,
        entries=tuple(entries),
        across=tuple(_across(c, entries, queries, store, facts, episodes) for c in conditions),
        run_keys=tuple(sorted({r.key for r in runs if r.key} | {f.key for f in failures if f.key})),
        test_scorings=len(runs) if test_scorings is None else test_scorings,
        overlap={cell: dict(shares) for cell, shares in (overlap or {}).items()},
        cost=dict(cost or {}),
        replicates_sha256=replicates_digest(table),
        command=command,
        commit=commit,
        versions=dict(versions or {}),
    )
    return Summary(record, table)


class _Trouble(NamedTuple):
    status: str
    reason: str


class _Runs:
    """Runs and failures by (cell, fold, seed, condition)."""

    def __init__(self, runs: Sequence[RunScores], failures: Sequence[RunFailure], seeds: tuple[int, ...]) -> None:
        self.seeds = seeds
        self._scores: dict[tuple[str, int, int, Condition], np.ndarray] = {}
        self._failed = {(f.cell, f.fold, f.seed, f.condition): f.reason for f in failures}
        for run in runs:
            key = (run.cell, run.fold, run.seed, run.condition)
            if key in self._scores:
                raise EpishotError(
                    f"Two runs of {run.cell}, fold {run.fold}, seed {run.seed}, {run.condition.label} were "
                    "given; keep the one that belongs to this configuration."
                )
            self._scores[key] = run.scores

    def trouble(self, folds: Sequence[Query], condition: Condition) -> _Trouble | None:
        """The first failure, else what is missing, of a cell's runs."""
        wanted = [(q.facts.cell, q.facts.fold, seed, condition) for q in folds for seed in self.seeds]
        failed = [self._failed[key] for key in wanted if key in self._failed and key not in self._scores]
        if failed:
            more = f" (and {len(failed) - 1} more runs)" if len(failed) > 1 else ""
            return _Trouble("failed", failed[0] + more)
        missing = sum(key not in self._scores for key in wanted)
        if missing:
            return _Trouble("missing", f"{missing} of {len(wanted)} runs are not in the run store")
        return None

    def scores(self, folds: Sequence[Query], condition: Condition) -> list[list[np.ndarray]]:
        """Scores [fold][seed] -> (R, n), checked against the query; the same R throughout."""
        found = []
        for query in folds:
            facts = query.facts
            per_seed = [self._scores[facts.cell, facts.fold, seed, condition] for seed in self.seeds]
            for scores in per_seed:
                if scores.shape[1] != facts.n:
                    raise EpishotError(
                        f"{facts.cell}, fold {facts.fold} has {facts.n} query pairs but {scores.shape[1]} "
                        "scores; the run belongs to another episode set: run it again."
                    )
            found.append(per_seed)
        draws = {scores.shape[0] for per_seed in found for scores in per_seed}
        if len(draws) != 1:
            raise EpishotError(
                f"The runs of {folds[0].facts.cell}, {condition.label} have {sorted(draws)} draws; "
                "run them again with one number of draws."
            )
        return found


def _blank(cell: str, condition: Condition, folds: Sequence[Query]) -> CellEntry:
    return CellEntry(
        cell=cell,
        regime=condition.regime.value,
        balance=condition.balance.value,
        k=condition.k,
        status="missing",
        n=sum(query.facts.n for query in folds),
        positives=sum(query.facts.positives for query in folds),
        folds=tuple(query.facts.fold_facts() for query in folds),
        draws=0,
        seeds=0,
    )


def _trouble(
    store: _Runs,
    episodes: EpisodeSet,
    cell: str,
    folds: Sequence[Query],
    condition: Condition,
    cells: Sequence[str] | None,
) -> _Trouble | None:
    """Why a cell has no metrics under a condition; None if it has all its runs."""
    if not folds:
        return _Trouble("infeasible", "the cell has no query pairs")
    reason = episodes.infeasible(cell, condition.balance.value, condition.k)
    if reason is not None:
        return _Trouble("infeasible", reason)
    if cells is not None and cell not in cells:
        return _Trouble("missing", "the cell was not asked for")
    return store.trouble(folds, condition)


def _cell_metrics(
    folds: Sequence[Query], scores: Sequence[Sequence[np.ndarray]], logits: bool, balance: Balance
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Metrics of one cell, means over draws and seeds, and the reasons of the undefined ones."""
    per_seed: dict[str, list[np.ndarray]] = {}
    reasons: dict[str, Reason] = {}
    for s in range(len(scores[0])):
        found = [
            query_metrics(
                query.facts,
                part[s],
                logits=logits,
                balance=balance,
                train_prevalence=query.train_prevalence,
            )
            for query, part in zip(folds, scores, strict=True)
        ]
        for name in QUERY_METRICS:
            value = cell_value(name, [(q.facts, f.values) for q, f in zip(folds, found, strict=True)])
            if value is None:
                reasons[name] = next(f.reasons[name] for f in found if name in f.reasons)
            else:
                per_seed.setdefault(name, []).append(value)
    pooled_reason = _pooled_reason(folds, balance)
    if pooled_reason is None:
        queries = [query.facts for query in folds]
        per_seed["fold_pooled_aupr"] = [
            pooled_aupr(queries, [part[s] for part in scores]) for s in range(len(scores[0]))
        ]
    else:
        reasons["fold_pooled_aupr"] = pooled_reason
    metrics: dict[str, float | None] = {
        name: float(np.mean(per_seed[name])) if name in per_seed else None
        for name in (*QUERY_METRICS, "fold_pooled_aupr")
    }
    return metrics, {name: reason.value for name, reason in reasons.items()}


def _pooled_reason(folds: Sequence[Query], balance: Balance) -> Reason | None:
    if balance is Balance.BALANCED:
        return Reason.BALANCED
    if len(folds) < 2:
        return Reason.ONE_FOLD
    return undefined(sum(q.facts.n for q in folds), sum(q.facts.positives for q in folds))


def _across(
    condition: Condition,
    entries: Sequence[CellEntry],
    queries: Mapping[str, Sequence[Query]],
    store: _Runs,
    facts: MethodFacts,
    episodes: EpisodeSet,
) -> AcrossEntry:
    mine = [e for e in entries if (e.regime, e.balance, e.k) == _identity(condition)]
    ready = [query for e in mine if e.status == "ok" for query in queries[e.cell]]
    found = across_metrics(
        [query.facts for query in ready],
        store.scores(ready, condition) if ready else [],
        logits=facts.logits,
        balance=condition.balance,
        strict=_text(episodes.protocol) == "cell+chrom",
        complete=bool(ready) and all(e.status in ("ok", "infeasible") for e in mine),
    )
    regime, balance, k = _identity(condition)
    cells = tuple(e.cell for e in mine if e.status == "ok")
    return AcrossEntry(regime=regime, balance=balance, k=k, cells=cells, metrics=found.metrics, reasons=found.reasons)


def _identity(condition: Condition) -> tuple[str, str, int]:
    return condition.regime.value, condition.balance.value, condition.k


def _text(value: object) -> str:
    """Text of a protocol, given as enum or as text."""
    return str(getattr(value, "value", value))

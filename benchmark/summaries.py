"""From the run store to a board folder: the compact record of every method of a part, made when needed only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import provenance
from .board_rows import BoardRow, rows_of
from .compact import has_replicates
from .plan import PartPlan, PlannedRun, widest_plan
from .records import CompactRecord, Cost, MethodFacts, RunRecord
from .reference_rows import REFERENCE_CONDITION, reference_facts, reference_runs
from .specs import Condition
from .store import RunStore
from .within_cell import is_within_cell, too_few_labels

if TYPE_CHECKING:
    from ..tasks.episodes import EpisodeSet
    from ..tasks.task import Task
    from .executor import Executor
    from .run_scores import RunFailure, RunScores
    from .runner import PartResult
    from .summarise import Query, Summary

#: Reason that `summarise` gives the cells which the part leaves out.
_NOT_ASKED = "the cell was not asked for"
_DAMAGED = "the scores in the run store are missing or damaged; run it again to compute them anew"


@dataclass(frozen=True)
class _Order:
    """A summary to be made.

    Attributes:
        runs: the runs of the method that have a record; none for a reference row.
        cells: the held-out cells that were asked for, now or before. command: printed as provenance.
        reference: name of the reference row, else None.
    """

    facts: MethodFacts
    runs: tuple[PlannedRun, ...]
    conditions: tuple[Condition, ...]
    seeds: tuple[int, ...]
    cells: tuple[str, ...]
    command: str
    reference: str | None = None


@dataclass(frozen=True, eq=False)
class _Shared:
    """What all summaries of a part have in common; sent to each process once."""

    task: Task
    episodes: EpisodeSet
    queries: dict[str, list[Query]]
    untrainable: Mapping[str, str]
    overlap: dict[str, dict[str, float]]
    scorings: dict[str, int]
    store: Path
    budget: float
    commit: str
    versions: dict[str, str]


def update_board(result: PartResult, store: RunStore, board: Path, executor: Executor, command: str) -> list[str]:
    """Write the compact records of a part's methods and reference rows that are not up to date.

    Args:
        result: what the runner did. store, board: folders. executor: gives the processes that bootstrap.
        command: printed as provenance.

    Returns:
        Names of the rows written.
    """
    plan = result.plan
    wide = widest_plan(plan)
    current = {row.record.method.name: row for row in rows_of(board, plan) if row.record is not None}
    orders = [
        order
        for order in _orders(plan, wide, store, current, command)
        if order.facts.name in result.touched or not _up_to_date(current.get(order.facts.name), order)
    ]
    if not orders:
        return []
    from .compact import write_compact

    shared = _shared(wide, store)
    for summary in executor.map_trusted(_summarise, orders, shared):
        write_compact(board, summary.record, summary.replicates)
    return [order.facts.name for order in orders]


def _orders(
    plan: PartPlan, wide: PartPlan, store: RunStore, current: Mapping[str, BoardRow], command: str
) -> Iterator[_Order]:
    """A row covers what was asked for now and what the store already has on the same episodes.

    So asking for one cell, then for another, gives a row with both, whatever the order.
    """
    asked_now = set(plan.part.cells or plan.task.card.cells)
    own = {run.key for fit in plan.fits for run in fit.runs}
    for method in plan.methods:
        possible = [run for fit in wide.fits if fit.method is method for run in fit.runs]
        runs = tuple(run for run in possible if store.holds(run.identity.task, run.key))
        conditions = {(run.spec.condition.regime, run.spec.condition.balance) for run in runs}
        conditions |= {(c.regime, c.balance) for c in plan.part.conditions_for(method.regimes)}
        yield _Order(
            method.facts,
            runs,
            tuple(c for c in wide.part.conditions_for(method.regimes) if (c.regime, c.balance) in conditions),
            plan.seeds[method.name],
            _in_card_order(plan, asked_now | {run.spec.fit.cell for run in runs}),
            _commands({run.key for run in runs} - own, current.get(method.name), command),
        )
    for name in plan.task.references:
        row = current.get(name)
        cells = _in_card_order(plan, asked_now | (_asked(row.record) if row and row.record else set()))
        yield _Order(reference_facts(name), (), (REFERENCE_CONDITION,), (0,), cells, command, reference=name)


def _commands(earlier: Set[str], row: BoardRow | None, command: str) -> str:
    """The command, after those of the row if they gave runs (keys `earlier`) that it alone would not give."""
    if row is None or row.record is None or earlier.isdisjoint(row.record.run_keys):
        return command
    return " && ".join([*(one for one in row.record.command.split(" && ") if one != command), command])


def _in_card_order(plan: PartPlan, cells: Set[str]) -> tuple[str, ...]:
    return tuple(cell for cell in plan.task.card.cells if cell in cells)


def _asked(record: CompactRecord) -> set[str]:
    return {entry.cell for entry in record.entries if entry.reason != _NOT_ASKED}


def _up_to_date(row: BoardRow | None, order: _Order) -> bool:
    if row is None or row.record is None:
        return False
    record = row.record
    conditions = {(entry.regime, entry.balance, entry.k) for entry in record.entries}
    return (
        record.run_keys == tuple(sorted(run.key for run in order.runs))
        and record.method == order.facts
        and _asked(record) >= set(order.cells)
        # A run that failed may have been run again since, for another board.
        and not any(entry.status == "failed" for entry in record.entries)
        and conditions == {(c.regime.value, c.balance.value, c.k) for c in order.conditions}
        and has_replicates(row.path, record)
    )


def _shared(plan: PartPlan, store: RunStore) -> _Shared:
    from ..tasks.overlap import shared_loci
    from .summarise import collect_queries

    overlap = {}
    if plan.part.protocol == "cell":
        overlap = {split.cell: shared_loci(plan.task, split) for split in plan.splits}
    return _Shared(
        task=plan.task,
        episodes=plan.episodes,
        queries=collect_queries(plan.task, plan.episodes.splits),
        untrainable=plan.untrainable,
        overlap=overlap,
        scorings=_scorings(store, plan),
        store=store.folder,
        budget=plan.part.budget,
        commit=provenance.commit(),
        versions=provenance.versions(),
    )


def _summarise(order: _Order, shared: _Shared) -> Summary:
    from .summarise import summarise_method

    store = RunStore(shared.store)
    found = _stored(order.runs, store)
    if order.reference is not None:
        runs = reference_runs(shared.task, shared.episodes, order.reference)
        found = _Found([run for run in runs if run.cell in order.cells], [], {})
    summary = summarise_method(
        shared.task,
        shared.episodes,
        order.facts,
        found.runs,
        conditions=order.conditions,
        seeds=order.seeds,
        failures=found.failures,
        cells=order.cells,
        queries=shared.queries,
        budget=shared.budget,
        cost=found.cost,
        overlap=shared.overlap,
        test_scorings=shared.scorings.get(order.facts.name, 0),
        command=order.command,
        commit=shared.commit,
        versions=shared.versions,
    )
    if order.reference is not None:
        return summary
    poor = too_few_labels(shared.task, shared.episodes.splits) if is_within_cell(order.facts) else {}
    return _with_untrainable(summary, {**poor, **shared.untrainable})


def _with_untrainable(summary: Summary, untrainable: Mapping[str, str]) -> Summary:
    """Call the runs infeasible, not missing, that no fit could give."""
    entries = tuple(
        entry.model_copy(update={"status": "infeasible", "reason": untrainable[entry.cell]})
        if entry.cell in untrainable and entry.status == "missing"
        else entry
        for entry in summary.record.entries
    )
    return summary._replace(record=summary.record.model_copy(update={"entries": entries}))


class _Found(NamedTuple):
    runs: list[RunScores]
    failures: list[RunFailure]
    cost: dict[str, float | None]


def _stored(runs: Iterable[PlannedRun], store: RunStore) -> _Found:
    from .run_scores import RunFailure, RunScores

    scored, failures, records = [], [], []
    for run in runs:
        fit, condition = run.spec.fit, run.spec.condition
        record = store.find(fit.task, run.key)
        scores = store.scores(record) if record is not None else None
        if record is not None and scores is not None:
            records.append(record)
            scored.append(RunScores(fit.cell, fit.fold, fit.seed, condition, scores, run.key))
            continue
        if record is not None:
            store.forget_scores(record)
        failed = store.failed(fit.task, run.key)
        reason = _DAMAGED if failed is None else (failed.error or "failed")
        failures.append(RunFailure(fit.cell, fit.fold, fit.seed, condition, reason.splitlines()[0], run.key))
    return _Found(scored, failures, _cost(records))


def _cost(records: Sequence[RunRecord]) -> dict[str, float | None]:
    """Sums over runs; a fit that several runs share counts once."""
    fits: dict[tuple[str, int, int], Cost] = {}
    costs: list[Cost] = []
    for record in records:
        one = record.identity
        if record.cost is not None:
            costs.append(record.cost)
            fits[one.cell, one.fold, one.seed] = record.cost
    if not costs:
        return {}
    parameters = [cost.n_parameters for cost in costs if cost.n_parameters is not None]
    return {
        "fits": float(len(fits)),
        "fit_s": sum(cost.fit_s for cost in fits.values()),
        "score_s": sum(cost.score_s for cost in costs),
        "cpu_s": sum(cost.fit_cpu_s for cost in fits.values()) + sum(cost.cpu_s - cost.fit_cpu_s for cost in costs),
        "peak_memory_mb": max(cost.peak_memory_mb for cost in costs),
        "n_parameters": float(max(parameters)) if parameters else None,
    }


def _scorings(store: RunStore, plan: PartPlan) -> dict[str, int]:
    """How often each method was scored on a held-out cell of this task and protocol, in any configuration."""
    return Counter(
        record.identity.method
        for record in store.records(plan.task.card.name)
        if record.status == "ok" and record.identity.protocol == plan.part.protocol
    )

"""From the run store to a board folder: the compact record of every method of a part, made when needed only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from ..tasks.errors import EpishotError
from . import provenance
from .plan import PartPlan, PlannedRun
from .records import EVALUATOR_VERSION, CompactRecord, Cost, MethodFacts, RunRecord
from .reference_rows import REFERENCE_CONDITION, reference_facts, reference_runs
from .specs import Condition
from .store import RunStore

if TYPE_CHECKING:
    from ..tasks.episodes import EpisodeSet
    from ..tasks.task import Task
    from .executor import Executor
    from .run_scores import RunFailure, RunScores
    from .runner import PartResult
    from .summarise import Query, Summary

#: Reason that `summarise` gives the cells which the part leaves out.
_NOT_ASKED = "the cell was not asked for"


@dataclass(frozen=True)
class _Order:
    """A summary to be made.

    Attributes:
        runs: the planned runs of the method; none for a reference row.
        reference: name of the reference row, else None.
    """

    facts: MethodFacts
    runs: tuple[PlannedRun, ...]
    conditions: tuple[Condition, ...]
    seeds: tuple[int, ...]
    reference: str | None = None


@dataclass(frozen=True, eq=False)
class _Shared:
    """What all summaries of a part have in common; sent to each process once."""

    task: Task
    episodes: EpisodeSet
    queries: dict[str, list[Query]]
    cells: tuple[str, ...]
    overlap: dict[str, dict[str, float]]
    scorings: dict[str, int]
    store: Path
    command: str
    commit: str
    versions: dict[str, str]


def check_board(board: Path, plans: Sequence[PartPlan], *, own: bool) -> None:
    """Make sure that a board holds no rows of other episodes, with which ours could not be compared.

    Args:
        board: board folder. own: whether it is the store's own board: outdated rows are then taken out
            (the store can give them again); else they are refused.

    Raises:
        EpishotError: it holds such rows, or cannot be written to.
    """
    from .atomic import writable_folder

    writable_folder(board, "--board")
    for plan in plans:
        for path, record in _records(board, plan):
            if record is not None and _comparable(record, plan):
                continue
            if not own:
                raise EpishotError(
                    f"The board {board} holds {path.stem!r} on other episodes of {plan.task.card.name} "
                    f"{plan.part.protocol} (or of another version); choose another --board, or delete the rows."
                )
            path.unlink()
            path.with_name(f"{path.stem}.replicates.parquet").unlink(missing_ok=True)


def _records(board: Path, plan: PartPlan) -> Iterator[tuple[Path, CompactRecord | None]]:
    folder = board / "records" / plan.task.card.name / plan.part.protocol
    for path in sorted(folder.glob("*.json")):
        yield path, _read(path)


def _read(path: Path) -> CompactRecord | None:
    try:
        return CompactRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _comparable(record: CompactRecord, plan: PartPlan) -> bool:
    theirs = (record.task_hash, record.episode_set, record.evaluator)
    return theirs == (plan.task.content_hash, plan.episodes.hash, EVALUATOR_VERSION)


def update_board(result: PartResult, store: RunStore, board: Path, executor: Executor, command: str) -> list[str]:
    """Write the compact records of a part's methods and reference rows that are not up to date.

    Args:
        result: what the runner did. store, board: folders. executor: gives the processes that bootstrap.
        command: printed as provenance.

    Returns:
        Names of the rows written.
    """
    plan = result.plan
    current = {record.method.name: record for _, record in _records(board, plan) if record is not None}
    orders = [order for order in _orders(plan) if not _up_to_date(current.get(order.facts.name), order, result)]
    if not orders:
        return []
    from .compact import write_compact

    shared = _shared(plan, store, command)
    for summary in executor.map_trusted(_summarise, orders, shared):
        write_compact(board, summary.record, summary.replicates)
    return [order.facts.name for order in orders]


def _orders(plan: PartPlan) -> Iterator[_Order]:
    for method in plan.methods:
        runs = tuple(run for fit in plan.fits if fit.method is method for run in fit.runs)
        seeds = tuple(range(1 if method.deterministic else plan.part.seeds))
        yield _Order(method.facts, runs, plan.part.conditions_for(method.regimes), seeds)
    for name in plan.task.references:
        yield _Order(reference_facts(name), (), (REFERENCE_CONDITION,), (0,), reference=name)


def _up_to_date(record: CompactRecord | None, order: _Order, result: PartResult) -> bool:
    if record is None or order.facts.name in result.touched:
        return False
    cells = {entry.cell for entry in record.entries if entry.reason != _NOT_ASKED}
    return (
        record.run_keys == tuple(sorted(run.key for run in order.runs))
        and record.method == order.facts
        and cells >= set(result.plan.part.cells or ())
    )


def _shared(plan: PartPlan, store: RunStore, command: str) -> _Shared:
    from ..tasks.overlap import shared_loci
    from .summarise import collect_queries

    overlap = {}
    if plan.part.protocol == "cell":
        overlap = {split.cell: shared_loci(plan.task, split) for split in plan.splits}
    return _Shared(
        task=plan.task,
        episodes=plan.episodes,
        queries=collect_queries(plan.task, plan.episodes.splits),
        cells=tuple(plan.part.cells or plan.task.card.cells),
        overlap=overlap,
        scorings=_scorings(store, plan),
        store=store.folder,
        command=command,
        commit=provenance.commit(),
        versions=provenance.versions(),
    )


def _summarise(order: _Order, shared: _Shared) -> Summary:
    from .summarise import summarise_method

    store = RunStore(shared.store)
    found = _stored(order.runs, store)
    if order.reference is not None:
        runs = reference_runs(shared.task, shared.episodes, order.reference)
        found = _Found([run for run in runs if run.cell in shared.cells], [], {})
    return summarise_method(
        shared.task,
        shared.episodes,
        order.facts,
        found.runs,
        conditions=order.conditions,
        seeds=order.seeds,
        failures=found.failures,
        cells=shared.cells,
        queries=shared.queries,
        cost=found.cost,
        overlap=shared.overlap,
        test_scorings=shared.scorings.get(order.facts.name, 0),
        command=shared.command,
        commit=shared.commit,
        versions=shared.versions,
    )


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
        failed = store.failed(fit.task, run.key)
        reason = "the scores in the run store are damaged" if failed is None else (failed.error or "failed")
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

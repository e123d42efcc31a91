"""The runner: load, audit, plan, run what is missing, write records, summarise. Metrics are computed here."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import provenance
from .described import describe_methods
from .executor import Executor, FitOutcome
from .plan import Missing, PartPlan, PlannedRun, make_plan, missing_runs
from .predict_cost import CostModel, cost_model
from .prepare import PreparedFit, prepare_fit
from .progress import FitProgress
from .records import Cost, RunRecord
from .specs import Suite, SuitePart
from .store import RunStore

if TYPE_CHECKING:
    from rich.console import Console

    from ..tasks.episodes import EpisodeSet
    from ..tasks.task import Task
    from .query_facts import QueryFacts


@dataclass(frozen=True)
class RunOptions:
    """How to run, as opposed to what.

    Attributes:
        jobs: fits at a time. timeout_s: wall seconds a fit may take, None for no limit.
        command: the command as it is to be printed on the leaderboard.
    """

    jobs: int = 1
    timeout_s: float | None = None
    command: str = "epishot (Python)"


@dataclass
class PartResult:
    """What became of a part.

    Attributes:
        computed, cached: number of runs. failed: runs without scores, with the first line of the cause.
        touched: names of the methods of which anything was computed.
    """

    plan: PartPlan
    computed: int = 0
    cached: int = 0
    failed: list[tuple[PlannedRun, str]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)


class Interrupted(Exception):
    """Ctrl-C during a run; finished records are kept."""

    def __init__(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        super().__init__(f"Interrupted: {done} of {total} runs are done and kept; the same command goes on from there.")


@dataclass(frozen=True, eq=False)
class PreparedPart:
    """A part ready to run: its plan, what is missing, and what that will cost."""

    plan: PartPlan
    missing: list[Missing]
    costs: CostModel

    @property
    def predicted_s(self) -> float:
        """Predicted seconds of one core for the missing fits."""
        return self.costs.total_s(self.missing, self.plan.part.budget)


def make_executor(options: RunOptions) -> Executor:
    """An executor with the package's own methods preloaded."""
    return Executor(options.jobs, timeout_s=options.timeout_s, preload=["epishot.benchmark.preload_methods"])


def prepare_part(part: SuitePart, store: RunStore, executor: Executor) -> PreparedPart:
    """Load the task, build or load its episode set, audit every split, describe the methods, lay out the grid.

    Raises:
        EpishotError: anything the user can mend. OverlapError: a split shares loci it must not share.
    """
    from ..tasks.catalog import load_task

    methods = describe_methods(part.methods, store, executor)
    task = load_task(part.task)
    for cell in part.cells or ():
        task.cell_code(cell)
    plan = make_plan(part, task, episode_set(part, task, store), methods)
    return PreparedPart(plan, missing_runs(plan, store), cost_model(store, task.card.name))


def episode_set(part: SuitePart, task: Task, store: RunStore) -> EpisodeSet:
    """The episode set of a part, kept in the store. Building it audits every split for shared loci."""
    from ..tasks.episodes import EpisodeSet

    episodes = EpisodeSet.build(task, part.protocol, part.episode_shots, part.draws)
    folder = store.episodes(episodes.hash)
    if not folder.exists():
        episodes.save(folder)
    return episodes


def run_part(
    prepared: PreparedPart, store: RunStore, executor: Executor, options: RunOptions, console: Console
) -> PartResult:
    """Run the missing fits of a part and write a record for every run, failed ones included.

    Raises:
        Interrupted: Ctrl-C; everything that was finished is in the store.
    """
    plan = prepared.plan
    result = PartResult(plan, cached=plan.n_runs - sum(len(one.runs) for one in prepared.missing))
    if not prepared.missing:
        return result
    facts = _QueryFactsByFold(plan)
    title = f"{plan.task.card.name} {plan.part.protocol}"
    orders: dict[int, PreparedFit] = {}

    def job_of(number: int, missing: Missing):  # type: ignore[no-untyped-def]
        orders[number] = prepare_fit(plan, missing.fit, missing.runs)
        return orders[number].job

    work = [(number, partial(job_of, number, missing)) for number, missing in enumerate(prepared.missing)]
    budget = plan.part.budget
    with FitProgress(console, title, prepared.predicted_s, len(work)) as progress:
        try:
            for number, outcome in executor.run(work):
                missing = prepared.missing[number]
                failed = _record(missing, outcome, orders.pop(number), facts, store)
                result.failed += failed
                result.computed += len(missing.runs) - len(failed)
                result.touched.add(missing.fit.method.name)
                spec = missing.fit.spec
                predicted = prepared.costs.fit_s(spec.task, spec.protocol, spec.method, budget)
                progress.advance(predicted, failed_runs=len(failed))
        except KeyboardInterrupt:
            raise Interrupted(result.computed + result.cached, plan.n_runs) from None
    return result


class _QueryFactsByFold:
    """Facts of each query, built when first needed."""

    def __init__(self, plan: PartPlan) -> None:
        self._plan = plan
        self._facts: dict[tuple[str, int], tuple[QueryFacts, float]] = {}

    def of(self, cell: str, fold: int) -> tuple[QueryFacts, float]:
        """The facts, and the mean prevalence of the training cells."""
        from .metrics import mean_prevalence
        from .query_facts import QueryFacts

        if (cell, fold) not in self._facts:
            split = next(s for s in self._plan.splits if (s.cell, s.fold) == (cell, fold))
            columns = self._plan.task.columns
            prevalence = mean_prevalence(columns.label[split.train_rows], columns.cell[split.train_rows])
            self._facts[cell, fold] = QueryFacts.of(self._plan.task, split), prevalence
        return self._facts[cell, fold]


def _record(
    missing: Missing, outcome: FitOutcome, prepared: PreparedFit, facts: _QueryFactsByFold, store: RunStore
) -> list[tuple[PlannedRun, str]]:
    """Write the records of one fit; returns the failed runs."""
    from .metrics import episode_metrics

    fit = missing.fit
    query, prevalence = facts.of(fit.spec.cell, fit.spec.fold)
    failed = []
    for number, run in enumerate(missing.runs):
        common = {
            "key": run.key,
            "identity": run.identity,
            "n": query.n,
            "positives": query.positives,
            "environment": provenance.environment(),
        }
        error = outcome.error_of(number)
        if error is not None:
            failed.append((run, error.splitlines()[0]))
            store.write(RunRecord(**common, status="failed", error=error), None)
            continue
        answer = outcome.scored[number]
        scores = prepared.in_query_order(answer.scores)
        episodes = episode_metrics(query, scores, fit.method.facts.logits, run.spec.condition.balance, prevalence)
        fitted = outcome.fitted
        assert fitted is not None, "a scored run has a fit"
        cost = Cost(
            fit_s=fitted.fit_s,
            score_s=answer.score_s,
            cpu_s=fitted.cpu_s + answer.cpu_s,
            peak_memory_mb=answer.peak_memory_mb,
            n_parameters=fitted.n_parameters,
        )
        store.write(RunRecord(**common, status="ok", episodes=tuple(episodes), cost=cost), scores)
    return failed


def run_suite(
    suite: Suite, store_folder: Path, board: Path | None, options: RunOptions, console: Console
) -> list[PartResult]:
    """Run a suite and update the board's compact records.

    Args:
        suite: what to run. store_folder: the run store. board: board folder; the store's own by default.
        options: how to run. console: for the progress line and notes.

    Raises:
        EpishotError: anything the user can mend. Interrupted: Ctrl-C.
    """
    from .summaries import check_board, update_board

    store = RunStore(store_folder)
    executor = make_executor(options)
    prepared = [prepare_part(part, store, executor) for part in suite.parts]
    check_board(board or store.board, [one.plan for one in prepared], own=board is None)
    results = []
    for one in prepared:
        result = run_part(one, store, executor, options, console)
        results.append(result)
        update_board(result, store, board or store.board, executor, options.command)
    return results

"""The runner: load, audit, plan, choose settings, run what is missing, write records, summarise. Metrics are computed
here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import provenance
from .described import Description, describe_methods
from .executor import Executor, FitOutcome
from .interrupts import noticed_interrupts
from .plan import Missing, PartPlan, PlannedFit, PlannedRun, make_plan, missing_runs
from .predict_cost import CostModel, cost_model
from .prepare import PreparedFit, prepare_fit
from .progress import FitProgress
from .records import Cost, RunRecord
from .specs import Suite, SuitePart
from .store import RunStore
from .tuning import SettingFit, Tuning, choose_settings, plan_tuning
from .within_cell import within_cell

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from ..tasks.episodes import EpisodeSet
    from ..tasks.task import Task
    from .jobs import FitJob
    from .records import EpisodeMetrics
    from .summarise import Query


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
        tuning_fits: fits that chose settings, now.
    """

    plan: PartPlan
    computed: int = 0
    cached: int = 0
    tuning_fits: int = 0
    failed: list[tuple[PlannedRun, str]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)


class Interrupted(Exception):
    """Ctrl-C during a run; finished records are kept."""

    def __init__(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        super().__init__(f"Interrupted: {done} of {total} runs are done and kept; the same command goes on from there.")


@dataclass(frozen=True, eq=False)
class PreparedPart:
    """A part ready to run: its plan, what is missing, and what that will cost.

    Attributes:
        tuning: what chooses the settings of its methods; until `tune_part` has run its missing fits, the plan's
            tuned methods have settings that are not chosen yet.
        references: methods that follow those of the part in the plan. tuned_fits: fits that have chosen settings.
    """

    plan: PartPlan
    missing: list[Missing]
    costs: CostModel
    tuning: Tuning
    references: tuple[Description, ...]
    tuned_fits: int = 0

    @property
    def predicted_s(self) -> float:
        """Predicted seconds of one core for the missing fits, without those that choose settings."""
        return self.costs.total_s(self.missing, self.plan.part.budget)

    @property
    def predicted_tuning_s(self) -> float:
        """Predicted seconds of one core for the missing fits that choose settings."""
        return sum(self.tuning_fit_s(fit) for fit in self.tuning.missing)

    def tuning_fit_s(self, fit: SettingFit) -> float:
        """Predicted seconds of one fit that chooses a setting."""
        method = next(method for method in self.plan.methods if method.name == fit.identity.method)
        return self.costs.method_s(self.plan.task.card.name, self.plan.part.protocol, method, self.plan.part.budget)


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
    references = () if task.references else (within_cell(store, executor),)
    for cell in part.cells or ():
        task.cell_code(cell)
    episodes = episode_set(part, task, store)
    tuning = plan_tuning(part, task, episodes, methods, store, executor)
    plan = make_plan(part, task, episodes, [*tuning.methods, *references])
    return PreparedPart(plan, missing_runs(plan, store), cost_model(store, task.card.name), tuning, references)


def tune_part(prepared: PreparedPart, store: RunStore, executor: Executor, console: Console) -> PreparedPart:
    """Choose the settings that are not chosen yet; the same part where there is nothing to choose.

    Raises:
        Interrupted: Ctrl-C; the scores of finished fits are in the store.
    """
    if not prepared.tuning.missing:
        return prepared
    plan = prepared.plan
    tuning = prepared.tuning.looked_up(store)  # another part may have chosen meanwhile
    with (
        FitProgress(
            console, f"{plan.task.card.name}: choosing settings", prepared.predicted_tuning_s, len(tuning.missing)
        ) as progress,
        noticed_interrupts() as raise_if_interrupted,
    ):

        def after_each(fit: SettingFit) -> None:
            progress.advance(prepared.tuning_fit_s(fit), failed_runs=0)
            raise_if_interrupted()

        try:
            chosen = choose_settings(tuning, plan.part.budget, store, executor, after_each)
        except KeyboardInterrupt:
            raise Interrupted(plan.n_runs - sum(len(one.runs) for one in prepared.missing), plan.n_runs) from None
    plan = make_plan(plan.part, plan.task, plan.episodes, [*chosen.methods, *prepared.references])
    return replace(
        prepared, plan=plan, missing=missing_runs(plan, store), tuning=chosen, tuned_fits=len(tuning.missing)
    )


def episode_set(part: SuitePart, task: Task, store: RunStore) -> EpisodeSet:
    """The episode set of a part, kept in the store. Building it audits every split for shared loci.

    A kept set that is damaged is replaced.
    """
    from ..tasks.episode_files import holds_intact
    from ..tasks.episodes import EpisodeSet

    episodes = EpisodeSet.build(task, part.protocol, part.episode_shots, part.draws)
    folder = store.episodes(episodes.hash)
    if not holds_intact(episodes, folder):
        shutil.rmtree(folder, ignore_errors=True)
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
    cached = plan.n_runs - sum(len(one.runs) for one in prepared.missing)
    result = PartResult(plan, cached=cached, tuning_fits=prepared.tuned_fits)
    if not prepared.missing:
        return result
    queries = _Queries(plan)
    title = f"{plan.task.card.name} {plan.part.protocol}"
    fits: dict[int, PreparedFit] = {}

    def job_of(number: int, missing: Missing) -> FitJob:
        fits[number] = prepare_fit(plan, missing.fit, missing.runs)
        return fits[number].job

    work = [(number, partial(job_of, number, missing)) for number, missing in enumerate(prepared.missing)]
    budget = plan.part.budget
    with (
        FitProgress(console, title, prepared.predicted_s, len(work)) as progress,
        noticed_interrupts() as raise_if_interrupted,
    ):
        try:
            for number, outcome in executor.run(work):
                missing = prepared.missing[number]
                failed = _record(missing, outcome, fits.pop(number), queries.of(missing.fit), store)
                result.failed += failed
                result.computed += len(missing.runs) - len(failed)
                result.touched.add(missing.fit.method.name)
                predicted = prepared.costs.fit_s(missing.fit, budget)
                progress.advance(predicted, failed_runs=len(failed))
                raise_if_interrupted()
        except KeyboardInterrupt:
            raise Interrupted(result.computed + result.cached, plan.n_runs) from None
    return result


class _Queries:
    """What the evaluator knows of each query, collected when first needed."""

    def __init__(self, plan: PartPlan) -> None:
        self._plan = plan
        # Not the split of the fit: the within-cell oracle trains on other rows, and prevalence is the training cells'.
        self._splits = {(split.cell, split.fold): split for split in plan.splits}
        self._found: dict[tuple[str, int], Query] = {}

    def of(self, fit: PlannedFit) -> Query:
        """The query that a fit is scored on."""
        from .summarise import Query

        key = (fit.spec.cell, fit.spec.fold)
        if key not in self._found:
            self._found[key] = Query.of(self._plan.task, self._splits[key])
        return self._found[key]


def _record(
    missing: Missing, outcome: FitOutcome, prepared: PreparedFit, query: Query, store: RunStore
) -> list[tuple[PlannedRun, str]]:
    """Write the records of one fit; returns the failed runs."""
    failed = []
    for number, run in enumerate(missing.runs):
        record = RunRecord(
            key=run.key,
            identity=run.identity,
            status="failed",
            error=outcome.error_of(number),
            n=query.facts.n,
            positives=query.facts.positives,
            environment=provenance.environment(),
        )
        if record.error is not None:
            failed.append((run, record.error.splitlines()[0]))
            store.write(record, None)
            continue
        scores = prepared.in_query_order(outcome.scored[number].scores)
        update = {
            "status": "ok",
            "episodes": _metrics(missing.fit, run, query, scores),
            "cost": _cost(outcome, number),
        }
        store.write(record.model_copy(update=update), scores)
    return failed


def _metrics(fit: PlannedFit, run: PlannedRun, query: Query, scores: np.ndarray) -> tuple[EpisodeMetrics, ...]:
    from .metrics import episode_metrics

    balance = run.spec.condition.balance
    return tuple(episode_metrics(query.facts, scores, fit.method.facts.logits, balance, query.train_prevalence))


def _cost(outcome: FitOutcome, number: int) -> Cost:
    fitted, scored = outcome.fitted, outcome.scored[number]
    assert fitted is not None, "a scored run has a fit"
    return Cost(
        fit_s=fitted.fit_s,
        score_s=scored.score_s,
        cpu_s=fitted.cpu_s + scored.cpu_s,
        fit_cpu_s=fitted.cpu_s,
        peak_memory_mb=scored.peak_memory_mb,
        n_parameters=fitted.n_parameters,
    )


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
    from .audit_store import attach_audits
    from .board_rows import clear_board
    from .summaries import update_board

    store = RunStore(store_folder)
    executor = make_executor(options)
    prepared = [prepare_part(part, store, executor) for part in suite.parts]
    for line in clear_board(board or store.board, [one.plan for one in prepared], own=board is None):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    results = []
    for one in prepared:
        result = run_part(tune_part(one, store, executor, console), store, executor, options, console)
        results.append(result)
        update_board(result, store, board or store.board, executor, options.command)
    attach_audits(store, board or store.board)
    return results

"""A sample of archived runs executed again with the method registered here, and their scores compared."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..methods.base import Balance, Regime
from ..tasks.errors import EpishotError
from .archive import RunPlace, archive_path, read_archive
from .described import Description, describe_methods
from .findings import Finding, Status
from .overrides import arguments_in
from .plan import PlannedFit, PlannedRun, make_plan
from .prepare import PreparedFit, prepare_fit
from .published import Published
from .specs import MethodSpec, SuitePart
from .store import RunStore
from .tuned import tuned_in
from .verify_tasks import LocalTasks
from .within_cell import LEARNER, is_within_cell, within_cell

if TYPE_CHECKING:
    from .executor import Executor, FitOutcome
    from .jobs import FitJob
    from .plan import PartPlan

#: Largest difference of two scores, relative to the larger of 1 and the archived score, that another processor or
#: another version of a library may make. The same versions on the same kind of processor give equal bits.
TOLERANCE = 1e-6


def method_spec(reference: str, published: Sequence[Published]) -> tuple[MethodSpec, list[Published]]:
    """What `--rerun` names, and the records of it.

    Args:
        reference: a row's name (`maml`, `maml[steps=5]`), or `file.py:ClassName` of the user's own.
        published: the records that could be run again.

    Raises:
        EpishotError: there is no such row, or it cannot be run again.
    """
    from ..methods.registry import METHODS, find_method

    name = find_method(reference).name if ":" in reference else reference
    records = [one for one in published if one.record.method.name == name]
    if not records:
        known = ", ".join(sorted({one.record.method.name for one in published})) or "none"
        raise EpishotError(f"No verifiable row is called {name!r}; there are {known}.")
    facts = records[0].record.method
    if is_within_cell(facts):
        return MethodSpec(LEARNER), records
    if facts.kind in ("reference", "external"):
        what = "comes with the task" if facts.kind == "reference" else "was made elsewhere"
        raise EpishotError(f"The row {name!r} {what}: there is no method to run again.")
    if ":" in reference:
        return MethodSpec(reference), records
    base, bracket, _ = name.partition("[")
    if base not in METHODS:
        raise EpishotError(f"No method {base!r} is registered here; name its file: --rerun path/to/file.py:ClassName.")
    return MethodSpec(base, arguments_in(name, facts.config) if bracket else "{}"), records


def rerun(
    spec: MethodSpec,
    records: Sequence[Published],
    archive: Path | None,
    sample: int,
    tasks: LocalTasks,
    executor: Executor,
) -> Iterator[Finding]:
    """Run a random sample of the archived runs of each record again; yields the findings `rerun`.

    Args:
        spec, records: from `method_spec`. archive: folder of full scores. sample: runs per task and protocol.
        tasks: the tasks at hand. executor: runs the fits.

    Raises:
        EpishotError: the method cannot be found or built.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        if is_within_cell(records[0].record.method):
            description = within_cell(store, executor)
        else:
            (description,) = describe_methods([spec], store, executor)
    for one in records:
        try:
            yield from _rerun_record(one, spec, description, archive, sample, tasks, executor)
        except EpishotError as error:
            yield Finding("rerun", one.subject, Status.COULD_NOT, str(error))


def _rerun_record(
    one: Published,
    spec: MethodSpec,
    description: Description,
    archive: Path | None,
    sample: int,
    tasks: LocalTasks,
    executor: Executor,
) -> Iterator[Finding]:
    record = one.record
    if (tuned := tuned_in(record.method.config)) is not None:
        description = description.as_tuned(tuned)
    if (description.facts.version, description.facts.config) != (record.method.version, record.method.config):
        text = f"version {description.facts.version} of the method, or its configuration, is another one here"
        yield Finding("rerun", one.subject, Status.COULD_NOT, text)
        return
    path = archive_path(archive, record.task, record.protocol, record.method.name) if archive else None
    if path is None or not path.is_file():
        yield Finding("rerun", one.subject, Status.COULD_NOT, "its full scores are not at hand: name --archive")
        return
    archived = {RunPlace.of(run): run.scores for run in read_archive(path)}
    plan = make_plan(_part(one, spec), tasks.find(record.task), tasks.episodes(record), [description])
    runs = {_place(run): (fit, run) for fit in plan.fits for run in fit.runs}
    places = sorted(set(archived) & set(runs))
    # Not a fixed sample: whoever knows which runs are looked at can leave those alone.
    chosen = sorted(random.SystemRandom().sample(places, min(sample, len(places))))
    if not chosen:
        yield Finding("rerun", one.subject, Status.FAILED, "none of its archived runs can be planned here")
        return
    for place, scores in _execute([runs[place] for place in chosen], plan, executor):
        yield _compare(one, place, archived[place], scores, same=runs[place][1].key in record.run_keys)


def _part(one: Published, spec: MethodSpec) -> SuitePart:
    record = one.record
    regimes = sorted({Regime(entry.regime) for entry in record.entries} - {Regime.NONE})
    balances = {Balance(entry.balance) for entry in record.entries if entry.k}
    return SuitePart(
        task=record.task,
        protocol=record.protocol,
        methods=(spec,),
        shots=record.shots,
        regimes=tuple(regimes) or (Regime.LABELLED,),
        balances=tuple(sorted(balances)) or (Balance.NATURAL,),
        draws=record.draws,
        seeds=max([entry.seeds for entry in record.entries] or [1]) or 1,
        budget=record.budget,
    )


def _place(run: PlannedRun) -> RunPlace:
    fit, condition = run.spec.fit, run.spec.condition
    return RunPlace(fit.cell, fit.fold, condition.regime.value, condition.balance.value, condition.k, fit.seed)


def _execute(
    chosen: Sequence[tuple[PlannedFit, PlannedRun]], plan: PartPlan, executor: Executor
) -> Iterator[tuple[RunPlace, np.ndarray | str]]:
    """Scores of each chosen run in query order, or why there are none; runs of one fit share it."""
    groups: dict[PlannedFit, list[PlannedRun]] = {}
    for fit, run in chosen:
        groups.setdefault(fit, []).append(run)
    prepared: dict[int, PreparedFit] = {}
    fits = list(groups.items())

    def job_of(number: int) -> FitJob:
        fit, runs = fits[number]
        prepared[number] = prepare_fit(plan, fit, tuple(runs))
        return prepared[number].job

    work = [(number, lambda number=number: job_of(number)) for number in range(len(fits))]
    outcome: FitOutcome
    for number, outcome in executor.run(work):
        ready = prepared.pop(number)
        for request, run in enumerate(fits[number][1]):
            error = outcome.error_of(request)
            yield _place(run), error if error else ready.in_query_order(outcome.scored[request].scores)


def _compare(one: Published, place: RunPlace, old: np.ndarray, new: np.ndarray | str, *, same: bool) -> Finding:
    where = f"{one.subject}, {place.cell} fold {place.fold} seed {place.seed}, {place.regime} k={place.k}"
    if isinstance(new, str):
        return Finding("rerun", where, Status.FAILED, f"it fails here: {new.splitlines()[0]}")
    if old.shape != new.shape:
        return Finding("rerun", where, Status.FAILED, f"archived are {old.shape} scores, run again {new.shape}")
    largest = float(np.max(np.abs(old - new) / np.maximum(1.0, np.abs(old)), initial=0.0))
    versions = "the same code and versions" if same else "other code or versions than the record's"
    if largest > TOLERANCE:
        text = f"its scores differ by up to {largest:.3g} (tolerance {TOLERANCE:g}; {versions})"
        return Finding("rerun", where, Status.FAILED, text)
    equal = "bit-equal" if np.array_equal(old, new) else f"equal within {TOLERANCE:g}, not in every bit"
    return Finding("rerun", where, Status.VERIFIED, f"{equal} ({versions})")

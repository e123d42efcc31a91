"""The audit of an energy method: train under observation, check the alignment, judge the known failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from ....tasks.errors import MethodError
from ...audits.finding import AuditFailure, Finding, Outcome
from ...base import FitContext, TrainTable
from ...device import on_cpu
from ..environments.cell_features import cell_statistics
from ..method import EnergyMethod, _identity
from ..samplers.base import TrainingLabels
from ..samplers.loci import locus_groups
from . import verdicts_decoupling as decoupling
from . import verdicts_scores as scores
from . import verdicts_training as steps
from .batches import batches
from .bottleneck_noise import bottleneck
from .cell_blind import cell_blind, identity_blind
from .cell_monitors import cell_rows, joint_rows, last_rows
from .checkpoint import checkpoint
from .configuration import configuration
from .evaluation import evaluation, recorded
from .gradient_routing import gradient_share, routing
from .held_out import HeldOut, hold_out
from .monitor_table import Row
from .one_energy import one_energy
from .presence import presence
from .snapshot import HELD_OUT, CellRows, Snapshot, take
from .subject import Subject
from .thresholds import MATURE
from .trace import trace
from .training_monitors import gradient_rows, pace_rows, step_rows
from .unknown_cell import support_reading, unknown_cell
from .unobservable import UNOBSERVABLE
from .verdict import not_evaluable
from .watch import Watch

if TYPE_CHECKING:
    from ..training import _Training

#: Told of every logged step, for progress.
Listener = Callable[[Sequence[Row]], None]
_WATCHED_ROWS, _LOGS = 150, 10

#: Checked while training goes on.
_DURING: tuple[Callable[[Watch], Finding], ...] = (presence, configuration, batches, routing)
#: Checked on the trained model.
_AFTER: tuple[Callable[[Subject], Finding], ...] = (
    trace,
    cell_blind,
    bottleneck,
    one_energy,
    unknown_cell,
    support_reading,
    identity_blind,
    evaluation,
    checkpoint,
)
_VERDICTS: tuple[Callable[[Subject], Finding], ...] = (
    decoupling.pseudo_decoupling,
    decoupling.constant_environment,
    scores.temperature_limits,
    decoupling.translation_drift,
    scores.collapse,
    scores.overfit,
    decoupling.role_swap,
    decoupling.nonlinear_dependence,
    steps.cancellation,
    steps.stall,
    steps.mixed_context,
    scores.inflated_training,
    steps.dead_competition,
    steps.suicidal_push,
    scores.constant_energy,
    steps.absent_at_inference,
    decoupling.student_mimicry,
    scores.weak_ranking,
    steps.id_environment,
    steps.dominant_regulariser,
    scores.ranking_mismatch,
    steps.over_compression,
    scores.saturated,
    steps.dominant_adversary,
    scores.gene_prior,
    steps.degenerate_loss,
    scores.label_shortcut,
    steps.no_validation,
    steps.negative_loss,
    decoupling.inverted_ranking,
)
#: Names of the alignment checks, which `strict` aborts on.
ALIGNMENT = (
    "presence",
    "configuration",
    "batches",
    "routing",
    "gradient-share",
    "trace",
    "cell-blind",
    "bottleneck",
    "one-energy",
    "unknown-cell",
    "support-reading",
    "identity-blind",
    "evaluation",
    "checkpoint",
)
#: Verdicts that wait for a model that has learned.
_LEARNED = frozenset(
    {"J4-translation-drift", "J12-stall", "J20-student-mimicry", "J24-ranking-mismatch", "J25-over-compression"}
)
#: Alignment checks that say the same as a failure of the list.
_ALIASES = {"one-energy": "J19-branch-choice", "evaluation": "J28-prevalence"}


@on_cpu()
def audit_energy(
    method: EnergyMethod,
    train: TrainTable,
    context: FitContext,
    *,
    strict: bool = False,
    monitors: Path | None = None,
    listener: Listener | None = None,
) -> Sequence[Finding]:
    """Audit a method by training another object of its configuration on all training cells but one.

    Args:
        method: need not be fitted, and is left alone. train, context: as `fit` would get them; the budget says how
            briefly to train. strict: abort at the first alignment check that fails. monitors: Parquet file that the
            monitors are written to. listener: is told of every logged step.

    Raises:
        AuditFailure: under `strict`; the text names check, file, class and loss.
        MethodError: the method cannot be trained on this table at all.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            subject = observed(method, train, context, strict=strict, listener=listener)
            return _findings(subject, strict, monitors)
    finally:
        torch.set_num_threads(threads)


def observed(
    method: EnergyMethod,
    train: TrainTable,
    context: FitContext,
    *,
    strict: bool = False,
    listener: Listener | None = None,
) -> Subject:
    """Train under observation; what the checks are then made on."""
    config = method._config
    twin = type(method)(**method.config())
    rest, held = hold_out(train, context.generator(17), transductive=method.transductive)
    labels = TrainingLabels(
        rest.label.astype(np.int64), rest.cell.astype(np.int64), locus_groups(rest.pairs), _identity(rest.pairs)
    )
    watch = Watch(config, labels, guard=_guard if strict else None, logs=_LOGS)
    subject = Subject(twin, config, rest, held, watch, context.seed, context.budget)
    rows: list[CellRows] = []

    def log(training: _Training, step: int, stage: str) -> None:
        if not rows:
            rows.extend(_watched_rows(training, subject))
        snapshot = take(training.model, tuple(rows), step, stage)
        _note(subject, snapshot, [*pace_rows(training, step, stage)], listener)

    watch._log = log
    twin.observer = watch
    with recorded(subject.evaluations):
        twin.fit(rest, context)
    twin.observer = None
    if watch.training is None:
        raise MethodError(f"Method {method.name!r} did not train under observation.")
    every = max(1, watch.training.total // _LOGS)
    subject.monitors.add(step_rows(watch.trail, every))
    subject.monitors.add(gradient_rows(watch.trail))
    with torch.random.fork_rng(devices=[]):
        last = take(twin.model, tuple(rows), watch.training.done, config.stages[-1].name)
    more = [*pace_rows(watch.training, last.step, last.stage), *last_rows(last, subject.seed)]
    _note(subject, last, more, listener)
    per_row = subject.model_parameters / max(1, rest.pairs.n)
    subject.monitors.add([Row(last.step, last.stage, None, "parameters-per-row", per_row)])
    subject.monitors.rows.sort(key=lambda row: row.step)
    return subject


def _note(subject: Subject, snapshot: Snapshot, more: list[Row], listener: Listener | None) -> None:
    rows = [*cell_rows(snapshot), *joint_rows(snapshot, subject.seed), *more]
    subject.snapshots.append(snapshot)
    subject.monitors.add(rows)
    if listener is not None:
        listener(rows)


def _findings(subject: Subject, strict: bool, monitors: Path | None) -> Sequence[Finding]:
    if monitors is not None:
        subject.monitors.write(monitors)
    found = [check(subject.watch) for check in (*_DURING, gradient_share)]
    if strict:
        _refuse(found)
    for check in _AFTER:
        found.append(_guarded(check, subject))
        if strict:
            _refuse(found[-1:])
    verdicts = [_matured(_guarded(check, subject), subject) for check in _VERDICTS]
    verdicts += [replace(finding, name=_ALIASES[finding.name]) for finding in found if finding.name in _ALIASES]
    broken = [finding.name for finding in found if finding.outcome is Outcome.FAIL]
    gap = Finding(
        "J11-implementation-gap",
        Outcome.FAIL if broken else Outcome.PASS,
        f"What was trained is not what was declared: {', '.join(broken)}."
        if broken
        else "What was trained is what was declared.",
        {"failed_alignment_checks": len(broken), "threshold": 0},
    )
    verdicts += [gap, *(not_evaluable(name, reason) for name, reason in UNOBSERVABLE.items())]
    return [*found, *sorted(verdicts, key=_number)]


def _guarded(check: Callable[[Subject], Finding], subject: Subject) -> Finding:
    """A check whose subject breaks under it has failed: a part that cannot be asked is not what was declared."""
    try:
        return check(subject)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError, MethodError) as error:
        name = check.__name__.replace("_", "-")
        return Finding(name, Outcome.FAIL, f"The check could not be made: {type(error).__name__}: {error}")


def _matured(finding: Finding, subject: Subject) -> Finding:
    """Some failures mean nothing while a model is still at the beginning of its training."""
    budget = subject.budget
    if finding.name not in _LEARNED or finding.outcome is not Outcome.FAIL or budget >= MATURE:
        return finding
    said = finding.sentence[0].lower() + finding.sentence[1:]
    return not_evaluable(
        finding.name, f"only {budget:.0%} of the method's steps were made; so far {said}", finding.evidence
    )


def _guard(watch: Watch) -> None:
    _refuse([check(watch) for check in _DURING])


def _refuse(findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.outcome is Outcome.FAIL:
            raise AuditFailure(f"Audit check {finding.name!r} failed in {finding.where}: {finding.sentence}")


def _number(finding: Finding) -> tuple[int, int]:
    head = finding.name.split("-")[0]
    return (0, int(head[1:])) if head[0] == "J" and head[1:].isdigit() else (1, 0)


def _watched_rows(training: _Training, subject: Subject) -> list[CellRows]:
    """At most 150 fixed rows of every training cell that is drawn from, and of the held-out one."""
    rng = np.random.default_rng([subject.seed, 23])
    data, labels, out = training.data, training.labels, []
    for code in range(subject.train.n_cells):
        rows = np.flatnonzero(labels.cell == code)
        if not 0 < labels.label[rows].sum() < rows.size:
            continue
        rows = np.sort(rng.permutation(rows)[:_WATCHED_ROWS])
        observed = None if data.observed is None else data.observed[code]
        out.append(CellRows.drawn(code, data.inputs.take(torch.from_numpy(rows)), labels.label[rows], rng, observed))
    if not subject.held.seen:
        out.append(_held_out_rows(subject, subject.held, rng))
    return out


def _held_out_rows(subject: Subject, held: HeldOut, rng: np.random.Generator) -> CellRows:
    rows = np.sort(rng.permutation(held.query.n)[: 2 * _WATCHED_ROWS])
    inputs = subject.method._reader.of_cell(held.query.take(rows), held.cell_table)
    observed = None
    if subject.method._reads_cell and held.cell_table is not None:
        observed = torch.from_numpy(cell_statistics(held.cell_table.column("features")))
    return CellRows.drawn(HELD_OUT, inputs, held.label[rows].astype(np.int64), rng, observed)

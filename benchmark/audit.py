"""Audit a method: train it briefly on one cut of a task, and put every check to it that fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..methods.audits.cut import audit_split, cut, own_train
from ..methods.audits.finding import Finding, Outcome
from ..methods.audits.harness import raise_first_failure
from ..methods.check_case import served_settings
from ..tasks.errors import EpishotError
from . import provenance
from .audit_isolation import fresh_process, handed_labels, support_overlap
from .audit_worker import AuditOrder, OwnPart, harness, own_audit
from .described import Description
from .executor import Executor
from .records import AuditFinding, AuditRecord

if TYPE_CHECKING:
    from ..tasks.task import Task

R = TypeVar("R")

#: Factor on training steps: the harness fits a method a dozen times, a method's own audit once, and what it says of a
#: model that has learned needs one that has.
AUDIT_BUDGET, OWN_BUDGET = 0.1, 1.0
#: Supports per setting that are scored again in the runner's own processes.
_EPISODES = 2


@dataclass(frozen=True)
class AuditOptions:
    """How to audit.

    Attributes:
        budget: factor on the training steps of the harness's fits. seed: of the cut and of the fits.
        strict: stop at the first failure. monitors: file for what the method's own audit logs.
        own_budget: factor on the training steps of the method's own audit.
        command: printed as provenance.
    """

    budget: float = AUDIT_BUDGET
    seed: int = 0
    strict: bool = False
    monitors: Path | None = None
    command: str = "epishot (Python)"
    own_budget: float = OWN_BUDGET

    def __post_init__(self) -> None:
        for budget in (self.budget, self.own_budget):
            if not 0 < budget < float("inf"):
                raise EpishotError(f"The budget must be a positive number, not {budget}.")
        if self.seed < 0:
            raise EpishotError(f"A seed is a whole number of 0 or more, not {self.seed}.")


def audit_method(method: Description, task: Task, options: AuditOptions, executor: Executor) -> AuditRecord:
    """Audit a method on a task.

    Args:
        method: as `describe_methods` gives it. task: the task. executor: gives the processes.

    Raises:
        EpishotError: the task is too small. AuditFailure: under `strict`, at the first failure.
    """
    split = audit_split(task, options.seed)
    made = cut(task, split, method.reads, seed=options.seed, budget=options.budget)
    requests = tuple(made.case.supports(setting, _EPISODES) for setting in served_settings(method.regimes))
    arguments = json.loads(method.arguments)
    where = method.address.replace("\\", "/").rpartition("/")[2]
    order = AuditOrder(method.address, method.code, arguments, where, made, requests)
    findings = [support_overlap(task, split), handed_labels(task, made, method.reads)]
    result = _call(executor, harness, order)
    findings += [*result.findings, fresh_process(order, result.scores, method.transductive, executor)]
    if options.strict:
        raise_first_failure(findings)
    whole = own_train(task, split, method.reads, options.seed)
    part = OwnPart(whole, options.own_budget, options.strict, options.monitors)
    own = _call(executor, own_audit, replace(order, requests=(), own=part))
    return AuditRecord(
        kind="harness" if own is None else "full",
        method=method.name,
        method_version=method.facts.version,
        method_code=method.code,
        config=method.facts.config,
        config_hash=hashlib.sha256(method.facts.config.encode()).hexdigest(),
        task=task.card.name,
        task_hash=task.content_hash,
        budget=options.budget,
        own_budget=None if own is None else options.own_budget,
        seed=options.seed,
        findings=tuple(map(_written, [*findings, *(own or ())])),
        command=options.command,
        commit=provenance.commit(),
        versions=provenance.versions(),
    )


def _call(executor: Executor, function: Callable[[AuditOrder], R], order: AuditOrder) -> R:
    """Call a function in a process of its own; what breaks it off names the method."""
    try:
        return executor.call(function, order)
    except EpishotError as error:
        if order.where in str(error):
            raise
        raise EpishotError(f"The audit of {order.where} broke off: {error}") from error


def _written(finding: Finding) -> AuditFinding:
    return AuditFinding(
        name=finding.name,
        outcome=Outcome(finding.outcome).value,
        sentence=finding.sentence,
        evidence=dict(finding.evidence),
        where=finding.where,
    )

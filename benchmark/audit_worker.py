"""What happens in the processes of an audit: the harness audits, and a method's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..methods.audits.cut import AuditCut
from ..methods.audits.finding import Finding, Outcome
from ..methods.audits.harness import run_harness
from ..methods.audits.subject import AuditSubject
from ..methods.base import Supports, TrainTable
from ..methods.registry import find_method
from ..tasks.errors import EpishotError
from .worker import check_source, describe_error, seed_everything


@dataclass(frozen=True, eq=False)
class OwnPart:
    """What the method's own audit is given.

    Attributes:
        train: the fold's training rows. budget: factor on training steps.
        strict: whether it stops at the first failure. monitors: file for what it logs.
    """

    train: TrainTable
    budget: float
    strict: bool = False
    monitors: Path | None = None


@dataclass(frozen=True, eq=False)
class AuditOrder:
    """An audit to be made.

    Attributes:
        address, code, arguments: the method. where: file and class in words.
        requests: supports that are scored for comparison with the runner's own process.
        own: for the method's own audit alone.
    """

    address: str
    code: str
    arguments: dict[str, object]
    where: str
    cut: AuditCut
    requests: tuple[Supports, ...]
    own: OwnPart | None = None


@dataclass(frozen=True, eq=False)
class HarnessResult:
    """The findings, and scores (E, n) of each request; None if it could not be scored."""

    findings: list[Finding]
    scores: list[np.ndarray] | None


def harness(order: AuditOrder) -> HarnessResult:
    """Run all harness audits in this process."""
    check_source(order.address, order.code)
    subject = AuditSubject(find_method(order.address), order.cut, order.arguments, seed_everything)
    try:
        subject.score(subject.case.supports(subject.settings[0], 1))
    except EpishotError as error:
        raise EpishotError(f"{order.where} cannot be audited on this task: {error}") from error
    except Exception:  # is a finding
        pass
    findings = [_plain(one, order.where) for one in run_harness(subject, order.where)]
    try:
        scores = [subject.score(supports) for supports in order.requests]
    except Exception:  # the findings tell
        scores = None
    return HarnessResult(findings, scores)


def own_audit(order: AuditOrder) -> list[Finding] | None:
    """Run the method's own audit; None if it has none.

    Raises:
        AuditFailure: under `strict`, at the first failure. EpishotError: under `strict`, it cannot be made.
    """
    check_source(order.address, order.code)
    cls = find_method(order.address)
    hook = getattr(cls, "audit", None)
    if hook is None:
        return None
    own, context = order.own, order.cut.case.context
    assert own is not None
    seed_everything(context.seed)
    try:
        method = cls(**order.arguments)
        context = replace(context, budget=own.budget)
        found = hook(method, own.train, context, strict=own.strict, monitors=own.monitors)
        return [_plain(one, order.where) for one in found]
    except Exception as error:
        if own.strict and isinstance(error, EpishotError):
            raise
        cause = describe_error("audit", error).splitlines()[0]
        return [Finding("own-audit", Outcome.FAIL, f"Its own audit broke off: {cause}.", {}, order.where)]


def _plain(finding: Finding, where: str) -> Finding:
    """The finding with plain, finite figures, as JSON can hold them."""
    figures = {}
    for name, value in finding.evidence.items():
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, float) and not np.isfinite(plain):
            plain = None
        figures[str(name)] = plain if plain is None or isinstance(plain, float | int | str) else str(plain)
    return Finding(finding.name, Outcome(finding.outcome), finding.sentence, figures, finding.where or where)

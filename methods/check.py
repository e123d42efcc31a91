"""`epishot check METHOD`: does a method keep the plugin contract?

Named, individually selectable checks on a small generated task. A check that passes says little about
how good a method is, and much about whether its numbers can be trusted.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ..tasks.errors import EpishotError, UnknownNameError
from ..tasks.task import Task
from . import check_rules as _rules  # noqa: F401 (fills CHECKS)
from .base import Method
from .check_subject import CHECKS, BrokenRuleError, Rule, RuleNotApplicableError, Subject
from .registry import check_method_class

if TYPE_CHECKING:
    from rich.console import Console

#: The task of the checks: small, generated, with features, sequences and coordinates.
CHECK_TASK = "synthetic@cells=4,pairs=400"


class Status(StrEnum):
    """How a check ended."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"  #: it does not apply to this method


@dataclass(frozen=True)
class CheckResult:
    """One check of one method.

    Attributes:
        name: of the check. finding: what is wrong, or why it was skipped; empty if it passed.
        seconds: wall time. evidence: figures that the outcome rests on, where there are some.
    """

    name: str
    status: Status
    finding: str
    seconds: float
    evidence: Mapping[str, float | int | str | None] = field(default_factory=dict)


def check_names() -> dict[str, str]:
    """Names of all checks in the order they run, with what each demands."""
    return {name: rule.demand for name, rule in CHECKS.items()}


def run_checks(
    method_cls: type[Method], names: Sequence[str] | None = None, seed: int = 0, task: Task | None = None
) -> list[CheckResult]:
    """Run checks on a method class.

    Args:
        method_cls: the class, as found by `find_method`.
        names: which checks; None for all.
        seed: of the drawn supports, the shuffled labels and the method itself.
        task: another task than the small generated one.

    Raises:
        UnknownNameError: no check has that name. MethodError: it is not a method class at all.
        EpishotError: the task is too small for the checks.
    """
    unknown = [name for name in names or () if name not in CHECKS]
    if unknown:
        raise UnknownNameError(f"There is no check named {unknown[0]!r}. Known: {', '.join(CHECKS)}.")
    if task is None:
        from ..tasks.catalog import load_task

        task = load_task(CHECK_TASK)
    check_method_class(method_cls)
    subject = Subject(method_cls, task, seed)
    return run_rules(subject, {name: rule for name, rule in CHECKS.items() if names is None or name in names})


def run_rules(subject: Subject, rules: Mapping[str, Rule]) -> list[CheckResult]:
    """Check a subject by rules, in their order; a rule whose need failed is skipped."""
    results: list[CheckResult] = []
    for name, rule in rules.items():
        start = time.perf_counter()
        blocked = next((r.name for r in results if r.status is Status.FAIL and r.name in rule.needs), None)
        if blocked is not None:
            status, finding = Status.SKIP, f"not run, because {blocked} failed"
        else:
            subject.evidence, subject.remark = {}, ""
            status, finding = _run(rule, subject)
        evidence = {} if blocked is not None else subject.evidence
        results.append(CheckResult(name, status, finding, time.perf_counter() - start, evidence))
    return results


def print_checks(results: Sequence[CheckResult], console: Console) -> bool:
    """Print a table of findings and one closing sentence; returns whether nothing failed."""
    from rich.table import Table
    from rich.text import Text

    colours = {Status.PASS: "green", Status.FAIL: "bold red", Status.SKIP: "dim"}
    table = Table()
    for heading in ("check", "status", "finding"):
        table.add_column(heading)
    demands = check_names()
    for result in results:
        finding = result.finding or demands[result.name]
        table.add_row(result.name, Text(result.status.value, colours[result.status]), Text(finding))
    console.print(table)
    failed = [result.name for result in results if result.status is Status.FAIL]
    passed = sum(result.status is Status.PASS for result in results)
    if failed:
        console.print(f"{len(failed)} of {len(results)} checks failed: {', '.join(failed)}.")
    else:
        console.print(f"{passed} checks passed, {len(results) - passed} do not apply.")
    return not failed


def _run(rule: Rule, subject: Subject) -> tuple[Status, str]:
    try:
        rule.function(subject)
    except BrokenRuleError as broken:
        return Status.FAIL, str(broken)
    except RuleNotApplicableError as reason:
        return Status.SKIP, str(reason)
    except EpishotError as error:
        return Status.FAIL, str(error)
    except Exception as error:  # whatever a plugin raises is a finding, not a crash of the checks
        return Status.FAIL, f"{type(error).__name__}: {error} ({_where(error)})"
    return Status.PASS, subject.remark


def _where(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"

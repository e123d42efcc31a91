"""What a verification found: named checks, each verified, failed, or impossible here, with one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console

#: Every check in the order of the table, with what it demands.
CHECKS = {
    "record": "the compact record can be read, lies in its place and agrees with itself",
    "replicates": "the bootstrap replicates are those of the record, and give its intervals",
    "task": "the task at hand has the rows, labels and card that the record was made with",
    "episodes": "the episode set, drawn again from its seeds, has the recorded hash",
    "method": "the registered method declares what the record says",
    "audit": "the audit beside a row, made again (never here: `epishot audit` does)",
    "query": "query sizes, chance levels, loci and infeasible cells, computed again from the task",
    "archive": "the file of full scores has the recorded sha256",
    "scores": "every metric, interval and replicate, computed again from the full scores",
    "files": "the generated files are, byte for byte, what the records give",
    "rerun": "runs executed again give the archived scores",
}


class Status(StrEnum):
    """How a check ended."""

    VERIFIED = "verified"
    FAILED = "failed"
    COULD_NOT = "could not"  #: something that it needs is not at hand


class Finding(NamedTuple):
    """One check of one thing.

    Attributes:
        check: a name of `CHECKS`. subject: what was checked (`task protocol method`, or a file's name).
        text: what was found, one sentence.
    """

    check: str
    subject: str
    status: Status
    text: str


def verdict(check: str, subject: str, problems: Sequence[str], good: str) -> Finding:
    """Failed with the problems, or verified with `good` where there are none."""
    if problems:
        return Finding(check, subject, Status.FAILED, several(problems))
    return Finding(check, subject, Status.VERIFIED, good)


def several(problems: Sequence[str], shown: int = 3) -> str:
    """The first problems and how many more there are."""
    more = f" (and {len(problems) - shown} more)" if len(problems) > shown else ""
    return "; ".join(problems[:shown]) + more


def failed(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that contradict the published."""
    return [finding for finding in findings if finding.status is Status.FAILED]


def print_findings(findings: Sequence[Finding], console: Console, *, details: bool = False) -> None:
    """Print what each check came to, then every failure and everything that could not be verified.

    Args:
        findings: what was found. console: where to print. details: also list what was verified.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in ("check", "verified", "failed", "could not", "demands"):
        table.add_column(heading, justify="left" if heading in ("check", "demands") else "right")
    colours = {Status.VERIFIED: "green", Status.FAILED: "bold red", Status.COULD_NOT: "yellow"}
    for check, demand in CHECKS.items():
        of_check = [finding.status for finding in findings if finding.check == check]
        if not of_check:
            continue
        counts = [Text(str(of_check.count(s)), colours[s] if s in of_check else "dim") for s in Status]
        table.add_row(check, *counts, demand)
    console.print(table)
    for status in Status:
        if status is Status.VERIFIED and not details:
            continue
        for (check, text), subjects in _grouped(findings, status).items():
            line = f"{status.value}: {check}: {_listed(subjects)}: {text}"
            console.print(Text(line, colours[status]), soft_wrap=True)
    console.print(_sum(findings))


def _grouped(findings: Sequence[Finding], status: Status) -> dict[tuple[str, str], list[str]]:
    """Subjects by what was found of them, so that twenty rows with one cause take one line."""
    found: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        if finding.status is status:
            found.setdefault((finding.check, finding.text), []).append(finding.subject)
    return found


def _listed(subjects: Sequence[str], shown: int = 8) -> str:
    more = f", and {len(subjects) - shown} more" if len(subjects) > shown else ""
    return ", ".join(subjects[:shown]) + more


def _sum(findings: Sequence[Finding]) -> str:
    wrong = failed(findings)
    open_ends = sum(finding.status is Status.COULD_NOT for finding in findings)
    if wrong:
        return f"{len(wrong)} of {len(findings)} checks failed; do not trust these numbers."
    rest = f"; {open_ends} could not be made here" if open_ends else ""
    statements = "Cost, commit, command, versions and the text around the board are statements, not checked."
    return f"{len(findings) - open_ends} checks verified{rest}. {statements}"

"""An audit as a table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .audit_store import audit_of
from .records import AuditRecord

if TYPE_CHECKING:
    from rich.console import Console

NOT_AUDITABLE = "not auditable: only the harness audits"
_COLOURS = {"pass": "green", "fail": "bold red", "not evaluable": "dim"}


def print_audit(record: AuditRecord, console: Console) -> None:
    """Print every check with its outcome, sentence and figures, then the verdict."""
    from rich.table import Table
    from rich.text import Text

    on = f"{record.task}, budget {budget_words(record)}, seed {record.seed}"
    title = f"{record.method} {record.method_version} on {on}"
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for heading in ("check", "outcome", "sentence", "evidence"):
        table.add_column(heading, no_wrap=heading in ("check", "outcome"))
    for one in record.findings:
        outcome = Text(one.outcome, _COLOURS[one.outcome])
        table.add_row(one.name, outcome, Text(one.sentence), Text(evidence_text(one.evidence), "dim"))
    console.print(table)
    audit = audit_of(record)
    if record.kind == "harness":
        console.print(f"{record.method} has no audit of its own: {NOT_AUDITABLE}.", markup=False, highlight=False)
    counts = [f"{sum(one.outcome == name for one in record.findings)} {name}" for name in _COLOURS]
    console.print(f"{', '.join(counts)}. Verdict: {audit.verdict}.", markup=False, highlight=False)
    places = {one.where: None for one in record.findings if one.outcome == "fail" and one.where}
    if places:
        console.print(f"Look at {', '.join(places)}.", markup=False, highlight=False)


def budget_words(record: AuditRecord) -> str:
    """The factors on training steps."""
    own = "" if record.own_budget in (None, record.budget) else f" ({record.own_budget:g} in its own audit)"
    return f"{record.budget:g}{own}"


def evidence_text(evidence: Mapping[str, float | int | str | None]) -> str:
    """Figures in one line."""
    return "; ".join(f"{name} = {_figure(value)}" for name, value in evidence.items())


def _figure(value: float | int | str | None) -> str:
    if value is None:
        return "n/a"
    return f"{value:.3g}" if isinstance(value, float) else str(value)

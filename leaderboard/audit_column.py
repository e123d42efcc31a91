"""The audit beside every row, and AUDITS.md with the evidence behind it."""

from __future__ import annotations

import hashlib
import re

from ..benchmark.audit_report import NOT_AUDITABLE, budget_words, evidence_text
from ..benchmark.audit_store import audit_of
from ..benchmark.records import AuditRecord
from .audit_words import NO_METHOD, NOT_AUDITED
from .board import Board
from .format import code_span, escape_markdown

#: Where the evidence stands, beside LEADERBOARD.md.
FILE = "AUDITS.md"


def audit_cell(words: str, name: str) -> str:
    """The cell of a Markdown table, linked to the evidence where there is some."""
    if words in (NOT_AUDITED, NO_METHOD):
        return words
    return f"[{escape_markdown(words)}]({FILE}#{audit_anchor(name)})"


def audit_anchor(name: str) -> str:
    """Anchor of a method in AUDITS.md; different names have different anchors."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"audit-{plain}" if plain == name else f"audit-{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def audits_markdown(board: Board) -> str:
    """The generated part of AUDITS.md; empty if no row has an audit."""
    audits: dict[str, dict[str, tuple[AuditRecord, list[str]]]] = {}
    for record in board.records:
        if record.audit is not None:
            key = record.audit.model_dump_json()
            of_method = audits.setdefault(record.method.name, {})
            of_method.setdefault(key, (record.audit, []))[1].append(f"{record.task} {record.protocol}")
    if not audits:
        return ""
    lines = [
        "One section per method: every check, how it ended, and the figures behind it. An audit is of the very",
        "source and configuration that gave the row; `epishot audit METHOD --task TASK` makes it again. That a method",
        "passes says that it was trained and scored as it claims, not that it is good.",
        "",
    ]
    for name in sorted(audits):
        lines += [f'<a id="{audit_anchor(name)}"></a>', "", f"## {escape_markdown(name)}", ""]
        for audit, rows in audits[name].values():
            lines += _section(audit, rows)
    return "\n".join(lines)


def _section(audit: AuditRecord, rows: list[str]) -> list[str]:
    """One audit, with the rows that it belongs to."""
    kind = "" if audit.kind == "full" else f" ({NOT_AUDITABLE})"
    lines = [
        f"**{escape_markdown(audit_of(audit).verdict)}**{kind}, beside {escape_markdown(', '.join(rows))}.",
        f"{code_span(audit.command)}, on {escape_markdown(audit.task)},",
        f"budget {budget_words(audit)}, seed {audit.seed},",
        f"source `{audit.method_code[:16]}`, configuration `{audit.config_hash[:16]}`,",
        f"commit {code_span(audit.commit)}.",
        "",
        "| Check | Outcome | Finding | Evidence | Where |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in audit.findings:
        outcome = f"**{one.outcome}**" if one.outcome == "fail" else one.outcome
        cells = [
            escape_markdown(one.sentence),
            escape_markdown(evidence_text(one.evidence)),
            escape_markdown(one.where),
        ]
        lines.append("| " + " | ".join([escape_markdown(one.name), outcome, *cells]) + " |")
    return [*lines, ""]

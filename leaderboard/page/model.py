"""What the page is told: the board as plain JSON values, each entry once.

A table refers to its rows by name; a row's per-cell values are looked up among the entries of its record, where a
zero-shot row points at k = 0. That keeps a page of many k a fraction of the size of `leaderboard.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...benchmark.audit_report import evidence_text
from ...benchmark.records import AcrossEntry, CellEntry, CompactRecord
from ..audit_words import audit_words
from ..board import Board, BoardTable, CellHead, Row
from ..separable import resolution, smallest_sign_p
from .metrics import METRICS

#: Decimals of the embedded values. The page shows three; leaderboard.json has all.
DECIMALS = 6

#: Costs: field of CompactRecord.cost, heading, what the page divides it by, whether it is a column of the table.
COSTS = (
    ("fit_s", "Fit, s", "fits", True),
    ("score_s", "Score, s", "runs", True),
    ("cpu_s", "CPU in all, s", None, False),
    ("peak_memory_mb", "Memory, MB", None, True),
    ("n_parameters", "Parameters", None, True),
)
_CELL_METRICS = tuple(metric.id for metric in METRICS if metric.scope == "cell")


def page_model(board: Board) -> dict[str, Any]:
    """Everything the page shows, as values that JSON knows; equal boards give equal models.

    Args:
        board: what `build_board` returned.
    """
    places = dict.fromkeys((table.key.task, table.key.protocol) for table in board.tables)
    return {
        "metrics": [metric._asdict() for metric in METRICS],
        "costs": [{"id": name, "name": title, "per": per, "column": column} for name, title, per, column in COSTS],
        "sections": [_section(board, *place) for place in places],
    }


def _section(board: Board, task: str, protocol: str) -> dict[str, Any]:
    records = [record for record in board.records if (record.task, record.protocol) == (task, protocol)]
    tables = [table for table in board.tables if (table.key.task, table.key.protocol) == (task, protocol)]
    return {
        "task": task,
        "protocol": protocol,
        "cells": list(records[0].cells),
        "sign_p": smallest_sign_p(len(records[0].cells)),
        "overlap": next((_rounded(record.overlap) for record in records if record.overlap), {}),
        "records": {record.method.name: _record(record) for record in records},
        "tables": [_table(table) for table in tables],
    }


def _record(record: CompactRecord) -> dict[str, Any]:
    facts = record.method
    return {
        "summary": facts.summary,
        "version": facts.version,
        "kind": facts.kind,
        "reads": list(facts.reads),
        "regimes": list(facts.regimes),
        "deterministic": facts.deterministic,
        "logits": facts.logits,
        "config": facts.config,
        "audit": audit_words(record),
        "audited": _audit(record),
        "external": record.external.model_dump(mode="json") if record.external else None,
        "cost": _rounded(record.cost),
        "entries": [_entry(entry) for entry in record.entries],
        "across": [_across(across) for across in record.across if across.reasons],
        "provenance": {
            "command": record.command,
            "commit": record.commit,
            "task_version": record.task_version,
            "task_hash": record.task_hash,
            "episode_set": record.episode_set,
            "replicates": record.replicates_sha256,
            "archive": record.archive_sha256,
            "evaluator": record.evaluator,
            "budget": record.budget,
            "runs": len(record.run_keys),
            "test_scorings": record.test_scorings,
            "versions": dict(sorted(record.versions.items())),
        },
    }


def _audit(record: CompactRecord) -> dict[str, Any] | None:
    audit = record.audit
    if audit is None:
        return None
    return {
        "about": f"{audit.command}, on {audit.task}, budget {audit.budget:g}, seed {audit.seed}",
        "source": audit.method_code,
        "findings": [
            [one.name, one.outcome, one.sentence, evidence_text(one.evidence), one.where] for one in audit.findings
        ],
    }


def _entry(entry: CellEntry) -> dict[str, Any]:
    return {
        "at": [entry.cell, entry.regime, entry.balance, entry.k],
        "values": [_round(entry.metrics.get(name)) for name in _CELL_METRICS],
        "interval": _pair(entry.interval),
        "draws": entry.draws,
        "seeds": entry.seeds,
        "redrawn": entry.redrawn,
        "reasons": dict(entry.reasons),
    }


def _across(across: AcrossEntry) -> dict[str, Any]:
    return {"at": [across.regime, across.balance, across.k], "reasons": dict(across.reasons)}


def _table(table: BoardTable) -> dict[str, Any]:
    key = table.key
    return {
        "regime": key.regime,
        "balance": key.balance,
        "k": key.k,
        "heads": [_head(head) for head in table.cells],
        "macro_cells": list(table.macro_cells),
        "macro_reason": table.macro_reason,
        "best_control": table.best_control,
        "best_plain_control": table.best_plain_control,
        "resolution": _resolution(table),
        "rows": [_row(row) for row in table.rows],
    }


def _resolution(table: BoardTable) -> dict[str, Any] | None:
    found = resolution(table)
    return None if found is None else _rounded(found._asdict() | {"ties": [list(run) for run in found.ties]})


def _head(head: CellHead) -> dict[str, Any]:
    return {
        "cell": head.cell,
        "n": head.n,
        "positives": head.positives,
        "chance": _round(head.chance),
        "undefined_folds": list(head.undefined_folds),
        "infeasible": head.infeasible,
    }


def _row(row: Row) -> dict[str, Any]:
    macro = {} if row.macro is None else {"corrected": row.macro.value}
    return {
        "name": row.name,
        "kind": row.kind,
        "marks": row.marks,
        "zero_shot": row.zero_shot,
        "constant": row.constant,
        "seeds": row.seeds,
        "group": row.group,
        "beats_control": row.beats_control,
        "macro": _rounded({**row.metrics, **macro}),
        "interval": _pair(row.macro.interval() if row.macro else None),
        "problems": dict(row.problems),
        "notes": list(row.notes),
    }


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _rounded(one) if isinstance(one, Mapping) else _round(one) for name, one in values.items()}


def _round(value: Any) -> Any:
    return round(value, DECIMALS) if isinstance(value, float) else value


def _pair(values: Sequence[float] | Iterable[float] | None) -> list[float] | None:
    return None if values is None else [round(float(value), DECIMALS) for value in values]

"""The board as files: Markdown, CSV, JSON, LaTeX and the page, written together."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from ..benchmark.atomic import write_bytes
from ..tasks.errors import EpishotError
from .audit_column import FILE as AUDITS
from .audit_column import audits_markdown
from .board import Board, BoardTable, Row
from .energy_table import energy_markdown
from .format import escape_csv
from .latex import board_latex
from .markdown import board_markdown, cost_markdown, write_between_markers
from .methods_table import methods_markdown
from .page.build import page_html

_KEY_COLUMNS = ("task", "protocol", "regime", "balance", "k", "method", "kind", "marks", "zero_shot", "group", "audit")
_CELL_COLUMNS = ("cell", "status", "n", "positives", "draws", "seeds", "low", "high")


def write_board(board: Board, folder: Path) -> list[Path]:
    """Write LEADERBOARD.md, COST.md, METHODS.md, and leaderboard.csv, .json, .tex and .html into `folder`.

    ENERGY.md as well, if the board has energy methods, and AUDITS.md, if any row has an audit.

    Returns:
        The files written.

    Raises:
        EpishotError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        endings = ("csv", "json", "tex", "html")
        names = ("LEADERBOARD.md", "COST.md", "METHODS.md", *(f"leaderboard.{ending}" for ending in endings))
        paths = [folder / name for name in names]
        write_between_markers(paths[0], board_markdown(board), "# EPIShot leaderboard")
        write_between_markers(paths[1], cost_markdown(board), "# What the leaderboard cost")
        write_between_markers(paths[2], methods_markdown(board), "# The methods side by side")
        write_bytes(paths[3], board_csv(board).encode())
        write_bytes(paths[4], board_json(board).encode())
        write_bytes(paths[5], board_latex(board).encode())
        write_bytes(paths[6], page_html(board).encode())
        if energy := energy_markdown(board):
            paths.append(folder / "ENERGY.md")
            write_between_markers(paths[-1], energy, "# The energy methods")
        if audits := audits_markdown(board):
            paths.append(folder / AUDITS)
            write_between_markers(paths[-1], audits, "# Audits: what was checked, and what was found")
    except OSError as error:
        raise EpishotError(f"The leaderboard cannot be written to {folder}: {error.strerror}.") from error
    return paths


def board_csv(board: Board) -> str:
    """One line per table, row and cell, at full precision; `cell` is empty on macro lines."""
    metrics = sorted(
        {
            name
            for table in board.tables
            for row in table.rows
            for entry in row.entries.values()
            for name in entry.metrics
        }
        | {name for table in board.tables for row in table.rows for name in row.metrics}
    )
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*_KEY_COLUMNS, *_CELL_COLUMNS, "notes", *metrics])
    for line in _lines(board):
        values = [line[name] for name in (*_KEY_COLUMNS, *_CELL_COLUMNS)]
        values.append("; ".join(line["notes"]))
        values += [line["metrics"].get(name) for name in metrics]
        writer.writerow([escape_csv(value) if isinstance(value, str) else value for value in values])
    return buffer.getvalue()


def board_json(board: Board) -> str:
    """The same lines as `board_csv`, with reasons and provenance, as JSON."""
    provenance = [
        record.model_dump(
            include={
                "task",
                "task_version",
                "task_hash",
                "protocol",
                "episode_set",
                "evaluator",
                "commit",
                "command",
                "versions",
                "method",
                "external",
                "audit",
            },
            exclude_none=True,
        )
        for record in board.records
    ]
    return json.dumps({"rows": _lines(board), "provenance": provenance}, indent=1, allow_nan=False) + "\n"


def _lines(board: Board) -> list[dict]:
    lines = []
    for table in board.tables:
        key = table.key
        for row in table.rows:
            common = {
                "task": key.task,
                "protocol": key.protocol,
                "regime": key.regime,
                "balance": key.balance,
                "k": key.k,
                "method": row.name,
                "kind": row.kind,
                "marks": row.marks,
                "zero_shot": row.zero_shot,
                "group": row.group,
                "audit": row.audit,
                "notes": list(row.notes),
            }
            for head in table.cells:
                entry = row.entries.get(head.cell)
                status = "infeasible" if head.infeasible else ("ok" if entry else row.problems[head.cell])
                shown = entry if entry and not head.infeasible else None
                low, high = shown.interval if shown and shown.interval else (None, None)
                lines.append(
                    {
                        **common,
                        "cell": head.cell,
                        "status": status,
                        "n": head.n,
                        "positives": head.positives,
                        "draws": shown.draws if shown else None,
                        "seeds": shown.seeds if shown else None,
                        "low": low,
                        "high": high,
                        "metrics": dict(shown.metrics) if shown else {},
                        "reasons": dict(shown.reasons) if shown else {},
                    }
                )
            low, high = row.macro.interval() if row.macro else (None, None)
            macro = {"corrected": row.macro.value if row.macro else None} | dict(row.metrics)
            lines.append(
                {
                    **common,
                    "cell": "",
                    "status": _macro_status(row, table),
                    "n": None,
                    "positives": None,
                    "draws": None,
                    "seeds": None,
                    "low": low,
                    "high": high,
                    "metrics": macro,
                    "reasons": dict(row.reasons),
                }
            )
    return lines


def _macro_status(row: Row, table: BoardTable) -> str:
    if row.macro:
        return "macro"
    without = ", ".join(cell for cell in table.macro_cells if cell not in row.entries)
    return table.macro_reason or f"incomplete: no result in {without}"

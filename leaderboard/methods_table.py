"""METHODS.md: every method of a task and protocol in one line: what it reads, what it costs, where it leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..benchmark.records import CompactRecord
from .board import Board, BoardTable, Row
from .format import escape_markdown, number
from .statistics import MacroScore

#: Cells this close to the best one share the lead: they differ by rounding.
_SAME = 1e-9

LEGEND = """\
What a method reads and costs, and where it leads; `LEADERBOARD.md` says how to read the numbers, `docs/baselines.md`
what the methods are.

**Reads**: F features, S sequence, D distance, P positions and identities, C the candidate list. **Support**: the pairs
of the new cell that it makes use of. **CPU s**: seconds of one core for a fit and all its scoring. **k = ...**: macro
mean of the chance-corrected AUPR, bold where not separable from the best row. **Gain**: what the largest support adds
to k = 0, with the 95 % interval of the paired difference; none for a method that uses no support. **Leads in**: cells
where no other method or control has a higher corrected AUPR, at any k: noise included, so a lead alone is no win.
"""

_LETTERS = {"features": "F", "sequence": "S", "distance": "D", "coordinates": "P", "context": "C"}


def methods_markdown(board: Board) -> str:
    """The generated part of METHODS.md (without markers): strict protocol first; reference rows are left out."""
    parts = [LEGEND]
    strict_first = sorted(board.headlines().items(), key=lambda item: (item[0][1] != "cell+chrom", item[0]))
    for (task, protocol), tables in strict_first:
        records = {r.method.name: r for r in board.records if (r.task, r.protocol) == (task, protocol)}
        parts.append(_section(f"## {escape_markdown(task)}, `{protocol}`", tables, records))
    return "\n".join(parts)


def _section(heading: str, tables: Sequence[BoardTable], records: dict[str, CompactRecord]) -> str:
    leads = _leads(tables)
    columns = ["Method", "Marks", "Reads", "Support", "CPU s", *(f"k = {t.key.k}" for t in tables), "Gain", "Leads in"]
    out = [heading, ""]
    for table in tables:
        if table.macro_reason:
            out += [f"No macro mean at k = {table.key.k}: {table.macro_reason}.", ""]
    out += ["| " + " | ".join(columns) + " |"]
    out.append("| --- | --- | --- | --- | ---: | " + "---: | " * len(tables) + "---: | --- |")
    same_cells = len({table.macro_cells for table in tables}) == 1
    names = dict.fromkeys(row.name for table in tables for row in table.rows if row.kind != "reference")
    for name in names:
        rows = [next((row for row in table.rows if row.name == name), None) for table in tables]
        gain = _gain(rows) if same_cells else ""
        cells = [*_facts(records[name]), *map(_macro, rows), gain, ", ".join(leads.get(name, ()))]
        out.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*out, ""])


def _facts(record: CompactRecord) -> Iterator[str]:
    facts, fits, seconds = record.method, record.cost.get("fits"), record.cost.get("cpu_s")
    yield escape_markdown(facts.name)
    yield " ".join(part for part in (facts.marks, facts.kind if facts.kind != "method" else "") if part)
    yield "".join(letter for what, letter in _LETTERS.items() if what in facts.reads)
    yield " or ".join(regime for regime in ("labelled", "unlabelled") if regime in facts.regimes) or "none"
    yield f"{seconds / fits:.1f}" if fits and seconds is not None else "n/a"


def _macro(row: Row | None) -> str:
    if row is None or row.macro is None:
        return "n/a"
    text = number(row.macro.value)
    return f"**{text}**" if row.group == 1 else text


def _gain(rows: Sequence[Row | None]) -> str:
    """What the largest support adds to none, over the resamples that both were given; all rows speak of one method."""
    first, last = rows[0], rows[-1]
    if len(rows) < 2 or first is None or last is None or last.zero_shot or not (first.macro and last.macro):
        return ""
    low, high = MacroScore(0.0, last.macro.replicates - first.macro.replicates).interval()
    return "{} [{}, {}]".format(*map(_signed, (last.macro.value - first.macro.value, low, high)))


def _signed(value: float) -> str:
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(value, 3) + 0.0:+.3f}"


def _leads(tables: Sequence[BoardTable]) -> dict[str, list[str]]:
    """Per method, the cells it leads in, with the k where that is."""
    found: dict[str, dict[str, list[int]]] = {}
    for table in tables:
        for head in table.cells:
            values = {
                row.name: row.entries[head.cell].metrics["corrected"] or 0.0
                for row in table.rows
                if row.kind != "reference" and head.cell in row.entries and head.infeasible is None
            }
            top = max(values.values(), default=0.0)
            for name, value in values.items():
                if value >= top - _SAME:
                    found.setdefault(name, {}).setdefault(head.cell, []).append(table.key.k)
    shots = [table.key.k for table in tables]
    return {
        name: [escape_markdown(cell) + _at(ks, shots) for cell, ks in cells.items()] for name, cells in found.items()
    }


def _at(ks: Sequence[int], shots: Sequence[int]) -> str:
    return "" if list(ks) == list(shots) else f" (k = {', '.join(map(str, ks))})"

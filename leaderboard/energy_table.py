"""ENERGY.md: the energy methods side by side, what their potential ranks and what their environment adds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..benchmark.records import MethodFacts
from .board import Board, BoardTable, Row
from .format import CALIBRATION_NAMES, escape_markdown, interval, number

#: Couplings whose logit is a function of U and of parameters of the cell: they rank the pairs of a cell as U does.
SCALAR = frozenset({"additive", "interaction", "conditional", "gate", "saturating", "hill", "affine"})
#: Values that were computed from the same ranking differ by rounding alone.
_SAME = 1e-9
_METRICS = ("cell_pooled_aupr", "swap_auc", "brier", "ece", "f1_half")
_ALONE = "[readout=potential]"

LEGEND = """\
The energy methods of `LEADERBOARD.md`, which says how to read the numbers: macro means of the chance-corrected AUPR
under labelled natural supports, bold where not separable from the best row of all methods, and the
calibration-sensitive metrics, in which a scalar environment shows.

**U alone** is the corrected AUPR of the potential without any environment. A scalar coupling, one whose logit is an
increasing function of U with parameters of the cell, ranks the pairs of an episode as U does: its value is U's, and
where several k were run, this was checked: every cell has the same value at each k, to the last digits. *moved* means
that they differ, so that the slope of some cell is not positive, or ties were made (a slope that is negative under
every support would go unseen). For couplings that look at the pair, and for *moved*, the value is that of a row of its
own that scores by the same trained potential alone, n/a where there is none.
"""


class _Line(NamedTuple):
    """A method of one task and protocol: its row at each k that has one."""

    facts: MethodFacts
    rows: Mapping[int, Row]


def energy_markdown(board: Board) -> str:
    """The generated part of ENERGY.md (without markers); empty if the board has no energy rows."""
    parts = []
    for (task, protocol), tables in board.headlines().items():
        lines = _lines(board, tables, task, protocol)
        if lines:
            parts.append(_section(f"## {escape_markdown(task)}, `{protocol}`", tables, lines))
    return "\n".join([LEGEND, *parts]) if parts else ""


def _lines(board: Board, tables: Sequence[BoardTable], task: str, protocol: str) -> dict[str, _Line]:
    found = {}
    for record in board.records:
        if (record.task, record.protocol) == (task, protocol) and coupling_of(record.method):
            name = record.method.name
            rows = {table.key.k: row for table in tables for row in table.rows if row.name == name}
            found[name] = _Line(record.method, rows)
    return found


def coupling_of(facts: MethodFacts) -> str:
    """Kind of the coupling in the configuration of an energy method; empty for other methods."""
    if not facts.name.startswith("energy-"):
        return ""
    found = _config(facts).get("coupling", "")
    # Before sections, the kind stood alone.
    return str(found.get("kind", "") if isinstance(found, Mapping) else found)


def _section(heading: str, tables: Sequence[BoardTable], lines: Mapping[str, _Line]) -> str:
    shots = [table.key.k for table in tables]
    names = sorted((name for name in lines if not name.endswith(_ALONE)), key=lambda name: _order(lines[name]))
    out = [heading, "", *_others(tables, lines)]
    out.append("| Method | Coupling | Environment | U alone | " + " | ".join(f"k = {k}" for k in shots) + " |")
    out.append("| --- | --- | --- | ---: | " + " | ".join(["---:"] * len(shots)) + " |")
    for name in names:
        line = lines[name]
        values = [_macro(line.rows.get(k)) for k in shots]
        facts = [name, coupling_of(line.facts), _environment(line.facts)]
        cells = [*map(escape_markdown, facts), _alone(line, lines.get(f"{name}{_ALONE}")), *values]
        out.append("| " + " | ".join(cells) + " |")
    metrics = [metric for metric in _METRICS if metric != "swap_auc" or tables[0].key.protocol == "cell+chrom"]
    out += ["", f"Each value at k = {' / '.join(map(str, shots))}:", ""]
    out.append("| Method | " + " | ".join(CALIBRATION_NAMES[metric] for metric in metrics) + " |")
    out.append("| --- | " + " | ".join([":---:"] * len(metrics)) + " |")
    for name in names:
        rows = lines[name].rows
        cells = [" / ".join(number(rows[k].metrics.get(one) if k in rows else None) for k in shots) for one in metrics]
        out.append("| " + " | ".join([escape_markdown(name), *cells]) + " |")
    notes = {name: row.notes for name in names for row in lines[name].rows.values() if row.notes}
    out += [
        line
        for name, note in notes.items()
        for line in ("", f"{escape_markdown(name)}: {escape_markdown('; '.join(note))}.")
    ]
    return "\n".join([*out, ""])


def _others(tables: Sequence[BoardTable], lines: Mapping[str, _Line]) -> Iterator[str]:
    """The best method outside the family at each k, and where there is no macro mean."""
    best = []
    for table in tables:
        rest = [row for row in table.rows if row.kind == "method" and row.macro and row.name not in lines]
        if rest:
            top = max(rest, key=lambda row: row.macro.value if row.macro else 0.0)
            best.append(f"k = {table.key.k}: {escape_markdown(top.name)} {_macro(top)}")
        if table.macro_reason:
            yield from (f"No macro mean at k = {table.key.k}: {table.macro_reason}.", "")
    if best:
        yield from (f"Best method of another kind at {'; '.join(best)}.", "")


def _alone(line: _Line, potential: _Line | None) -> str:
    """Corrected AUPR of U, as far as records tell."""
    scalar = coupling_of(line.facts) in SCALAR
    moved = scalar and _moved(line)
    if scalar and not moved:
        return _value(line.rows.get(0))
    if potential is not None:
        return _value(potential.rows.get(0))
    return "moved" if moved else "n/a"


def _moved(line: _Line) -> bool:
    values: dict[str, set[float]] = {}
    for row in line.rows.values():
        for cell, entry in row.entries.items():
            values.setdefault(cell, set()).add(entry.metrics["corrected"] or 0.0)
    return any(max(found) - min(found) > _SAME for found in values.values())


def _environment(facts: MethodFacts) -> str:
    found = _config(facts).get("environment")
    if not isinstance(found, Mapping):
        return ""
    parts = [str(found.get("student", "")), "posterior" * (found.get("posterior") is True)]
    teacher = found.get("teacher", "none")
    return " + ".join(part for part in parts if part) + (f", taught by {teacher}" if teacher != "none" else "")


def _config(facts: MethodFacts) -> Mapping[str, object]:
    try:
        found = json.loads(facts.config)
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _order(line: _Line) -> tuple[float, str]:
    known = [row.macro.value for _, row in sorted(line.rows.items()) if row.macro]
    return (-known[-1] if known else float("inf"), line.facts.name)


def _value(row: Row | None) -> str:
    return number(row.macro.value if row and row.macro else None)


def _macro(row: Row | None) -> str:
    if row is None or row.macro is None:
        return "n/a"
    bold = "**" if row.group == 1 else ""
    return f"{bold}{_value(row)}{bold} {interval(row.macro.interval())}"

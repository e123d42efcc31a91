"""What stands below the tables of a task: learning curves, and what so few cells cannot tell."""

from __future__ import annotations

from collections.abc import Sequence

from .board import BoardTable, Row
from .curves import CurvePanel
from .format import CALIBRATION_NAMES, counted_cells, escape_markdown, interval, number
from .separable import resolution, smallest_sign_p
from .statistics import FAMILY_LEVEL

#: Below it, no critical-difference diagram over cells is drawn.
MANY_CELLS = 10
#: Why a metric across cells is not shown although it may be defined.
NOT_COMPARABLE = "pooled over other cells than those of this table"


def resolution_note(table: BoardTable) -> str:
    """One paragraph: the macro difference that this table can separate, and the neighbours that it cannot."""
    found = resolution(table)
    if found is None:
        return ""
    low, middle, high = (number(value) for value in (found.smallest, found.median, found.largest))
    text = (
        f"**What this table cannot tell apart.** To be separable from the top row, a row must lie {low} to {high} "
        f"below it, depending on the row (median {middle}; paired standard errors, Holm at "
        f"{100 * FAMILY_LEVEL:.0f} % over {found.comparisons} comparisons)."
    )
    if found.ties:
        runs = "; ".join(" ≈ ".join(map(escape_markdown, run)) for run in found.ties)
        return f"{text} Neighbouring rows that are not separable: {runs}."
    return f"{text} All neighbouring rows are separable."


def cells_note(n_cells: int) -> str:
    """One paragraph: what `n_cells` held-out cells say about cells that are not in the task."""
    p = smallest_sign_p(n_cells)
    text = (
        f"**What {counted_cells(n_cells)} cannot tell.** Intervals and groups come from "
        "resampling loci, draws and seeds inside these cells, never the cells: they speak of these cell lines, not of "
        "the next one."
    )
    if p > FAMILY_LEVEL:
        text += (
            f" A row that wins in every one of them reaches p = {number(p, 4)} at best in a two-sided sign test over "
            "cells, so no ranking for cell lines at large can be concluded."
        )
    elif n_cells < MANY_CELLS:
        text += (
            " In a two-sided sign test over cells only a row that wins in every one of them, or nearly so, can pass "
            f"(p = {number(p, 4)} at best)."
        )
    if n_cells < MANY_CELLS:
        text += f" There is no critical-difference diagram below {MANY_CELLS} cells."
    return text


def curve_table(panel: CurvePanel) -> str:
    """Method x k: macro corrected AUPR with its interval, group 1 in bold; with a heading."""
    heads = [f"k = {k}<br>{counted_cells(len(cells))}" for k, cells in zip(panel.shots, panel.cells, strict=True)]
    lines = [
        f"### {escape_markdown(panel.task)}, {panel.protocol}: learning curves ({panel.regime}, {panel.balance})",
        "",
        "Macro corrected AUPR over k; rows in the order of the largest k.",
    ]
    if not panel.same_cells:
        lines[-1] += " The columns are means over different cells and may not be compared with each other."
    lines += [
        "",
        "| Method | " + " | ".join(heads) + " |",
        "| --- | " + " | ".join([":---:"] * len(heads)) + " |",
    ]
    for curve in panel.curves:
        cells = []
        for point, best in zip(curve.points, panel.groups, strict=True):
            bold = "**" if curve.name in best else ""
            cells.append(f"{bold}{number(point.value)}{bold} {interval(point.interval())}" if point else "n/a")
        lines.append(f"| {escape_markdown(curve.name)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def undefined_note(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Why metrics are n/a: each reason with the columns and rows it holds for."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        undefined: dict[str, list[str]] = {}
        for name in names:
            if row.metrics.get(name) is None:
                undefined.setdefault(row.reasons.get(name, NOT_COMPARABLE), []).append(CALIBRATION_NAMES[name])
        for reason, columns in undefined.items():
            found.setdefault((reason, ", ".join(columns)), []).append(row.name)
    parts = []
    for (reason, heads), where in found.items():
        who = "all rows" if len(where) == len(rows) else escape_markdown(", ".join(where))
        parts.append(f"{escape_markdown(reason)} for {heads} ({who})")
    return f"Why n/a: {'; '.join(parts)}." if parts else ""

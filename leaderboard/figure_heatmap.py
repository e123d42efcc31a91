"""Heat map of one table: corrected AUPR of every row in every held-out cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .board import BoardTable, Row
from .figure_style import INK
from .format import number, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_heatmap(table: BoardTable) -> Figure | None:
    """Rows in the table's order, macro means at the right; cells without a result are grey and say why."""
    from matplotlib.figure import Figure

    if not table.rows:
        return None
    heads = [f"{head.cell}\nP {head.positives:,}" for head in table.cells]
    values = np.array([[_value(row, head.cell) for head in table.cells] for row in table.rows], dtype=float)
    if table.macro_cells:
        heads.append(f"macro\nof {len(table.macro_cells)}")
        macro = [row.macro.value if row.macro else np.nan for row in table.rows]
        values = np.column_stack([values, np.array(macro, dtype=float)])
    for column, head in enumerate(table.cells):
        if head.infeasible:
            values[:, column] = np.nan
    figure = Figure(figsize=(1.6 + 0.78 * len(heads), 0.9 + 0.3 * len(table.rows)), layout="constrained")
    ax = figure.subplots()
    ax.set_facecolor("#F2F2F2")
    top = np.nanmax(values, initial=0.05)
    # One hue from white at chance upwards: what lies below chance is as white as chance.
    ax.pcolormesh(np.ma.masked_invalid(values), cmap="Blues", vmin=0.0, vmax=top, edgecolors="white", lw=1.5)
    for (i, j), value in np.ndenumerate(values):
        if np.isnan(value):
            word = _word(table, table.rows[i], j)
            ax.text(j + 0.5, i + 0.5, word, ha="center", va="center", fontsize=6.5, color="#777777")
        else:
            colour = "white" if value > 0.6 * top else INK
            ax.text(j + 0.5, i + 0.5, number(value, 2), ha="center", va="center", fontsize=8, color=colour)
    ax.set_xticks(np.arange(len(heads)) + 0.5, heads, fontsize=8)
    ax.set_yticks(np.arange(len(table.rows)) + 0.5, [row.name for row in table.rows], fontsize=8)
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    for label, row in zip(ax.get_yticklabels(), table.rows, strict=True):
        label.set_fontweight("bold" if row.group == 1 else "normal")
        label.set_fontstyle("italic" if row.kind == "reference" else "normal")
        label.set_color("#777777" if row.kind == "control" else INK)
    if table.macro_cells:
        ax.axvline(len(table.cells), color=INK, lw=1)
    ax.invert_yaxis()
    for spine in ax.spines.values():
        spine.set_visible(False)
    figure.suptitle(f"{title(table)}: corrected AUPR", x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure


def _value(row: Row, cell: str) -> float:
    entry = row.entries.get(cell)
    value = entry.metrics.get("corrected") if entry else None
    return np.nan if value is None else value


def _word(table: BoardTable, row: Row, column: int) -> str:
    if column >= len(table.cells):
        return "n/a"
    head = table.cells[column]
    return "infeasible" if head.infeasible else row.problems.get(head.cell, "n/a").partition(":")[0]

"""Learning curves: macro corrected AUPR over k, one panel per task and protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from .board import Board
from .curves import Curve, CurvePanel, curve_panels
from .families import LEFT_OUT, leading
from .figure_style import FAINT, INK, Look, panel_grid, panel_height, spread, together, write_caption
from .format import counted_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches of a panel, names included.
_WIDTH, _HEIGHT = 5.2, 3.9
#: Height of a label as a share of the axes of a panel of that height.
_LABEL = 0.047
_CAPTION = (
    "Chance-corrected AUPR, mean over cells (0 = chance); bars: 95 % bootstrap intervals over loci, draws and seeds. "
    "Grey: controls. Dashed: reference rows. No markers: uses no support, so its k = 0 result stands at every k."
)


def draw_curves(board: Board, styles: Mapping[str, Look]) -> Figure | None:
    """All panels in one figure; None if no row has macro means at two k.

    Rows that use no support are flat and have no markers. Points over different cells are not joined.
    """
    whole = curve_panels(board)
    if not whole:
        return None
    panels = [_thinned(panel) for panel in whole]
    height = panel_height(_HEIGHT, max(len(panel.curves) for panel in panels))
    figure, axes = panel_grid(len(panels), _WIDTH, height)
    for ax, panel in zip(axes, panels, strict=True):
        _panel(ax, panel, styles, _LABEL * _HEIGHT / height)
    write_caption(figure, _CAPTION if panels == whole else f"{_CAPTION}{LEFT_OUT}drawn; the tables have all.")
    return figure


def _thinned(panel: CurvePanel) -> CurvePanel:
    names = leading((curve.name, curve.kind) for curve in panel.curves)
    return replace(panel, curves=tuple(curve for curve in panel.curves if curve.name in names))


def _panel(ax: Axes, panel: CurvePanel, styles: Mapping[str, Look], gap: float) -> None:
    positions = list(range(len(panel.shots)))
    right = positions[-1]
    learners = [curve for curve in panel.curves if not curve.zero_shot]
    flat = [curve for curve in panel.curves if curve.zero_shot]
    for curve in panel.curves:
        look, faint = styles[curve.name], curve.kind == "control"
        if curve.zero_shot:
            _flat(ax, panel, curve, look, right + 0.2 + 0.14 * flat.index(curve) / len(flat))
            continue
        # Side by side, so that intervals do not hide each other.
        shift = 0.22 * ((learners.index(curve) + 0.5) / len(learners) - 0.5)
        for run in _runs(panel, curve):
            x = [i + shift for i in run]
            points = [curve.points[i] for i in run]
            y = [point.value for point in points if point]
            bounds = [point.interval() for point in points if point]
            ax.vlines(x, [b[0] for b in bounds], [b[1] for b in bounds], color=look.colour, lw=0.9, alpha=0.5, zorder=2)
            ax.plot(
                x,
                y,
                look.dash,
                color=look.colour,
                marker=look.marker,
                ms=4.5,
                lw=1.2 if faint else 1.7,
                mec="white",
                mew=0.5,
                zorder=3 if faint else 4,
            )
    ax.axhline(0, color=FAINT, lw=0.8, zorder=0)
    heads = [f"{k}" for k in panel.shots]
    if not panel.same_cells:
        heads = [f"{k}\n{counted_cells(len(cells))}" for k, cells in zip(panel.shots, panel.cells, strict=True)]
    ax.set_xticks(positions, heads)
    ax.set_xlim(-0.25, right + 0.36)
    ax.set_xlabel("support pairs k")
    ax.set_ylabel(
        f"macro corrected AUPR, {counted_cells(len(panel.cells[-1]))}" if panel.same_cells else "macro corrected AUPR"
    )
    title = f"{panel.task}, {panel.protocol}"
    if (panel.regime, panel.balance) != ("labelled", "natural"):
        title += f" ({panel.regime}, {panel.balance})"
    ax.set_title(title)
    _labels(ax, panel, styles, gap)


def _flat(ax: Axes, panel: CurvePanel, curve: Curve, look: Look, bar: float) -> None:
    """A level line, with its interval at x = `bar`."""
    dash = look.dash if curve.kind == "reference" else "-"
    if curve.last and not curve.constant:
        ax.vlines(bar, *curve.last.interval(), color=look.colour, lw=0.9, alpha=0.5, zorder=1)
    for run in _runs(panel, curve):
        values = [point.value for i in run if (point := curve.points[i])]
        ax.plot(
            [run[0] - 0.15, *run, run[-1] + 0.36],
            [values[0], *values, values[-1]],
            dash,
            color=look.colour,
            lw=0.9 if curve.kind == "control" else 1.4,
            alpha=0.9,
            zorder=1,
        )


def _runs(panel: CurvePanel, curve: Curve) -> list[list[int]]:
    """Positions that may be joined: neighbours with a score over the same cells."""
    runs: list[list[int]] = []
    for i, point in enumerate(curve.points):
        if point is None:
            continue
        if runs and runs[-1][-1] == i - 1 and panel.cells[i] == panel.cells[i - 1]:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _labels(ax: Axes, panel: CurvePanel, styles: Mapping[str, Look], gap: float) -> None:
    """Names to the right of the curves' ends, moved apart where they would overlap."""
    tied: dict[str, list[Curve]] = {}
    for curve in panel.curves:
        # Rows that order nothing lie on top of each other: one label.
        tied.setdefault("constant rows" if curve.constant else curve.name, []).append(curve)
    low, high = ax.get_ylim()
    ends = [(curves, curves[0].last.value) for curves in tied.values() if curves[0].last]
    placed = spread([(value - low) / (high - low) for _, value in ends], gap)
    right = len(panel.shots) - 1
    for (curves, value), height in zip(ends, placed, strict=True):
        look = styles[curves[0].name]
        reference = curves[0].kind == "reference"
        ax.annotate(
            together([curve.name for curve in curves]),
            xy=(right + 0.36, value),
            xytext=(1.05, height),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=INK if reference else look.colour,
            fontstyle="italic" if reference else "normal",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "relpos": (0, 0.5),
                "color": look.colour,
                "lw": 0.6,
                "shrinkA": 1,
                "shrinkB": 0,
            },
        )

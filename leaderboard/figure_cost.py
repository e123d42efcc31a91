"""Quality against cost: macro corrected AUPR over the CPU seconds of a fit with all its scoring."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, NamedTuple

from .board import Board, BoardTable, Row
from .families import LEFT_OUT, leading
from .figure_style import FAINT, Look, panel_grid, panel_height, spread, together, write_caption
from .format import counted_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches of a panel, names included.
_WIDTH, _HEIGHT = 5.2, 3.7
#: Faster than this is a matter of the clock, not of the method.
_SHORTEST_S = 1e-3
_LABEL = 0.047
_CAPTION = (
    "CPU time of one core per fit, scoring of all its episodes included (at least 1 ms). Bars: 95 % bootstrap "
    "intervals. Grey: controls. Step line: the best that can be had for the time."
)


class _Point(NamedTuple):
    row: Row
    seconds: float
    value: float
    low: float
    high: float


def draw_cost(board: Board, styles: Mapping[str, Look]) -> Figure | None:
    """One panel per task and protocol, at its largest k with macro means; None if no row has both figures."""
    found = [(table, _points(board, table)) for table in _tables(board)]
    found = [(table, points) for table, points in found if points]
    if not found:
        return None
    named = [_named(points) for _, points in found]
    height = panel_height(_HEIGHT, max(map(len, named)))
    figure, axes = panel_grid(len(found), _WIDTH, height)
    for ax, (table, points), names in zip(axes, found, named, strict=True):
        _panel(ax, table, points, names, styles, _LABEL * _HEIGHT / height)
    whole = all(len(names) == len(points) for names, (_, points) in zip(named, found, strict=True))
    write_caption(figure, _CAPTION if whole else f"{_CAPTION}{LEFT_OUT}named.")
    return figure


def _named(points: list[_Point]) -> frozenset[str]:
    return leading((point.row.name, point.row.kind) for point in sorted(points, key=lambda point: -point.value))


def _tables(board: Board) -> list[BoardTable]:
    chosen: dict[tuple[str, str], BoardTable] = {}
    for table in board.tables:
        place = (table.key.task, table.key.protocol)
        if table.macro_cells and table.key.headline and (place not in chosen or table.key.k > chosen[place].key.k):
            chosen[place] = table
    return list(chosen.values())


def _points(board: Board, table: BoardTable) -> list[_Point]:
    place = (table.key.task, table.key.protocol)
    costs = {r.method.name: r.cost for r in board.records if (r.task, r.protocol) == place}
    points = []
    for row in table.rows:
        cost = costs.get(row.name, {})
        seconds, fits = cost.get("cpu_s"), cost.get("fits")
        if row.macro is None or row.kind == "reference" or seconds is None or not fits:
            continue
        points.append(_Point(row, max(seconds / fits, _SHORTEST_S), row.macro.value, *row.macro.interval()))
    return points


def _panel(
    ax: Axes, table: BoardTable, points: list[_Point], names: Set[str], styles: Mapping[str, Look], gap: float
) -> None:
    ax.set_xscale("log")
    front: list[_Point] = []
    for point in sorted(points, key=lambda p: (p.seconds, -p.value)):
        if not front or point.value > front[-1].value:
            front.append(point)
    slowest = max(point.seconds for point in points)
    ax.step(
        [*(p.seconds for p in front), slowest * 1.3],
        [*(p.value for p in front), front[-1].value],
        where="post",
        color=FAINT,
        lw=1.5,
        zorder=0,
    )
    for point in points:
        look = styles[point.row.name]
        ax.vlines(point.seconds, point.low, point.high, color=look.colour, lw=0.9, alpha=0.5, zorder=2)
        ax.plot(point.seconds, point.value, look.marker, color=look.colour, ms=6, mec="white", mew=0.6, zorder=3)
    key = table.key
    ax.set_title(f"{key.task}, {key.protocol}, k = {key.k}")
    ax.set_xlabel("CPU time per fit")
    ax.set_ylabel(f"macro corrected AUPR, {counted_cells(len(table.macro_cells))}")
    ax.xaxis.set_major_formatter(lambda seconds, _: _duration(seconds))
    ax.set_xlim(_SHORTEST_S * 0.7, max(slowest * 1.6, 0.1))
    low, high = ax.get_ylim()
    tied: dict[str, list[_Point]] = {}
    for point in (point for point in points if point.row.name in names):
        # Rows that order nothing lie on one height: one label.
        tied.setdefault("constant rows" if point.row.constant else point.row.name, []).append(point)
    labels = [(together([point.row.name for point in group]), group[0]) for group in tied.values()]
    placed = spread([(point.value - low) / (high - low) for _, point in labels], gap)
    for (text, point), height in zip(labels, placed, strict=True):
        look = styles[point.row.name]
        ax.annotate(
            text,
            xy=(point.seconds, point.value),
            xytext=(1.03, height),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=look.colour,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "relpos": (0, 0.5),
                "color": look.colour,
                "lw": 0.5,
                "alpha": 0.45,
                "shrinkA": 1,
                "shrinkB": 4,
            },
        )


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 0.1 else f"{1000 * seconds:g} ms"

"""How figures look, and how they are saved: the same board gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..benchmark.atomic import write_bytes
from ..tasks.errors import EpishotError
from .figure_format import FigureFormat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Look(NamedTuple):
    """Colour, marker and dash pattern of one row, the same in all figures."""

    colour: str
    marker: str
    dash: str


# Okabe and Ito's colours, which colour-blind readers tell apart, without their yellow (too faint on white).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255", "#333333")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
_CONTROL, _REFERENCE = "#8A8A8A", "#222222"
INK, FAINT = "#222222", "#D9D9D9"

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "svg.hashsalt": "epishot",
    # Names come from plugins: a dollar sign is a dollar sign.
    "text.parse_math": False,
    "figure.dpi": 100,
    "savefig.dpi": 150,
}


def looks(rows: Iterable[tuple[str, str]]) -> dict[str, Look]:
    """A look for every row: methods coloured, controls grey, reference rows dashed.

    Args:
        rows: (name, kind) of all rows of the board.
    """
    kinds = dict(sorted(rows))
    found: dict[str, Look] = {}
    coloured = [name for name, kind in kinds.items() if kind not in ("control", "reference")]
    controls = [name for name, kind in kinds.items() if kind == "control"]
    for number, name in enumerate(coloured):
        dash = ("-", "-.", ":")[number // len(_COLOURS) % 3]
        found[name] = Look(_COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)], dash)
    for number, name in enumerate(controls):
        found[name] = Look(_CONTROL, _MARKERS[number % len(_MARKERS)], "-")
    for name, kind in kinds.items():
        if kind == "reference":
            found[name] = Look(_REFERENCE, "", "--")
    return found


@contextmanager
def drawing() -> Iterator[None]:
    """matplotlib without a display and with the house settings, restored afterwards.

    Raises:
        EpishotError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise EpishotError("Figures need matplotlib; install it with `pip install 'epishot[figures]'`.") from error
    with mpl.rc_context(_SETTINGS):
        yield


def save(figure: Figure, path: Path) -> Path:
    """Write a figure, atomically and without date or version, in the format of the path's suffix."""
    buffer = BytesIO()
    kind = path.suffix[1:]
    metadata = {"Date": None, "Creator": None} if kind == FigureFormat.SVG.value else {"Software": None}
    figure.savefig(buffer, format=kind, metadata=metadata, facecolor="white", bbox_inches="tight", pad_inches=0.08)
    write_bytes(path, buffer.getvalue())
    return path


def panel_grid(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in at most two columns; width and height of a panel in inches."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(2, count)
    rows = -(-count // columns)
    layout = ConstrainedLayoutEngine(wspace=0.06, hspace=0.08)
    figure = Figure(figsize=(width * columns, height * rows + 0.4), layout=layout)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, axes[:count]


def panel_height(usual: float, names: int) -> float:
    """Inches of a panel beside which `names` names stand: the usual height, more where they are many."""
    return max(usual, 0.16 * names + 0.8)


def write_caption(figure: Figure, text: str) -> None:
    """Write below a figure, in lines no wider than the figure."""
    letters = int(15 * figure.get_size_inches()[0])
    figure.text(0.01, -0.01, "\n".join(wrap(text, letters)), fontsize=7.5, va="top")


def together(names: Sequence[str]) -> str:
    """One label for rows that lie on top of each other."""
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} alike)"


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions as near as possible to `wanted` (least squares) that keep their order and at least `gap` apart."""
    order = np.argsort(wanted, kind="stable")
    # Shifted by their rank, positions need only be non-decreasing: pool adjacent violators.
    pools: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        pools.append((wanted[index] - rank * gap, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (second, m), (first, n) = pools.pop(), pools.pop()
            pools.append(((first * n + second * m) / (n + m), n + m))
    flat = [mean for mean, count in pools for _ in range(count)]
    placed = [0.0] * len(flat)
    for rank, index in enumerate(order):
        placed[index] = flat[rank] + rank * gap
    return placed

"""Cost against size, log-log, one panel for each thing that grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .figure_style import drawing, looks, panel_grid, save


class CostCurve(Protocol):
    """A line of the figure; see `benchmark.scale_curves.Curve`."""

    @property
    def against(self) -> str:
        """What grows."""
        ...

    @property
    def stage(self) -> str:
        """What was timed."""
        ...

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the points."""
        ...

    @property
    def seconds(self) -> tuple[float, ...]:
        """Of the points."""
        ...

    @property
    def slope(self) -> float:
        """Exponent of the growth."""
        ...


def draw_curves(curves: Sequence[CostCurve], path: Path) -> Path:
    """Draw all curves with their slopes; the suffix of `path` is the format.

    Raises:
        EpishotError: matplotlib is not installed.
    """
    with drawing():
        from matplotlib.ticker import FixedLocator, NullLocator

        panels = list(dict.fromkeys(curve.against for curve in curves))
        figure, axes = panel_grid(len(panels), 5.2, 3.6)
        look = looks([(curve.stage, "method") for curve in curves])
        for ax, against in zip(axes, panels, strict=True):
            own = [curve for curve in curves if curve.against == against]
            for curve in own:
                style, label = look[curve.stage], f"{curve.stage} (slope {curve.slope:.2f})"
                ax.plot(curve.sizes, curve.seconds, color=style.colour, marker=style.marker, label=label)
            ax.set(xscale="log", yscale="log", xlabel=against, title=f"time against {against}")
            ax.xaxis.set_major_locator(FixedLocator(sorted({size for curve in own for size in curve.sizes})))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.xaxis.set_major_formatter(lambda size, _: _count(size))
            # Whole decades around all points, so that a flat line looks flat.
            low = math.floor(math.log10(min(value for curve in own for value in curve.seconds)))
            high = math.ceil(math.log10(max(value for curve in own for value in curve.seconds)))
            ax.set_ylim(10.0**low, 10.0**high)
            ax.yaxis.set_major_locator(FixedLocator([10.0**power for power in range(low, high + 1)]))
            ax.yaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_major_formatter(lambda seconds, _: _duration(seconds))
            ax.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2))
        return save(figure, path)


def _count(size: float) -> str:
    return f"{size / 1e6:.3g}M" if size >= 1e6 else f"{size / 1e3:.3g}k" if size >= 1e3 else f"{size:g}"


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{1e3 * seconds:g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:g} us"

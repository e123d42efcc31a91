"""Cost against size, log-log, one panel for each thing that grows."""

from __future__ import annotations

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
        panels = list(dict.fromkeys(curve.against for curve in curves))
        figure, axes = panel_grid(len(panels), 4.4, 3.2)
        look = looks([(curve.stage, "method") for curve in curves])
        for ax, against in zip(axes, panels, strict=True):
            for curve in curves:
                if curve.against == against:
                    own = look[curve.stage]
                    label = f"{curve.stage} (slope {curve.slope:.2f})"
                    ax.plot(curve.sizes, curve.seconds, color=own.colour, marker=own.marker, label=label)
            ax.set(xscale="log", yscale="log", xlabel=against, ylabel="seconds", title=f"against {against}")
            ax.legend(frameon=False, fontsize=7)
        return save(figure, path)

"""Figures of a board: learning curves, quality against cost, and a heat map of every table."""

from __future__ import annotations

import re
from pathlib import Path

from ..tasks.errors import EpishotError
from .board import Board
from .figure_cost import draw_cost
from .figure_curves import draw_curves
from .figure_format import FigureFormat
from .figure_heatmap import draw_heatmap
from .figure_style import drawing, looks, save


def write_figures(board: Board, folder: Path, kind: FigureFormat = FigureFormat.SVG) -> list[Path]:
    """Draw everything the board holds: `learning-curves`, `cost-quality`, and `heatmap-...` for every table.

    Args:
        board: what `build_board` returned. folder: where the files go, made if need be. kind: file format.

    Returns:
        The files written. A figure that the board has nothing for is left out.

    Raises:
        EpishotError: matplotlib is not installed, or the folder cannot be written.
    """
    styles = looks({(row.name, row.kind) for table in board.tables for row in table.rows})
    written = []
    with drawing():
        figures = {"learning-curves": draw_curves(board, styles), "cost-quality": draw_cost(board, styles)}
        for table in board.tables:
            key = table.key
            name = f"heatmap-{key.task}-{key.protocol}-{key.regime}-{key.balance}-k{key.k}"
            figures[re.sub(r"[^A-Za-z0-9+.-]+", "-", name)] = draw_heatmap(table)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, figure in figures.items():
                if figure is not None:
                    written.append(save(figure, folder / f"{name}.{kind.value}"))
        except OSError as error:
            raise EpishotError(f"The figures cannot be written to {folder}: {error.strerror}.") from error
    return written

"""File formats of figures; apart from the drawing, so that the command line need not load it."""

from __future__ import annotations

from enum import StrEnum


class FigureFormat(StrEnum):
    """What a figure is saved as."""

    SVG = "svg"
    PNG = "png"

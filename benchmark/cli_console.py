"""Where commands print."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

#: Columns of a file or pipe, which have no width of their own; 80 would crush the tables.
_PIPE_COLUMNS = 160


def stdout_console() -> Console:
    """A rich console on stdout, wide enough for tables where stdout is not a terminal."""
    from rich.console import Console

    free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=_PIPE_COLUMNS if free else None)

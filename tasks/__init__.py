"""EP datasets in, episodes out. Knows nothing of methods; imports no other part of the suite.

Everything is imported on first use: listing tasks must not pay for pandas, torch or datasets.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "DuplicateNameError": "errors",
    "EpishotError": "errors",
    "OverlapError": "errors",
    "SourceError": "errors",
    "TableError": "errors",
    "UnknownNameError": "errors",
    "Feature": "card",
    "Source": "card",
    "TaskCard": "card",
    "Columns": "task",
    "Task": "task",
    "TASKS": "catalog",
    "describe": "catalog",
    "load_task": "catalog",
    "register_task": "catalog",
    "load_folder": "folder",
    "build_table": "validate",
    "EpisodeSet": "episodes",
    "Protocol": "splits",
    "Split": "splits",
    "cell_splits": "splits",
    "audit_overlap": "overlap",
    "locus_clusters": "loci",
}

__all__ = [
    "TASKS",
    "Columns",
    "DuplicateNameError",
    "EpishotError",
    "EpisodeSet",
    "Feature",
    "OverlapError",
    "Protocol",
    "Source",
    "SourceError",
    "Split",
    "TableError",
    "Task",
    "TaskCard",
    "UnknownNameError",
    "audit_overlap",
    "build_table",
    "cell_splits",
    "describe",
    "load_folder",
    "load_task",
    "locus_clusters",
    "register_task",
]

if TYPE_CHECKING:
    from .card import Feature, Source, TaskCard
    from .catalog import TASKS, describe, load_task, register_task
    from .episodes import EpisodeSet
    from .errors import (
        DuplicateNameError,
        EpishotError,
        OverlapError,
        SourceError,
        TableError,
        UnknownNameError,
    )
    from .folder import load_folder
    from .loci import locus_clusters
    from .overlap import audit_overlap
    from .splits import Protocol, Split, cell_splits
    from .task import Columns, Task
    from .validate import build_table


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first access."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})

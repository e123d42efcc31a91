"""EPIShot: which enhancer-promoter models survive a cell line that nobody has labelled?

The public face. Everything is imported on first use, so that `import epishot` and
`epishot --help` stay fast; `torch` and `datasets` cost seconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "EpishotError": "tasks",
    "EpisodeSet": "tasks",
    "Task": "tasks",
    "TaskCard": "tasks",
    "load_task": "tasks",
    "register_task": "tasks",
    "Method": "methods",
    "PairTable": "methods",
    "Supports": "methods",
    "TrainTable": "methods",
    "FitContext": "methods",
    "SklearnMethod": "methods",
    "register_method": "methods",
}

__all__ = ["__version__", *sorted(_PUBLIC)]

if TYPE_CHECKING:
    from .methods import FitContext, Method, PairTable, SklearnMethod, Supports, TrainTable, register_method
    from .tasks import EpishotError, EpisodeSet, Task, TaskCard, load_task, register_task


def __getattr__(name: str) -> Any:
    """Import a public name from its subpackage on first access."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})

"""EPIShot: which enhancer-promoter models survive a cell line that nobody has labelled?

The public face. Everything is imported on first use, so that `import epishot` and
`epishot --help` stay fast; `torch` and `datasets` cost seconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_TASKS = ("EpishotError", "EpisodeSet", "Task", "TaskCard", "load_task", "register_task")

__all__ = [
    "EpishotError",
    "EpisodeSet",
    "FitContext",
    "Method",
    "PairTable",
    "SklearnMethod",
    "Supports",
    "Task",
    "TaskCard",
    "TrainTable",
    "__version__",
    "load_task",
    "register_method",
    "register_task",
]

if TYPE_CHECKING:
    from .methods import FitContext, Method, PairTable, SklearnMethod, Supports, TrainTable, register_method
    from .tasks import EpishotError, EpisodeSet, Task, TaskCard, load_task, register_task


def __getattr__(name: str) -> Any:
    """Import a public name from its subpackage on first access."""
    if name in __all__:
        subpackage = "tasks" if name in _TASKS else "methods"
        return getattr(importlib.import_module(f".{subpackage}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The plugin contract, the method registry, conformance checks and the energy-coupling family.

May import `epishot.tasks` only. Names are imported on first use: no torch, no scikit-learn until needed.
"""

# ruff: noqa: F401 (the imports below are for type checkers; at run time names arrive by __getattr__)

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "Balance": "base",
    "Capabilities": "base",
    "EpisodeMethod": "base",
    "FitContext": "base",
    "Method": "base",
    "PairTable": "base",
    "Reads": "base",
    "Regime": "base",
    "Supports": "base",
    "TrainTable": "base",
    "no_support": "base",
    "FeatureMatrix": "features",
    "Scale": "features",
    "METHODS": "registry",
    "check_method_class": "registry",
    "find_method": "registry",
    "method_address": "registry",
    "register_method": "registry",
    "SklearnMethod": "sklearn_adapter",
    "fit_context": "tables",
    "pair_table": "tables",
    "train_table": "tables",
    "CheckResult": "check",
    "run_checks": "check",
}

__all__ = sorted(_PUBLIC)

if TYPE_CHECKING:
    from .base import (
        Balance,
        Capabilities,
        EpisodeMethod,
        FitContext,
        Method,
        PairTable,
        Reads,
        Regime,
        Supports,
        TrainTable,
        no_support,
    )
    from .check import CheckResult, run_checks
    from .features import FeatureMatrix, Scale
    from .registry import METHODS, check_method_class, find_method, method_address, register_method
    from .sklearn_adapter import SklearnMethod
    from .tables import fit_context, pair_table, train_table


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first access."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})

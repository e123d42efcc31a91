"""Imported once by the fork server, so that no fit pays for it. Loads libraries and code, never data."""

from __future__ import annotations

import importlib

LIBRARIES = (
    "numpy",
    "scipy.special",
    "scipy.stats",
    "scipy.optimize",
    "sklearn.linear_model",
    "sklearn.ensemble",
    "sklearn.preprocessing",
    "sklearn.pipeline",
    "torch",
    "torch.func",
    "torch._dynamo",  # what the first optimiser of a process would import, for two seconds
    "epishot.methods",
    "epishot.benchmark.worker",
)

for _name in LIBRARIES:
    try:
        importlib.import_module(_name)
    except ImportError:  # a fit that needs it says so better than a dead fork server
        continue

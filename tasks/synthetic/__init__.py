"""The embedded default task and its variants: a mechanistic simulator with an exact ceiling.

Factories here are registered as tasks; `generate` takes every setting, `simulate.simulate` also gives the
truth behind the labels. Imports nothing heavy until a task is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..task import Task
    from .settings import Coupling, Nuisance

__all__ = [
    "additive",
    "gate",
    "generate",
    "hill",
    "multiplicative",
    "null",
    "saturating",
    "shortcut",
    "xdependent",
]

_PAIRS = 2000


def generate(coupling: str | Coupling, *, nuisance: str | Nuisance = "absent", **settings: Any) -> Task:
    """Simulate a task with any settings.

    Args:
        coupling: a `settings.Coupling` or its value.
        nuisance: a `settings.Nuisance` or its value.
        **settings: the other fields of `settings.Settings`: seed, cells, pairs, prevalence, slope,
            slope_sd, offset_sd, scale_sd, bilinear, full_spread.

    Raises:
        EpishotError: a setting is unknown or out of its range.
    """
    from ..errors import EpishotError
    from . import settings as declared
    from .simulate import simulate
    from .table import make_task

    try:
        complete = declared.Settings(
            coupling=declared.Coupling(coupling), nuisance=declared.Nuisance(nuisance), **settings
        )
    except (TypeError, ValueError) as error:
        raise EpishotError(f"These settings make no synthetic task: {error}.") from error
    return make_task(simulate(complete))


def additive(seed: int = 0, cells: int = 6, pairs: int = _PAIRS) -> Task:
    """Simulated pairs, additive coupling (U - R(c)) / T; the embedded default."""
    return generate("additive", seed=seed, cells=cells, pairs=pairs)


def multiplicative(seed: int = 0, cells: int = 6, pairs: int = _PAIRS) -> Task:
    """Simulated pairs, multiplicative coupling (M(c) U + B(c)) / T(c)."""
    return generate("multiplicative", seed=seed, cells=cells, pairs=pairs)


def gate(seed: int = 0, cells: int = 6, pairs: int = _PAIRS) -> Task:
    """Simulated pairs, sigmoid gate on a positive potential."""
    return generate("gate", seed=seed, cells=cells, pairs=pairs)


def saturating(seed: int = 0, cells: int = 6, pairs: int = _PAIRS) -> Task:
    """Simulated pairs, saturating suppression (U - u0) / (1 + R(c)) / T."""
    return generate("saturating", seed=seed, cells=cells, pairs=pairs)


def hill(seed: int = 0, cells: int = 6, pairs: int = _PAIRS) -> Task:
    """Simulated pairs, Hill coupling with a cell-specific half point K(c)."""
    return generate("hill", seed=seed, cells=cells, pairs=pairs)


def xdependent(seed: int = 0, cells: int = 6, pairs: int = _PAIRS) -> Task:
    """Simulated pairs, low-rank bilinear coupling: rankings differ between cells."""
    return generate("xdependent", seed=seed, cells=cells, pairs=pairs)


def null(seed: int = 0, cells: int = 6, pairs: int = _PAIRS) -> Task:
    """Simulated pairs whose labels are independent of everything: no method may stand out.

    The prevalence is the same in every cell; ceiling and oracle are that constant.
    """
    return generate("none", seed=seed, cells=cells, pairs=pairs)


def shortcut(seed: int = 0, cells: int = 6, pairs: int = _PAIRS) -> Task:
    """Simulated pairs with a feature block that encodes the cell, and with it the prevalence.

    In the cell `shifted` the block varies from row to row independently of the label: held out, it shows
    who took the shortcut. The module `nuisance` explains the construction.
    """
    return generate("additive", nuisance="shortcut", seed=seed, cells=cells, pairs=pairs)

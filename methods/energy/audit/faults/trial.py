"""Auditing broken and healthy methods on a small generated task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from .....tasks.catalog import load_task
from ....audits.finding import Finding, Outcome
from ....base import FitContext, TrainTable
from ....tables import fit_context, train_table
from ...method import EnergyMethod
from ..audit import audit_energy
from .fault import Fault

#: Small, and with room for a training: cells differ in offset and slope.
TASK = "synthetic@cells=6,pairs=400"
#: Sizes that train in a second; names of sections of `EnergyConfig`.
SMALL: Mapping[str, Mapping[str, object]] = {"encoder": {"width": 32}, "sampler": {"block_rows": 64}}
BUDGET = 0.15


@dataclass(frozen=True)
class Trial:
    """What an audit said of one method; `expected` checks had to fail (none for a healthy one)."""

    name: str
    what: str
    expected: tuple[str, ...]
    findings: Sequence[Finding]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(finding.name for finding in self.findings if finding.outcome is Outcome.FAIL)

    @property
    def right(self) -> bool:
        """A fault was caught by every check that had to catch it; a healthy method passed them all."""
        return set(self.expected) <= set(self.failed) if self.expected else not self.failed


@cache
def table(method: type[EnergyMethod]) -> TrainTable:
    """The training cells of the task, as a method may read them."""
    task = load_task(TASK)
    return train_table(task, np.arange(task.columns.label.size), method.reads)


def context(seed: int, budget: float) -> FitContext:
    """The context of the task."""
    return fit_context(load_task(TASK), seed=seed, budget=budget)


def small(preset: type[EnergyMethod], options: Mapping[str, object]) -> EnergyMethod:
    """A preset at small sizes, with options on top of them."""
    merged = {name: dict(value) for name, value in SMALL.items()}
    for name, value in options.items():
        assert isinstance(value, Mapping)
        merged[name] = {**merged.get(name, {}), **value}
    return preset(**merged)


def try_fault(fault: Fault, seed: int) -> Trial:
    """Plant a fault, audit, and take it out again."""
    train = fault.table(table(fault.preset))
    with fault.plant(train):
        found = audit_energy(small(fault.preset, fault.options), train, context(seed, BUDGET * fault.budget))
    return Trial(fault.name, fault.what, fault.expected, found)


def try_preset(preset: type[EnergyMethod], expected: tuple[str, ...], seed: int) -> Trial:
    """Audit a preset as it is, over all its steps; a negative control with the checks that it must fail."""
    found = audit_energy(small(preset, {}), table(preset), context(seed, 1.0))
    return Trial(preset.name, preset.summary, expected, found)

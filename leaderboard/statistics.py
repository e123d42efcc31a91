"""Comparisons between rows: paired bootstrap z, Holm's correction, tie groups.

Everything works on replicates of the macro mean that were drawn with the same resamples for every method, so
differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from ..benchmark.interval import percentile_interval

FAMILY_LEVEL = 0.05
#: Replicates are stored in float32; spread below its resolution is no spread.
NO_SPREAD = 1e-7


class MacroScore(NamedTuple):
    """A macro mean with its bootstrap replicates.

    Attributes:
        value: mean over cells of the chance-corrected AUPR.
        replicates: (B,) the same mean in each resample.
    """

    value: float
    replicates: np.ndarray

    def interval(self) -> tuple[float, float]:
        """95 % percentile bootstrap interval."""
        return percentile_interval(self.replicates)


def paired_error(first: MacroScore, second: MacroScore) -> float:
    """Standard error of the difference: standard deviation of the paired replicate differences."""
    return float(np.std(first.replicates.astype(np.float64) - second.replicates, ddof=1))


def paired_z(first: MacroScore, second: MacroScore) -> float:
    """z = (first - second) / standard error of the paired replicate differences.

    Two rows with the same scores give 0; a difference without any spread gives +-inf.
    """
    difference = first.value - second.value
    error = paired_error(first, second)
    if difference == 0:
        return 0.0
    return float(np.copysign(np.inf, difference)) if error < NO_SPREAD else difference / error


def two_sided_p(z: float) -> float:
    """p value of a standard normal z, two-sided."""
    return float(2 * norm.sf(abs(z)))


def holm(p_values: Sequence[float], level: float = FAMILY_LEVEL) -> list[bool]:
    """Which hypotheses Holm's step-down procedure rejects at family-wise `level` (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    rejected = [False] * len(p_values)
    for step, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - step):
            break
        rejected[index] = True
    return rejected


def tie_groups(scores: Mapping[str, MacroScore], level: float = FAMILY_LEVEL) -> dict[str, int]:
    """Group 1 = the top row and all rows not separable from it, then again on the rest.

    Args:
        scores: macro score of each row.
        level: family-wise level of the comparisons with the top row (Holm).

    Returns:
        name -> group number from 1.
    """
    rest = sorted(scores, key=lambda name: (-scores[name].value, name))
    groups: dict[str, int] = {}
    number = 0
    while rest:
        number += 1
        top, *others = rest
        rejected = holm([two_sided_p(paired_z(scores[top], scores[name])) for name in others], level)
        groups[top] = number
        groups |= {name: number for name, below in zip(others, rejected, strict=True) if not below}
        rest = [name for name, below in zip(others, rejected, strict=True) if below]
    return groups


def above(scores: Mapping[str, MacroScore], baseline: MacroScore, level: float = FAMILY_LEVEL) -> dict[str, bool]:
    """Which rows are separably better than `baseline` (two-sided z, Holm over the rows)."""
    names = sorted(scores)
    z = [paired_z(scores[name], baseline) for name in names]
    rejected = holm([two_sided_p(value) for value in z], level)
    return {name: out and value > 0 for name, value, out in zip(names, z, rejected, strict=True)}

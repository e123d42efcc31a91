"""What a table cannot tell apart: its resolution, said in words beneath it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from .board import BoardTable
from .statistics import FAMILY_LEVEL, NO_SPREAD, MacroScore, holm, paired_error, paired_z, two_sided_p


class Resolution(NamedTuple):
    """What the paired intervals of a table can separate.

    Attributes:
        smallest, median, largest: over the rows below the top row, the macro difference from it at which Holm's
            first step would separate the row.
        comparisons: rows compared with the top row.
        ties: runs of rows, best first, in which no row is separable from the next (Holm over all neighbours).
    """

    smallest: float
    median: float
    largest: float
    comparisons: int
    ties: tuple[tuple[str, ...], ...]


def resolution(table: BoardTable, level: float = FAMILY_LEVEL) -> Resolution | None:
    """The resolution of a table; None if no row differs from the top row."""
    scored = [(row.name, row.macro) for row in table.rows if row.macro is not None and row.group is not None]
    if not scored:
        return None
    top, others = scored[0][1], [macro for _, macro in scored[1:]]
    errors = np.array([paired_error(top, other) for other in others])
    # Rows with the very scores of the top row have no spread: they say nothing about resolution.
    errors = errors[errors > NO_SPREAD]
    if not errors.size:
        return None
    needed = float(norm.isf(level / len(others) / 2)) * errors
    return Resolution(
        float(needed.min()), float(np.median(needed)), float(needed.max()), len(others), _ties(scored, level)
    )


def _ties(scored: Sequence[tuple[str, MacroScore]], level: float) -> tuple[tuple[str, ...], ...]:
    neighbours = list(pairwise(scored))
    apart = holm([two_sided_p(paired_z(one, next_one)) for (_, one), (_, next_one) in neighbours], level)
    runs = [[scored[0][0]]]
    for (name, _), separable in zip(scored[1:], apart, strict=True):
        if separable:
            runs.append([name])
        else:
            runs[-1].append(name)
    return tuple(tuple(run) for run in runs if len(run) > 1)


def smallest_sign_p(n_cells: int) -> float:
    """p of the two-sided sign test of a row that wins in every one of `n_cells` cells: 2 / 2^n."""
    return min(1.0, 2.0 / 2.0**n_cells)

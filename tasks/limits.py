"""Which supports a pool can give: the one rule behind episode sets and the feasibility table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .draws import Balance
from .errors import EpishotError
from .identity import locus_codes

if TYPE_CHECKING:
    from .splits import Split
    from .task import Task


@dataclass(frozen=True)
class PoolLimits:
    """Enhancer-gene pairs that a support pool holds.

    Attributes:
        pairs: distinct pairs, whatever the label.
        positive_pairs, negative_pairs: pairs all of whose rows are positive / negative. A pair whose
            transcripts disagree counts for neither, because which row a draw keeps is left to chance.
    """

    pairs: int
    positive_pairs: int
    negative_pairs: int


def pool_limits(task: Task, split: Split) -> PoolLimits:
    """Count the enhancer-gene pairs of a split's support pool."""
    pair = locus_codes(task)["pair"][split.pool_rows]
    label = task.columns.label[split.pool_rows]
    has = np.zeros((2, int(pair.max(initial=-1)) + 2), dtype=bool)
    has[label, pair] = True
    # The last slot took the pairs without identity; each of their rows counts as a pair of its own.
    has[:, -1] = False
    negative_only, positive_only = np.bincount(label[pair < 0], minlength=2)
    mixed = int((has[0] & has[1]).sum())
    positive, negative = int(has[1].sum() + positive_only), int(has[0].sum() + negative_only)
    return PoolLimits(positive + negative - mixed, positive - mixed, negative - mixed)


def infeasible_reason(limits: Mapping[int, PoolLimits], balance: Balance, k: int) -> str | None:
    """Why a cell has no support of k pairs in every fold that holds query rows; None if it has.

    Args:
        limits: pool limits of one cell by fold; empty if the cell has no query rows at all.
        balance: natural or balanced.
        k: pairs per support.
    """
    if not limits:
        return "the cell has no labelled query rows"
    if balance is Balance.BALANCED and k % 2:
        return f"k = {k} is odd and cannot be k/2 positives + k/2 negatives"
    short = []
    for fold, limit in limits.items():
        needs = [("", limit.pairs, k)]
        if balance is Balance.BALANCED:
            needs = [("positive ", limit.positive_pairs, k // 2), ("negative ", limit.negative_pairs, k // 2)]
        short += [(fold, kind, found, needed) for kind, found, needed in needs if found < needed]
    if not short:
        return None
    fold, kind, found, needed = min(short, key=lambda item: item[2] - item[3])
    where = f"fold {fold}: " if len(limits) > 1 else ""
    folds = len({item[0] for item in short})
    others = f" (and {folds - 1} more fold(s))" if folds > 1 else ""
    return f"{where}the pool has {found} of {needed} {kind}enhancer-gene pairs{others}"


def parse_shots(shots: Sequence[int]) -> tuple[int, ...]:
    """Distinct numbers of support pairs in ascending order.

    Raises:
        EpishotError: none given, or a negative one.
    """
    distinct = tuple(sorted({int(k) for k in shots}))
    if not distinct or distinct[0] < 0:
        raise EpishotError(f"Shots must be at least one number >= 0, e.g. 0,16,64; got {list(shots)}.")
    return distinct

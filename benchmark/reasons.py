"""Why a metric is undefined. An undefined metric is NaN with one of these codes; never 0, never dropped."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reason codes, as they stand in records and on the leaderboard."""

    TOO_FEW_ROWS = "too-few-rows"  #: fewer than two rows
    NO_POSITIVES = "no-positives"  #: P = 0
    ONLY_POSITIVES = "only-positives"  #: P = n
    UNMATCHED = "unmatched-distances"  #: more than half the positives have no negative at their distance
    NO_LOGITS = "no-logits"  #: the method's scores are not logits
    BALANCED = "balanced-support"  #: case-control supports make offsets meaningless
    ONE_FOLD = "one-fold"  #: nothing to pool under protocol `cell`
    PROTOCOL = "cell-chrom-only"  #: defined under protocol `cell+chrom` only
    FEW_PAIRS = "fewer-than-50-pairs"  #: too few enhancer-gene pairs swap their label
    INCOMPLETE = "incomplete"  #: a feasible cell has no scores


def undefined(n: int, positives: int) -> Reason | None:
    """Why average precision over `n` rows with `positives` positives is undefined; None if it is defined."""
    if n < 2:
        return Reason.TOO_FEW_ROWS
    if positives == 0:
        return Reason.NO_POSITIVES
    if positives == n:
        return Reason.ONLY_POSITIVES
    return None

"""Does a few-shot gain come from the labels of the support? Permuted labels must take it away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..base import Balance, Regime, Supports, no_support
from ..check_case import Setting
from ..check_subject import BrokenRuleError, RuleNotApplicableError
from .decisions import LEVEL, auprs, sign_flip_p
from .subject import AuditSubject, audit

#: Supports, pairs in each, and label permutations of each.
DRAWS, SHOTS, PERMUTATIONS = 30, 32, 3
#: Share of the gain that may stay when labels are permuted.
MAY_STAY = 0.5


@audit("support-labels")
def support_labels(subject: AuditSubject) -> None:
    """With the labels of the support permuted, the few-shot gain disappears."""
    regimes = subject.cls.capabilities().regimes
    if Regime.LABELLED not in regimes:
        subject.remark = "It reads no support labels: no gain to lose."
        return
    supports = _labelled(subject)
    label = subject.case.query_label
    true = auprs(subject.score(supports), label)
    permuted = np.mean([auprs(subject.score(one), label) for one in _permuted(subject, supports)], axis=0)
    base = _baseline(subject, supports)
    base = permuted if base is None else base
    gain = true - base
    p_gain = sign_flip_p(gain)
    subject.evidence |= {
        "AUPR, true labels": float(true.mean()),
        "AUPR, permuted labels": float(permuted.mean()),
        "AUPR, no labels": float(base.mean()) if base is not permuted else None,
        "draws": len(true),
        "p of a gain": p_gain,
        "level": LEVEL,
    }
    if p_gain > LEVEL:
        subject.remark = f"No gain to lose: {gain.mean():+.3f} AUPR from {SHOTS} labelled pairs (p = {p_gain:.2g})."
        return
    stays = (permuted - base) - MAY_STAY * gain
    p_stays = sign_flip_p(stays)
    subject.evidence |= {"p that over half stays": p_stays}
    if p_stays <= LEVEL:
        raise BrokenRuleError(
            f"the gain of {gain.mean():+.3f} AUPR is still {(permuted - base).mean():+.3f} with permuted labels "
            f"(p = {p_stays:.2g}): it does not come from the labels"
        )
    subject.remark = f"The gain of {gain.mean():+.3f} AUPR is {(permuted - base).mean():+.3f} with permuted labels."


def _labelled(subject: AuditSubject) -> Supports:
    """Natural supports with at least two pairs of either class, so that a permutation changes something."""
    case = subject.case
    if min(int((case.pool_label == value).sum()) for value in (0, 1)) < 2 or case.pool.n < 2 * SHOTS:
        raise RuleNotApplicableError("the support pool is too small to permute labels in")
    setting = Setting(Regime.LABELLED, Balance.NATURAL, SHOTS)
    many = case.supports(setting, 10 * DRAWS, stream=5)
    assert many.label is not None
    positives = many.label.sum(axis=1)
    mixed = np.flatnonzero((positives >= 2) & (positives <= SHOTS - 2))[:DRAWS]
    if mixed.size < DRAWS // 2:
        raise RuleNotApplicableError("too few supports of the pool hold two pairs of either class")
    return replace(many, rows=many.rows[mixed], label=many.label[mixed])


def _permuted(subject: AuditSubject, supports: Supports) -> list[Supports]:
    assert supports.label is not None
    rng = np.random.Generator(np.random.Philox(key=[subject.seed, 33]))
    return [replace(supports, label=rng.permuted(supports.label, axis=1)) for _ in range(PERMUTATIONS)]


def _baseline(subject: AuditSubject, supports: Supports) -> np.ndarray | None:
    """AUPR without labels: on the same supports unlabelled, else without support; None if neither is served."""
    regimes, label = subject.cls.capabilities().regimes, subject.case.query_label
    if Regime.UNLABELLED in regimes:
        return auprs(subject.score(replace(supports, regime=Regime.UNLABELLED, label=None)), label)
    if Regime.NONE in regimes:
        alone = auprs(subject.score(no_support(subject.case.query)), label)
        return np.repeat(alone, supports.n_episodes)
    return None

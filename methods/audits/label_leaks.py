"""Do labels reach a score through what must not carry them: the order of the pairs, or the numbers of identities?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..base import PairTable, Supports
from ..check_subject import BrokenRuleError
from .decisions import auprs, standing
from .subject import AuditSubject, audit

#: Orders (numberings) that know nothing of the labels; the planted one is compared with them.
BLIND = 20
#: Standard deviations of the blind ones by which a planted one must stand out.
STANDS_OUT = 5.0


@audit("label-order")
def label_order(subject: AuditSubject) -> None:
    """Scores do not follow the order of the pairs when query and cell table come sorted by label."""
    query, label = subject.case.query, subject.case.query_label
    supports = subject.case.supports(subject.richest, 2)
    reference = subject.score(supports)
    table, of_table = subject.case.cell_table, subject.cut.cell_label
    planted = []
    for sign in (-1, 1):
        order = np.argsort(sign * label, kind="stable")
        listed = table.take(np.argsort(sign * of_table, kind="stable"))
        scores = subject.score(supports, query=query.take(order), cell_table=listed)
        back = np.empty_like(scores)
        back[:, order] = scores
        planted.append(back)
    if all(subject.close(reference, back) for back in planted):
        return
    rng = np.random.Generator(np.random.Philox(key=[subject.seed, 31]))
    blind = []
    for _ in range(BLIND):
        order = rng.permutation(query.n)
        listed = table.take(rng.permutation(table.n))
        blind.append(_mean_aupr(subject.score(supports, query=query.take(order), cell_table=listed), label[order]))
    _judge(subject, max(_mean_aupr(back, label) for back in planted), blind, "sorted by label", "shuffled")


@audit("label-ids")
def label_ids(subject: AuditSubject) -> None:
    """Scores do not read the numbers by which genes and elements are told apart, even if these follow the labels."""
    case = subject.case
    if case.query.gene is None and case.query.element is None:
        subject.remark = "It is handed no identities, so none can carry a label."
        return
    supports = case.supports(subject.richest, 2)
    reference = subject.score(supports)
    rng = np.random.Generator(np.random.Philox(key=[subject.seed, 32]))
    planted = _renumbered(subject, supports, None)
    blind = [_renumbered(subject, supports, rng) for _ in range(3)]
    if all(subject.close(reference, one) for one in (planted, *blind)):
        return
    blind += [_renumbered(subject, supports, rng) for _ in range(BLIND - len(blind))]
    found = [_mean_aupr(one, case.query_label) for one in blind]
    _judge(subject, _mean_aupr(planted, case.query_label), found, "numbered by label", "numbered at random")
    raise BrokenRuleError("the mere numbers of genes and elements, which mean nothing, move the scores")


def _renumbered(subject: AuditSubject, supports: Supports, rng: np.random.Generator | None) -> np.ndarray:
    """Scores with new numbers, never seen in training, for all genes and elements: by label, or at random."""
    case = subject.case
    tables = {"query": case.query, "pool": supports.pool, "cell_table": case.cell_table}
    for name in ("gene", "element"):
        code = getattr(case.query, name)
        if code is None:
            continue
        known = [getattr(one, name) for one in (*tables.values(), case.train.pairs)]
        known = [one for one in known if one is not None]
        names = np.unique(np.concatenate(known))
        if rng is None:
            place_of = np.searchsorted(names, code)
            positive = np.bincount(place_of, weights=case.query_label, minlength=names.size)
            share = positive / np.maximum(np.bincount(place_of, minlength=names.size), 1)
            place = np.argsort(np.argsort(-share, kind="stable"))
        else:
            place = rng.permutation(names.size)
        for key, table in tables.items():
            old = getattr(table, name)
            if old is not None:
                new = (int(names[-1]) + 1 + place[np.searchsorted(names, old)]).astype(old.dtype)
                tables[key] = replace(table, **{name: new})
    moved: PairTable = tables["pool"]
    return subject.score(replace(supports, pool=moved), query=tables["query"], cell_table=tables["cell_table"])


def _judge(subject: AuditSubject, planted: float, blind: list[float], how: str, otherwise: str) -> None:
    """Raise `BrokenRuleError` if the planted AUPR stands out from the blind ones."""
    others = np.array(blind)
    z = standing(planted, others)
    subject.evidence |= {
        f"AUPR, {how}": planted,
        f"AUPR, {otherwise}": float(others.mean()),
        "z": min(z, 1e6),
        "z allowed": STANDS_OUT,
    }
    if z > STANDS_OUT:
        raise BrokenRuleError(
            f"AUPR is {planted:.3f} on pairs {how} and {others.mean():.3f} on pairs {otherwise}: labels leak this way"
        )


def _mean_aupr(scores: np.ndarray, label: np.ndarray) -> float:
    return float(auprs(scores, label).mean())

"""Is a method a table of genes (or elements) in disguise? Then it knows the loci it has seen, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..base import Reads
from ..check_null import permutation_p
from ..check_subject import BrokenRuleError, RuleNotApplicableError
from .decisions import likeness, share_explained
from .subject import AuditSubject, audit

#: Evidence that it knows the loci it has seen; and above which p it knows nothing.
KNOWS, KNOWS_NOTHING = 1e-3, 0.05
#: Correlation above which scores go where the identities go.
FOLLOWS = 0.95
_IDENTITY = ("gene", "element", "chrom", "enhancer_start", "enhancer_end", "tss", "strand")


@audit("identity-lookup")
def identity_lookup(subject: AuditSubject) -> None:
    """It does not live on having seen the gene or element in another cell, unless it is declared a control."""
    if not subject.cls.reads & {Reads.COORDINATES, Reads.CONTEXT, Reads.SEQUENCE}:
        subject.remark = "It is handed neither identities nor positions nor sequences to look up."
        return
    case, label = subject.case, subject.case.query_label
    supports = case.supports(subject.settings[0], 1)
    knowing = subject.fit(replace(case, train=subject.cut.seen))
    seen, unseen = subject.score(supports, knowing), subject.score(supports)
    order = np.random.Generator(np.random.Philox(key=[subject.seed, 34])).permutation(case.query.n)
    columns = {name: value for name in _IDENTITY if (value := getattr(case.query, name)) is not None}
    swapped = replace(case.query, **{name: value[order] for name, value in columns.items()})
    moved = subject.score(supports, knowing, query=swapped)
    follows = likeness(moved[0], seen[0][order]) if columns else 0.0
    p_seen, p_unseen, p_moved = (permutation_p(scores, label, subject.seed) for scores in (seen, unseen, moved))
    subject.evidence |= {
        "scores follow swapped identities": follows,
        "follow from": FOLLOWS,
        "p, loci seen in other cells": p_seen,
        "p, loci never seen": p_unseen,
        "p, identities swapped": p_moved,
        "p that it knows": KNOWS,
        "p that it does not": KNOWS_NOTHING,
    }
    if "gene" in columns:
        subject.evidence["variance explained by gene"] = share_explained(seen[0], columns["gene"])
    if p_unseen <= KNOWS_NOTHING:
        subject.remark = f"It ranks loci that it never saw (p = {p_unseen:.2g})."
        return
    if follows < FOLLOWS:
        if p_seen <= KNOWS:
            raise RuleNotApplicableError("at this budget it ranks seen loci only, though not by identity: train longer")
        subject.remark = "Its scores do not go where the identities of genes and elements go."
        return
    text = (
        f"scores are a function of the identity of the locus (correlation {follows:.2f} when identities are "
        f"swapped) and say nothing of loci never seen (p = {p_unseen:.2g})"
    )
    if not subject.cls.control:
        raise BrokenRuleError(f"{text}: a lookup is a control, so declare it one")
    subject.remark = f"A declared control: {text}."

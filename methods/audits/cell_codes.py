"""Does a method read anything out of the number (or name) of a training cell?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..check_subject import BrokenRuleError, RuleNotApplicableError
from ..features import cell_ranks
from .decisions import LEVEL, two_sample_p
from .subject import AuditSubject, audit

#: Fits with the cells as they are numbered, and as many with other numbers. 2 / C(2m, m) must lie below the level.
FITS = 5


@audit("cell-codes")
def cell_codes(subject: AuditSubject) -> None:
    """With the training cells renumbered, scores are unchanged; for a method that draws, in distribution."""
    cells = subject.case.train.n_cells
    if cells < 2:
        raise RuleNotApplicableError("one training cell alone can have no other number")
    supports = subject.case.supports(subject.richest, 2)
    shifts = [1 + i % (cells - 1) for i in range(FITS)]
    exact = [subject.close(subject.score(supports), _scores(subject, shift, 0)) for shift in dict.fromkeys(shifts)]
    if all(exact):
        return
    if subject.cls.deterministic:
        raise BrokenRuleError("other numbers for the same training cells give other scores")
    plain = np.stack([_ranked(_scores(subject, 0, seed)) for seed in range(FITS)])
    moved = np.stack([_ranked(_scores(subject, shift, FITS + i)) for i, shift in enumerate(shifts)])
    p = two_sample_p(plain, moved)
    subject.evidence |= {"p": p, "level": LEVEL, "fits": 2 * FITS}
    if p <= LEVEL:
        raise BrokenRuleError(
            f"fits with renumbered training cells differ from fits with other seeds (p = {p:.2g}): it reads the number"
        )
    subject.remark = f"Renumbering the training cells changes scores no more than another seed does (p = {p:.2g})."


def _scores(subject: AuditSubject, shift: int, seed: int) -> np.ndarray:
    """(E, n) scores of a fit in which every cell code is `shift` higher, modulo the number of cells."""
    train = subject.case.train
    moved = replace(train, cell=((train.cell + shift) % train.n_cells).astype(train.cell.dtype))
    context = replace(subject.case.context, seed=subject.case.context.seed + seed)
    method = subject.fit(replace(subject.case, train=moved), context)
    return subject.score(subject.case.supports(subject.richest, 2), method)


def _ranked(scores: np.ndarray) -> np.ndarray:
    """Scores as ranks within each support, so that the scale of a fit does not count; flat."""
    return cell_ranks(scores.T, scores.T).T.astype(np.float64).ravel()

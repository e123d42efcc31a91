"""Alignment: the cell does not reach the pair side: not by its code, not through the company of a batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...audits.finding import Finding
from ...base import PairTable
from .subject import Subject
from .thresholds import COMPANY_ERROR
from .verdict import place, verdict

_ALONE = 24


def cell_blind(subject: Subject) -> Finding:
    """Inputs and z bit for bit the same when cells are renamed; z of a pair the same whoever stands beside it."""
    train, method = subject.train, subject.method
    problems, where = [], ""
    other = replace(train, cell=((train.cell + 1) % train.n_cells).astype(train.cell.dtype))
    one, two = method._data(train).inputs, method._data(other).inputs
    same = all(_identical(a, b) for a, b in zip(one, two, strict=True))
    if not same:
        problems.append("What the encoder reads of a pair changes when its cell gets another code")
        where = place(method._reader)
    renamed = subject.watch.trail.cell_blind
    if renamed is not None and renamed > 0:
        problems.append(f"z or U of a training pair changes by {renamed:.2g} when its cell gets another code")
        where = where or place(subject.model)
    with torch.no_grad():
        rows = torch.arange(min(256, one.n))
        inputs = one.take(rows)
        if inputs.features is not None:
            inputs = inputs._replace(features=inputs.features.to(torch.float64))
        whole = subject.model.encode(inputs)
        few = subject.model.encode(inputs.take(rows[:_ALONE]))
    scale = float(whole.latent.abs().max()) + 1e-12
    gap = float((few.latent - whole.latent[:_ALONE]).abs().max()) / scale
    gap = max(gap, float((few.potential - whole.potential[:_ALONE]).abs().max()) / (float(whole.potential.std()) + 1))
    if gap > COMPANY_ERROR:
        problems.append(f"z or U of a pair changes by {gap:.2g} of its size with the other pairs of its batch")
        where = where or place(subject.model.encoder)
    evidence = {
        "inputs_identical": int(same),
        "renamed_change": renamed,
        "company_change": gap,
        "threshold": COMPANY_ERROR,
    }
    return verdict("cell-blind", problems, "z and U are functions of the pair alone.", evidence, where)


def identity_blind(subject: Subject) -> Finding:
    """Scores are the same when genes and elements of the held-out cell are called otherwise and lie elsewhere."""
    held = subject.held
    regime = subject.regimes[0]
    supports = held.supports(regime)
    before = subject.score(supports)
    after = subject.score(replace(supports, pool=_moved(supports.pool)), _moved(held.query))
    gap = float(np.abs(after - before).max())
    problems = [f"Scores change by {gap:.2g} when the pairs' genes and elements get other names"] if gap > 0 else []
    return verdict(
        "identity-blind",
        problems,
        "Scores do not depend on which gene or element a pair has.",
        {"largest_change": gap, "threshold": 0.0},
        place(subject.method),
    )


def _moved(pairs: PairTable) -> PairTable:
    changes = {}
    for name in ("gene", "element", "chrom", "enhancer_start", "enhancer_end", "tss"):
        value = getattr(pairs, name)
        if value is not None:
            changes[name] = (value[::-1] + 1_000_003).astype(value.dtype)
    return replace(pairs, **changes)


def _identical(one: Tensor | None, two: Tensor | None) -> bool:
    if one is None or two is None:
        return one is two
    return torch.equal(torch.nan_to_num(one.float(), nan=-9e9), torch.nan_to_num(two.float(), nan=-9e9))

"""Alignment: batches hold what the losses need, and support and query stay apart."""

from __future__ import annotations

import math

import numpy as np

from ...audits.finding import Finding
from .verdict import not_evaluable, place, verdict
from .watch import Watch

NAME = "batches"


def batches(watch: Watch) -> Finding:
    """Every batch of the training so far."""
    training, steps = watch.training, watch.trail.steps
    if training is None or not steps:
        return not_evaluable(NAME, "no step of training was seen.")
    sampler = training.samplers[0]
    problems, where = [], place(sampler)
    shared = sum(record.shared_rows for record in steps)
    loci = sum(record.batch.shared_loci for record in steps)
    if shared:
        problems.append(f"{shared} rows stood in the support and in the query of one block")
    elif loci:
        problems.append(f"{loci} loci stood on both sides of a block")
    if not all(record.declared_cells for record in steps):
        problems.append("A block names another cell than its rows come from")
    for record in steps:
        short = [
            name
            for name, weight in record.wanted.items()
            if weight and training.losses[name].cells > record.batch.distinct_cells
        ]
        if short:
            loss = training.losses[short[0]]
            problems.append(
                f"The loss {short[0]} compares {loss.cells} cells and step {record.step} holds "
                f"{record.batch.distinct_cells}, where it is zero or says nothing"
            )
            where = place(loss, short[0])
            break
    if any(record.batch.positive_share in (0.0, 1.0) for record in steps):
        problems.append("A batch holds one class only")
    share = float(np.mean([record.batch.positive_share for record in steps]))
    wanted = watch.config.sampler.positive_share
    rows = watch.config.sampler.block_rows
    if abs(share - wanted) > 1.0 / rows + 1e-6:
        problems.append(f"Queries are {share:.3f} positive where {wanted:.3f} is declared")
    supports = [r.batch.support_share for r in steps if not math.isnan(r.batch.support_share)]
    evidence = {
        "steps": len(steps),
        "shared_rows": shared,
        "shared_loci": loci,
        "fewest_cells": min(record.batch.distinct_cells for record in steps),
        "lowest_purity": min(record.batch.purity for record in steps),
        "positive_share": share,
        "support_share": float(np.mean(supports)) if supports else None,
    }
    return verdict(
        NAME, problems, "Batches hold the cells their losses need; support and query share nothing.", evidence, where
    )

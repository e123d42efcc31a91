"""What a drawn batch holds, measured against the table of the audit and not that of the sampler."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..samplers.base import UNKNOWN, EpisodeBatch, TrainingLabels
from ..samplers.facts import BatchFacts, facts


class Overlap(NamedTuple):
    """Rows of a block in its support too, over all blocks; most cells in one support; support rows; honest codes."""

    shared_rows: int
    support_cells: int
    support_rows: int
    declared_cells: bool


def measure_batch(batch: EpisodeBatch, labels: TrainingLabels) -> tuple[BatchFacts, Overlap]:
    """Facts of one batch; a second support counts like the first."""
    query = np.concatenate([batch.positive, batch.negative], axis=1)
    found = facts(batch, labels)
    shared, most, honest = 0, 0, True
    supports = [(batch.support, batch.present)]
    if batch.second is not None and batch.second_present is not None:
        supports.append((batch.second, batch.second_present))
        second = batch._replace(support=batch.second, present=batch.second_present, label=batch.support)
        found = found._replace(shared_loci=found.shared_loci + facts(second, labels).shared_loci)
    for rows, present in supports:
        for block, support, there in zip(query, rows, present, strict=True):
            own = support[there]
            shared += int(np.isin(own, block).sum())
            most = max(most, np.unique(labels.cell[own]).size)
    for block, code in zip(query, batch.source, strict=True):
        honest &= code == UNKNOWN or bool((labels.cell[block] == code).all())
    return found, Overlap(shared, most, int(batch.present.sum()), bool(honest))

"""What a batch really holds: for audits, and for tests of what samplers promise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .base import EpisodeBatch, TrainingLabels


class BatchFacts(NamedTuple):
    """Facts of one batch.

    Attributes:
        distinct_cells: among its query rows. purity: mean over blocks of the share of the commonest cell.
        positive_share: of its query rows. support_share: of positives among support rows, NaN without any.
        shared_loci: loci that support and query of one block have in common, summed over blocks.
    """

    distinct_cells: int
    purity: float
    positive_share: float
    support_share: float
    shared_loci: int


def facts(batch: EpisodeBatch, data: TrainingLabels) -> BatchFacts:
    """Measure a batch against the table it was drawn from."""
    query = np.concatenate([batch.positive, batch.negative], axis=1)
    cells = data.cell[query]
    purity = [np.unique(block, return_counts=True)[1].max() / block.size for block in cells]
    shared = 0
    for block, support, present in zip(query, batch.support, batch.present, strict=True):
        shared += np.intersect1d(data.loci[block], data.loci[support[present]]).size
    labels = batch.label[batch.present]
    return BatchFacts(
        distinct_cells=int(np.unique(cells).size),
        purity=float(np.mean(purity)),
        positive_share=float(data.label[query].mean()),
        support_share=float(labels.mean()) if labels.size else float("nan"),
        shared_loci=shared,
    )

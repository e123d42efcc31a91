"""Independent single-cell episodes."""

from __future__ import annotations

import numpy as np

from .blocks import BlockSampler


class EpisodicSampler(BlockSampler):
    """Cells are drawn with probability proportional to the square root of their positives.

    A tiny cell is so neither lost nor repeated without end. Two or more blocks hold at least two cells, where there are
    two, so that a loss between cells always has something to compare.
    """

    def choose(self, blocks: int) -> list[int]:
        """See `BlockSampler.choose`."""
        weight = np.sqrt([source.partitions[0].query.positive.size for source in self.sources])
        chosen = self.rng.choice(weight.size, size=blocks, p=weight / weight.sum())
        if blocks > 1 and weight.size > 1 and (chosen == chosen[0]).all():
            others = np.delete(np.arange(weight.size), chosen[0])
            chosen[-1] = self.rng.choice(others, p=weight[others] / weight[others].sum())
        return list(chosen)

    @classmethod
    def distinct_cells(cls, blocks: int, n_cells: int) -> int:
        """Two, where blocks and cells allow."""
        return min(2, blocks, n_cells)

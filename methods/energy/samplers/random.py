"""All cells mixed."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .base import UNKNOWN, EpisodeBatch, TrainingLabels
from .blocks import BlockSampler, Source

_TRIES = 20


class RandomSampler(BlockSampler):
    """Blocks of rows from all cells at once, supports likewise: an environment read from them is a global average.

    A negative control for whatever reads supports, and the plain batch for what does not.
    """

    mixed: ClassVar[bool] = True

    def choose(self, blocks: int) -> list[int]:
        """See `BlockSampler.choose`."""
        return [0] * blocks

    def draw(self, blocks: int) -> EpisodeBatch:
        """See `Sampler.draw`; drawn again, a few times, where it shows one cell only."""
        batch = super().draw(blocks)
        for _ in range(_TRIES if len(self.cells) > 1 else 0):
            if np.unique(self._cell[np.concatenate([batch.positive, batch.negative], axis=1)]).size > 1:
                break
            batch = super().draw(blocks)
        return batch

    @classmethod
    def distinct_cells(cls, blocks: int, n_cells: int) -> int:
        """Two, where there are two; of environments there is one to a block."""
        return min(2, n_cells)

    def _sources(self, data: TrainingLabels, rows: np.ndarray) -> list[Source]:
        self._cell = data.cell
        return [self._source(UNKNOWN, rows, data, rows)]

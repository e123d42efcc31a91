"""K distinct cells by N rows."""

from __future__ import annotations

from .blocks import BlockSampler


class BlockMetaSampler(BlockSampler):
    """As many distinct cells as there are blocks, or all cells as evenly as can be where there are fewer."""

    def choose(self, blocks: int) -> list[int]:
        """See `BlockSampler.choose`."""
        chosen: list[int] = []
        while len(chosen) < blocks:
            chosen += list(self.rng.permutation(len(self.sources)))
        return chosen[:blocks]

    @classmethod
    def distinct_cells(cls, blocks: int, n_cells: int) -> int:
        """The smaller of both."""
        return min(blocks, n_cells)

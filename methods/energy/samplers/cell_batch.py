"""One cell per step."""

from __future__ import annotations

from .blocks import BlockSampler


class CellBatchSampler(BlockSampler):
    """Every block of a step comes from one cell; cells take turns, in an order that is drawn anew each round."""

    _round: tuple[int, ...] = ()

    def choose(self, blocks: int) -> list[int]:
        """See `BlockSampler.choose`."""
        if not self._round:
            self._round = tuple(self.rng.permutation(len(self.sources)))
        code, *rest = self._round
        self._round = tuple(rest)
        return [code] * blocks

    @classmethod
    def distinct_cells(cls, blocks: int, n_cells: int) -> int:
        """One."""
        return min(1, n_cells)

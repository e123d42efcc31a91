"""What the samplers share: cells with both classes, divided by locus, and the drawing of single-cell blocks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ....tasks.errors import MethodError
from ..config import SamplerConfig
from .base import UNKNOWN, EpisodeBatch, Sampler, TrainingLabels
from .sides import Partition, Side, divide, outside
from .swap_pairs import swap_pairs

#: Number of ways, drawn once, to divide a cell's loci.
_PARTITIONS = 8


class Source(NamedTuple):
    """What a block can be drawn from.

    Attributes:
        cell: code, `UNKNOWN` for all cells mixed. prevalence: share of positives.
        partitions: ways to divide its rows. supports: where each of them draws supports from.
    """

    cell: int
    prevalence: float
    partitions: list[Partition]
    supports: list[Side]


class Drawn(NamedTuple):
    """Support rows (k,), their labels (k,), and which of the slots are filled (k,)."""

    rows: np.ndarray
    label: np.ndarray
    present: np.ndarray


class BlockSampler(Sampler):
    """Blocks of a cell's query rows with a support from other loci of the same cell.

    Queries are stratified by class and drawn with replacement; supports come at the block's prevalence and without
    replacement, so that a support of k rows holds k rows' worth of evidence. Where a side has too few rows of a class
    for a support, both classes lose slots in proportion, down to none at all where the side lacks a class: the share
    of positives that a support shows is the block's prevalence in expectation, whatever the side can supply.

    Args:
        data: all training rows. rows: (m,) rows that may be used. config: sizes and shares. rng: source of every draw.
        prevalence_shift: sd in logits of the prevalence shift of a pseudo-OOD block that has a support to read it from.
        second: draw a second support, disjoint from the first. swap: rows of swap pairs, 0 for none.

    Raises:
        MethodError: no cell has both classes among `rows`.
    """

    def __init__(
        self,
        data: TrainingLabels,
        rows: np.ndarray,
        config: SamplerConfig,
        rng: np.random.Generator,
        *,
        prevalence_shift: float = 0.0,
        second: bool = False,
        swap: int = 0,
    ) -> None:
        self.config, self.rng = config, rng
        self._shift, self._second = prevalence_shift, second
        codes = [int(c) for c in np.unique(data.cell[rows]) if 0 < data.label[rows[data.cell[rows] == c]].mean() < 1]
        if not codes:
            raise MethodError(
                "No training cell holds both interacting and non-interacting pairs; an energy model needs "
                "at least one that does."
            )
        self.cells = tuple(codes)
        self.sources = self._sources(data, rows)
        self._pairs = swap_pairs(data, rows) if swap else None
        self._swap = swap

    def draw(self, blocks: int) -> EpisodeBatch:
        """One step's batch of `blocks` blocks."""
        config, rng = self.config, self.rng
        chosen = [self.sources[i] for i in self.choose(blocks)]
        source = np.array([one.cell for one in chosen])
        unknown = (rng.random(blocks) < config.pseudo_ood_share) | (source == UNKNOWN)
        sizes = rng.choice(config.support_sizes, size=blocks)
        p = min(max(1, round(config.block_rows * config.positive_share)), config.block_rows - 1)
        prevalence = np.array(
            [
                _shifted(one.prevalence, rng.normal(0.0, self._shift) if lost and size and self._shift else 0.0)
                for one, lost, size in zip(chosen, unknown, sizes, strict=True)
            ]
        )
        positive, negative, first, other = [], [], [], []
        for one, size, share in zip(chosen, sizes, prevalence, strict=True):
            number = int(rng.integers(len(one.partitions)))
            query = one.partitions[number].query
            positive.append(rng.choice(query.positive, p))
            negative.append(rng.choice(query.negative, config.block_rows - p))
            drawn = self._support(one.supports[number], int(size), share)
            first.append(drawn[0])
            other.append(drawn[1])
        width = max(1, int(sizes.max()))
        support, second = _stacked(first, width), _stacked(other, width) if self._second else None
        return EpisodeBatch(
            cell=np.where(unknown, UNKNOWN, source),
            source=np.full(blocks, UNKNOWN) if config.mixed_support else source,
            positive=np.stack(positive),
            negative=np.stack(negative),
            prevalence=prevalence,
            support=support.rows,
            label=support.label,
            present=support.present,
            labelled=rng.random(blocks) < config.labelled_share,
            second=None if second is None else second.rows,
            second_label=None if second is None else second.label,
            second_present=None if second is None else second.present,
            swap=self._drawn_pairs(),
        )

    @abstractmethod
    def choose(self, blocks: int) -> list[int]:
        """Which of `sources` each block is drawn from."""

    def _sources(self, data: TrainingLabels, rows: np.ndarray) -> list[Source]:
        """One source for each cell."""
        return [self._source(code, rows[data.cell[rows] == code], data, rows) for code in self.cells]

    def _source(self, code: int, own: np.ndarray, data: TrainingLabels, rows: np.ndarray) -> Source:
        partitions = [divide(own, data.label, data.loci, self.rng) for _ in range(_PARTITIONS)]
        supports = [partition.support for partition in partitions]
        if self.config.mixed_support:
            supports = [outside(rows, data.label, data.loci, partition.query) for partition in partitions]
        return Source(code, float(data.label[own].mean()), partitions, supports)

    def _support(self, side: Side, size: int, prevalence: float) -> tuple[Drawn, Drawn]:
        """Two disjoint supports of `size` slots; the second is empty unless asked for."""
        count = 2 * size if self._second else size
        label = (self.rng.random(count) < prevalence).astype(np.int64)
        rows, present = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
        for value, own, keep in zip((1, 0), (side.positive, side.negative), self._kept(label, side), strict=True):
            slots = np.flatnonzero(label == value)
            if keep < slots.size:
                slots = self.rng.choice(slots, keep, replace=False)
            rows[slots] = self.rng.choice(own, slots.size, replace=False, shuffle=False) if slots.size else 0
            present[slots] = True
        whole = Drawn(rows, label, present)
        return Drawn(*(part[:size] for part in whole)), Drawn(*(part[size:] for part in whole))

    def _kept(self, label: np.ndarray, side: Side) -> tuple[int, int]:
        """How many of the drawn positives and negatives the side supplies: all, or both in the drawn proportion."""
        wanted = np.array([label.sum(), label.size - label.sum()])
        there = np.array([side.positive.size, side.negative.size])
        if (wanted <= there).all() and there.all():
            return int(wanted[0]), int(wanted[1])
        if not there.all():
            return 0, 0
        limiting = int(np.argmax(wanted / there))
        kept = wanted * there[limiting] / wanted[limiting]
        whole = np.floor(kept)
        # What rounding leaves over is drawn, so that no class gains by it.
        kept = np.where(np.arange(2) == limiting, there[limiting], whole + (self.rng.random() < kept - whole))
        return int(kept[0]), int(kept[1])

    def _drawn_pairs(self) -> np.ndarray | None:
        if self._pairs is None or not len(self._pairs):
            return None
        return self._pairs[self.rng.integers(len(self._pairs), size=self._swap)]


def _stacked(drawn: Sequence[Drawn], width: int) -> Drawn:
    """Supports side by side, each padded to `width` slots that hold nothing."""
    rows, label = (np.zeros((len(drawn), width), dtype=np.int64) for _ in range(2))
    present = np.zeros((len(drawn), width), dtype=bool)
    for place, one in enumerate(drawn):
        size = one.rows.size
        rows[place, :size], label[place, :size], present[place, :size] = one
    return Drawn(rows, label, present)


def _shifted(prevalence: float, shift: float) -> float:
    odds = prevalence / (1.0 - prevalence) * np.exp(shift)
    return float(odds / (1.0 + odds))

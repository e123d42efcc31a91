"""Training episodes: a support and a query of one training cell, which is sometimes treated as unknown."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...tasks.errors import MethodError
from .config import EnergyConfig

#: Number of ways, drawn once, to part a cell's loci into a support and a query side.
_PARTITIONS = 8
_SUPPORT_SIDE = 0.3
UNKNOWN = -1


class EpisodeBatch(NamedTuple):
    """B single-cell episodes; every array holds row numbers of the training table unless said otherwise.

    Attributes:
        cell: (B,) code of the training cell, `UNKNOWN` where the episode is pseudo-OOD.
        positive: (B, p) query rows with label 1. negative: (B, q) query rows with label 0.
        prevalence: (B,) share of positives that the query stands for.
        support: (B, k) rows. label: (B, k) their labels. present: (B, k) bool, False = padding.
        labelled: (B,) bool; False: the support comes without labels.
    """

    cell: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    prevalence: np.ndarray
    support: np.ndarray
    label: np.ndarray
    present: np.ndarray
    labelled: np.ndarray


class _Side(NamedTuple):
    positive: np.ndarray
    negative: np.ndarray


class _Partition(NamedTuple):
    support: _Side
    query: _Side


class EpisodeSampler:
    """Draws episodes from those training cells that have both classes.

    Support and query of an episode share no locus. Cells are drawn with probability proportional to the
    square root of their positives, so that a tiny cell is neither lost nor repeated without end.

    Args:
        label: (n,) 0/1. cell: (n,) codes. loci: (n,) codes. rows: (m,) rows that may be used.
        config: sizes and shares. prevalence_shift: sd in logits of the prevalence shift of a
            pseudo-OOD episode that has a support to read it from.
        rng: source of every draw.

    Raises:
        MethodError: no cell has both classes among `rows`.
    """

    def __init__(
        self,
        label: np.ndarray,
        cell: np.ndarray,
        loci: np.ndarray,
        rows: np.ndarray,
        *,
        config: EnergyConfig,
        prevalence_shift: float,
        rng: np.random.Generator,
    ) -> None:
        self._config, self._shift, self._rng = config, prevalence_shift, rng
        self._cells: list[int] = []
        self._partitions: list[list[_Partition]] = []
        self._prevalence: list[float] = []
        positives: list[int] = []
        for code in np.unique(cell[rows]):
            own = rows[cell[rows] == code]
            if 0 < label[own].sum() < own.size:
                self._cells.append(int(code))
                self._partitions.append([self._part(own, label, loci) for _ in range(_PARTITIONS)])
                self._prevalence.append(float(label[own].mean()))
                positives.append(int(label[own].sum()))
        if not self._cells:
            raise MethodError(
                "No training cell holds both interacting and non-interacting pairs; an energy model needs "
                "at least one that does."
            )
        weight = np.sqrt(positives)
        self._chance = weight / weight.sum()

    @property
    def cells(self) -> list[int]:
        """Codes of the cells that are drawn from."""
        return list(self._cells)

    def draw(self, blocks: int) -> EpisodeBatch:
        """`blocks` independent episodes."""
        config, rng = self._config, self._rng
        chosen = rng.choice(len(self._cells), size=blocks, p=self._chance)
        unknown = rng.random(blocks) < config.pseudo_ood_share
        sizes = rng.choice(config.support_sizes, size=blocks)
        p = min(max(1, round(config.block_rows * config.positive_share)), config.block_rows - 1)
        k = max(1, int(sizes.max()))
        positive = np.empty((blocks, p), dtype=np.int64)
        negative = np.empty((blocks, config.block_rows - p), dtype=np.int64)
        support, label = np.zeros((blocks, k), dtype=np.int64), np.zeros((blocks, k), dtype=np.int64)
        prevalence = np.empty(blocks)
        for b, index in enumerate(chosen):
            part = self._partitions[index][rng.integers(_PARTITIONS)]
            shift = rng.normal(0.0, self._shift) if unknown[b] and sizes[b] else 0.0
            prevalence[b] = _shifted(self._prevalence[index], shift)
            positive[b] = rng.choice(part.query.positive, p)
            negative[b] = rng.choice(part.query.negative, config.block_rows - p)
            label[b] = rng.random(k) < prevalence[b]
            support[b] = self._support(part.support, label[b])
            # A side of one class decides the labels, not the draw.
            label[b] = self._true_label(part.support, label[b])
        return EpisodeBatch(
            cell=np.where(unknown, UNKNOWN, np.asarray(self._cells)[chosen]),
            positive=positive,
            negative=negative,
            prevalence=prevalence,
            support=support,
            label=label,
            present=np.arange(k) < sizes[:, None],
            labelled=rng.random(blocks) < config.labelled_share,
        )

    def _support(self, side: _Side, label: np.ndarray) -> np.ndarray:
        positive = self._rng.choice(side.positive if side.positive.size else side.negative, label.size)
        negative = self._rng.choice(side.negative if side.negative.size else side.positive, label.size)
        return np.where(label == 1, positive, negative)

    @staticmethod
    def _true_label(side: _Side, label: np.ndarray) -> np.ndarray:
        if not side.positive.size:
            return np.zeros_like(label)
        return label if side.negative.size else np.ones_like(label)

    def _part(self, rows: np.ndarray, label: np.ndarray, loci: np.ndarray) -> _Partition:
        """Part a cell's rows by locus; both classes must remain on the query side."""
        names, code = np.unique(loci[rows], return_inverse=True)
        for _ in range(20):
            side = (self._rng.random(names.size) < _SUPPORT_SIDE)[code]
            query = label[rows[~side]]
            if side.any() and 0 < query.sum() < query.size:
                return _Partition(_split(rows[side], label), _split(rows[~side], label))
        # Too few loci to part (all positives at one): the cell then serves as query with an empty class
        # on the support side at worst, never with a query row in its own support.
        positive, negative = rows[label[rows] == 1], rows[label[rows] == 0]
        half = max(1, negative.size // 3)
        if negative.size > 1:
            return _Partition(_Side(positive[:0], negative[:half]), _Side(positive, negative[half:]))
        return _Partition(_Side(positive[1:], negative[:0]), _Side(positive[:1], negative))


def _split(rows: np.ndarray, label: np.ndarray) -> _Side:
    return _Side(rows[label[rows] == 1], rows[label[rows] == 0])


def _shifted(prevalence: float, shift: float) -> float:
    odds = prevalence / (1.0 - prevalence) * np.exp(shift)
    return float(odds / (1.0 + odds))

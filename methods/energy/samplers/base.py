"""What a sampler draws, and what it promises about the cells of a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

UNKNOWN = -1


class TrainingLabels(NamedTuple):
    """What a sampler knows of the n training rows.

    Attributes:
        label: (n,) 0/1. cell: (n,) codes. loci: (n,) codes; support and query of an episode share none.
        identity: (n,) code of the enhancer-gene pair, shared over cells; None where identities are unknown.
    """

    label: np.ndarray
    cell: np.ndarray
    loci: np.ndarray
    identity: np.ndarray | None = None


class EpisodeBatch(NamedTuple):
    """B blocks; every array holds row numbers of the training table unless said otherwise.

    Attributes:
        cell: (B,) code of the training cell as the teacher may know it, `UNKNOWN` where the block is
            pseudo-OOD or mixed.
        source: (B,) code of the cell that support and query come from, `UNKNOWN` in a mixed block.
        positive: (B, p) query rows with label 1. negative: (B, q) query rows with label 0.
        prevalence: (B,) share of positives that the query stands for.
        support: (B, k) rows. label: (B, k) their labels. present: (B, k) bool, False = padding.
        labelled: (B,) bool; False: the support comes without labels.
        second: (B, k) rows of a second support of the same cells, sharing no locus with the query; None unless
            asked for. second_label, second_present: (B, k).
        swap: (s, 2) rows of the same enhancer-gene pair in two different cells; None unless asked for, or where
            the task has none.
    """

    cell: np.ndarray
    source: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    prevalence: np.ndarray
    support: np.ndarray
    label: np.ndarray
    present: np.ndarray
    labelled: np.ndarray
    second: np.ndarray | None = None
    second_label: np.ndarray | None = None
    second_present: np.ndarray | None = None
    swap: np.ndarray | None = None


class Sampler(ABC):
    """Draws the batches of one stage from the rows it was given.

    Attributes:
        cells: codes of the cells that are drawn from. mixed: whether one block holds several cells.
    """

    cells: tuple[int, ...]
    mixed: ClassVar[bool] = False

    @abstractmethod
    def draw(self, blocks: int) -> EpisodeBatch:
        """One step's batch of `blocks` blocks."""

    @classmethod
    @abstractmethod
    def distinct_cells(cls, blocks: int, n_cells: int) -> int:
        """How many distinct cells a step of `blocks` blocks is sure to hold when `n_cells` can be drawn."""

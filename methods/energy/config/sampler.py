"""How training batches are made."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from .section import Count, Inner, Section, Share


class SamplerKind(StrEnum):
    """How training batches are made."""

    RANDOM = "random"  #: rows of all cells mixed in one block
    CELL_BATCH = "cell_batch"  #: one cell per step, in turn
    BLOCK_META = "block_meta"  #: K distinct cells x N rows
    EPISODIC = "episodic"  #: single-cell episodes with support regimes and pseudo-OOD cells


class SamplerConfig(Section):
    """Batches of `blocks` blocks of `block_rows` query rows, `positive_share` of them positive.

    A support has one of `support_sizes` rows, carries labels with probability `labelled_share`; with
    probability `pseudo_ood_share` its cell is treated as unknown. `prevalence_shift` is the sd, in logits, of
    the random shift of a pseudo-OOD episode's prevalence, from which a student learns to read offsets.
    `mixed_support` draws every support from all cells at once: a negative control, whose environment is an average.
    """

    kind: SamplerKind = SamplerKind.EPISODIC
    blocks: Count = 4
    block_rows: Annotated[int, Field(ge=4)] = 256
    positive_share: Inner = 0.25
    support_sizes: tuple[Annotated[int, Field(ge=0)], ...] = (0, 8, 16, 32, 64, 128)
    labelled_share: Share = 0.7
    pseudo_ood_share: Share = 0.5
    mixed_support: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> SamplerConfig:
        if not self.support_sizes:
            raise ValueError("support_sizes must name at least one support size")
        return self

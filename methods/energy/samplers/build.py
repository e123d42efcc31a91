"""From a configuration to a sampler."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..config import SamplerConfig, SamplerKind
from .base import Sampler, TrainingLabels
from .block_meta import BlockMetaSampler
from .blocks import BlockSampler
from .cell_batch import CellBatchSampler
from .episodic import EpisodicSampler
from .random import RandomSampler

SAMPLERS: Mapping[SamplerKind, type[BlockSampler]] = {
    SamplerKind.RANDOM: RandomSampler,
    SamplerKind.CELL_BATCH: CellBatchSampler,
    SamplerKind.BLOCK_META: BlockMetaSampler,
    SamplerKind.EPISODIC: EpisodicSampler,
}


def build_sampler(
    data: TrainingLabels,
    rows: np.ndarray,
    config: SamplerConfig,
    rng: np.random.Generator,
    *,
    prevalence_shift: float = 0.0,
    second: bool = False,
    swap: int = 0,
) -> Sampler:
    """The sampler that `config` names, on the rows of one stage; see `BlockSampler`.

    Raises:
        MethodError: no cell has both classes among `rows`.
    """
    kind = SAMPLERS[config.kind]
    return kind(data, rows, config, rng, prevalence_shift=prevalence_shift, second=second, swap=swap)

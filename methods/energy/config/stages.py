"""The stages of training, when it stops, and the optimiser's steps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..names import Group, LossName
from .phases import Phase
from .section import Count, Positive, Section, Share, Weight


class StageConfig(Section):
    """One stage of training.

    In phase "potential" U is trained alone, without environment; "joint" trains everything; "environment" is for
    the cell side at natural prevalence. The phase says which of the configured losses are active (`PHASES`),
    unless `losses` names them. `rows` "reserved" are loci that other stages leave out. `frozen` groups keep
    their values. `restart`: new optimiser and learning-rate schedule. `blocks` of a step, None = the sampler's.
    """

    name: str
    steps: Count
    phase: Phase
    rows: Literal["main", "reserved"] = "main"
    frozen: tuple[Group, ...] = ()
    losses: tuple[LossName, ...] | None = None
    restart: bool = False
    blocks: Count | None = None
    prevalence_shift: Weight = 0.0


#: U alone, then everything, then the environment alone on loci the encoder has not seen.
DEFAULT_STAGES: tuple[StageConfig, ...] = (
    StageConfig(name="potential", steps=70, phase=Phase.POTENTIAL),
    StageConfig(name="joint", steps=280, phase=Phase.JOINT),
    StageConfig(
        name="environment",
        steps=150,
        phase=Phase.ENVIRONMENT,
        rows="reserved",
        frozen=(Group.ENCODER,),
        restart=True,
        blocks=16,
        prevalence_shift=1.0,
    ),
)


class StoppingConfig(Section):
    """Early stopping by mean average precision of U in `cells` held-out training cells (0 = off)."""

    cells: Annotated[int, Field(ge=0)] = 0
    every: Count = 50
    patience: Count = 3


class OptimiserConfig(Section):
    """AdamW; `weight_decay` belongs to the encoder alone. `small` scales the gradients that a loss marks as small."""

    learning_rate: Positive = 2e-3
    environment_rate: Positive = 2e-2
    coupling_rate: Positive = 2e-3
    weight_decay: Weight = 0.3
    clip: Positive = 5.0
    small: Share = 0.1
    adaptive: bool = False

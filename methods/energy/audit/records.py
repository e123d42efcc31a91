"""What a watched training leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..config import Phase
from ..names import Group, LossName
from ..samplers.facts import BatchFacts


@dataclass(frozen=True)
class StepRecord:
    """One step.

    Attributes:
        step: from 0. stage, phase: where it belongs. losses: unweighted values, as the loss objects returned them.
        wanted: weight of every active loss by the configuration. applied: weight that its value really got.
        batch: facts of the batch. shared_rows: rows that support and query have in common.
        support_cells: most cells that one support was drawn from. support_rows: support rows of the step.
        declared_cells: whether every known block's rows come from the cell that it names.
    """

    step: int
    stage: str
    phase: Phase
    losses: dict[LossName, float]
    wanted: dict[LossName, float]
    applied: dict[LossName, float]
    batch: BatchFacts
    shared_rows: int
    support_cells: int
    support_rows: int
    declared_cells: bool


@dataclass(frozen=True)
class GradientRecord:
    """Gradients of one watched step.

    Attributes:
        norms: of each loss in each group, as routed. total: of their sum. cosines: of losses in the encoder.
        error: of `.grad` against the expected sum, relative to it, by group.
        strayed: norm of what a loss alone sends into a group that the table or its declaration forbids.
        trainable: which groups may move in this stage.
    """

    step: int
    stage: str
    phase: Phase
    norms: dict[tuple[LossName, Group], float]
    total: dict[Group, float]
    cosines: dict[tuple[LossName, LossName], float]
    error: dict[Group, float] = field(default_factory=dict)
    strayed: dict[tuple[LossName, Group], float] = field(default_factory=dict)
    trainable: frozenset[Group] = frozenset()


@dataclass
class Trail:
    """All records of one training.

    Attributes:
        moved: declared parts (by path) that received a gradient in some step. reached: parts executed in training.
        decayed: groups under weight decay. optimised: groups whose parameters the optimiser holds, over all stages.
        evaluations: what early stopping was computed on, and its value.
        cell_blind: largest change of z in training mode when cells are renamed; None if it was not tried.
    """

    steps: list[StepRecord] = field(default_factory=list)
    gradients: list[GradientRecord] = field(default_factory=list)
    moved: set[str] = field(default_factory=set)
    executed: set[str] = field(default_factory=set)
    decayed: set[Group] = field(default_factory=set)
    optimised: set[Group] = field(default_factory=set)
    cell_blind: float | None = None

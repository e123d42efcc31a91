"""What two sections of a configuration may not ask for together; each function refuses one such thing.

All raise ValueError, in one sentence.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..names import LossName
from .coupling import CouplingConfig, CouplingKind
from .encoder import EncoderConfig
from .environment import EnvironmentConfig, EstimatorKind, Unseen
from .sampler import SamplerConfig, SamplerKind
from .stages import StageConfig
from .temperature import TemperatureConfig, TemperatureKind

#: Forms of the gate that multiply U by a factor of the cell.
_SLOPES = frozenset({"literal", "hard"})
#: Students that read the rows of a support, and so may have a branch.
_READ_ROWS = frozenset(
    {
        EstimatorKind.MEAN,
        EstimatorKind.MOMENTS,
        EstimatorKind.QUANTILES,
        EstimatorKind.ISAB,
        EstimatorKind.PROTOTYPES,
    }
)


def refuse_two_temperatures(temperature: TemperatureConfig, coupling: CouplingConfig) -> None:
    """A temperature per cell beside a coupling that already has one."""
    if temperature.kind is not TemperatureKind.PER_CELL:
        return
    kind, form = coupling.kind, coupling.form
    if kind in (CouplingKind.AFFINE, CouplingKind.CONDITIONAL):
        raise ValueError(
            "a temperature per cell beside free M and B is not identifiable, since only M/T and B/T enter; "
            "fix the temperature or choose another coupling"
        )
    if kind is CouplingKind.SATURATING or (kind is CouplingKind.GATE and form in _SLOPES):
        name = kind.value if kind is CouplingKind.SATURATING else f"{form} {kind.value}"
        raise ValueError(
            f"a temperature per cell beside the {name} coupling is not identifiable, since R alone already is a "
            "temperature per cell; fix the temperature or choose another coupling"
        )


def refuse_undefined_temperature(temperature: TemperatureConfig, losses: Collection[LossName]) -> None:
    """A temperature without the loss that defines it."""
    for kind, loss in ((TemperatureKind.GAMMA, LossName.GAMMA_PRIOR), (TemperatureKind.ENTROPY, LossName.ENTROPY)):
        if temperature.kind is kind and loss not in losses:
            raise ValueError(f"temperature {kind.value!r} is defined by the loss {loss.value!r}; add it to `losses`")


def refuse_unweighted_losses(stages: Sequence[StageConfig], losses: Collection[LossName]) -> None:
    """A stage that asks for losses that have no weight."""
    for stage in stages:
        missing = sorted(set(stage.losses or ()) - set(losses))
        if missing:
            raise ValueError(f"stage {stage.name!r} asks for losses that have no weight: {', '.join(missing)}")


def refuse_idle_losses(live: Collection[LossName], used: Collection[LossName]) -> None:
    """A loss with a weight that no stage uses."""
    idle = sorted(set(live) - set(used))
    if idle:
        raise ValueError(f"no stage uses the loss {', '.join(idle)}; take it out or add it to a stage")


def refuse_missing_parts(live: Collection[LossName], encoder: EncoderConfig, environment: EnvironmentConfig) -> None:
    """A loss on a part that is not built."""
    branch = (
        environment.branch and environment.student in _READ_ROWS,
        "`environment.branch` and a student that reads the rows of a support "
        f"({', '.join(sorted(kind.value for kind in _READ_ROWS))})",
    )
    moving = (
        environment.branch and environment.student is EstimatorKind.PROTOTYPES,
        "`environment.branch` and the student 'prototypes', whose prototypes it draws e to",
    )
    embedding = (
        environment.student is not EstimatorKind.NONE,
        "a student with an embedding z_E; the student 'none' has none",
    )
    needs = {
        LossName.DISTILL: (environment.teacher is not EstimatorKind.NONE, "a teacher"),
        LossName.GRAPH: (
            environment.teacher is EstimatorKind.TEACHER,
            "the teacher 'teacher' with its graph; a student's prototypes are running means that no loss moves",
        ),
        LossName.CONTRAST_ENVIRONMENT: branch,
        LossName.MMD_SEPARATE: branch,
        LossName.PROTOTYPE: moving,
        LossName.ORTHOGONAL: embedding,
        LossName.CORRELATION: embedding,
        LossName.MINE: embedding,
        LossName.PULL: (environment.opportunist, "an opportunist"),
        LossName.PUSH: (environment.opportunist, "an opportunist"),
        LossName.OPPORTUNIST: (environment.opportunist, "an opportunist"),
        LossName.BOTTLENECK: (encoder.bottleneck, "`encoder.bottleneck`"),
        LossName.CHROMATIN: (encoder.chromatin, "`encoder.chromatin`"),
    }
    for loss, (given, what) in needs.items():
        if loss in live and not given:
            raise ValueError(f"the loss {loss.value!r} needs {what}")


def refuse_silent_teacher(live: Collection[LossName], sampler: SamplerConfig) -> None:
    """Distillation from a teacher that no batch gives a word."""
    if LossName.DISTILL not in live or not (sampler.kind is SamplerKind.RANDOM or sampler.pseudo_ood_share == 1.0):
        return
    if sampler.kind is SamplerKind.RANDOM:
        why = "the sampler 'random' mixes cells, so that no block has a cell which the teacher knows"
    else:
        why = "with `sampler.pseudo_ood_share` 1 every cell counts as unknown, so that the teacher never speaks"
    raise ValueError(f"the loss 'distill' is identically zero: {why}; take it out or change the sampler")


def refuse_asking_an_id_table(environment: EnvironmentConfig, sampler: SamplerConfig) -> None:
    """Pseudo-OOD episodes for a student that knows only the cells of its table."""
    if environment.student is not EstimatorKind.ID_TABLE or environment.unseen is not Unseen.RAISE:
        return
    mixed = sampler.kind is SamplerKind.RANDOM or sampler.mixed_support
    if sampler.pseudo_ood_share and not mixed:
        raise ValueError(
            "a student that is an id table raises for an unknown cell, and pseudo-OOD episodes are of unknown "
            "cells; set `sampler.pseudo_ood_share` to 0 or `environment.unseen` to mean or none"
        )

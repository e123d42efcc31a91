"""Faults of losses and their routing: weights, reach, signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import relu

from ....base import TrainTable
from ... import training
from ...config import StageConfig
from ...forward import Forward
from ...losses.competition import Push
from ...losses.ranking import Rank
from ...losses.rows import cross_entropy_rows, natural_mean
from ...losses.task import Likelihood
from ...losses.transfer import Distill
from ...names import Group, LossName
from ...parts import Step
from ...presets import EnergyBilinear, EnergyTeacherStudent
from ...routing import Reach, Weighted, route
from .fault import Fault, swapped


def _distill_reaches_u(train: TrainTable) -> AbstractContextManager[None]:
    real = Distill.forward

    def forward(self: Distill, step: Step) -> Tensor:
        return real(self, step) + 0.1 * step.potential.mean().square()

    return swapped(Distill, reach=Distill.reach | {Group.ENCODER}, forward=forward)


def _open_routes(train: TrainTable) -> AbstractContextManager[None]:
    """Every loss goes everywhere, whatever it declares."""
    everywhere = Reach(frozenset(Group), frozenset())

    def opened(losses: Mapping[LossName, Weighted], *rest: Any, **options: Any) -> None:
        route({name: Weighted(value, everywhere) for name, (value, _) in losses.items()}, *rest, **options)

    return swapped(training, route=opened)


def _printed_weight(train: TrainTable) -> AbstractContextManager[None]:
    real = training._Training._weighted

    def weighted(self: Any, active: Sequence[LossName], made: Forward) -> dict[LossName, Weighted]:
        found = real(self, active, made)
        if LossName.RANK in found:
            found[LossName.RANK] = found[LossName.RANK]._replace(value=0.1 * found[LossName.RANK].value)
        return found

    return swapped(training._Training, _weighted=weighted)


def _skipped_loss(train: TrainTable) -> AbstractContextManager[None]:
    real = training._Training._weighted

    def weighted(self: Any, active: Sequence[LossName], made: Forward) -> dict[LossName, Weighted]:
        return real(self, [name for name in active if name is not LossName.DISTILL], made)

    return swapped(training._Training, _weighted=weighted)


def _negative(train: TrainTable) -> AbstractContextManager[None]:
    real = Likelihood.forward

    def forward(self: Likelihood, step: Step) -> Tensor:
        return real(self, step) - 1.0

    return swapped(Likelihood, forward=forward)


def _undone(train: TrainTable) -> AbstractContextManager[None]:
    """The ranking loss takes back what the likelihood does."""

    def forward(self: Rank, step: Step) -> Tensor:
        rows = cross_entropy_rows(step.logits, step.label)
        return relu(10.0 - natural_mean(rows, step.label, step.prevalence).mean())

    return swapped(Rank, forward=forward)


def _suicidal(train: TrainTable) -> AbstractContextManager[None]:
    def forward(self: Push, step: Step) -> Tensor:
        if step.opportunist_logits is None:
            return step.logits.new_zeros(())
        rows = torch.nn.functional.binary_cross_entropy_with_logits(
            step.opportunist_logits, step.label.to(step.logits.dtype)
        )
        return -rows

    return swapped(Push, forward=forward)


def _optimiser_without_student(train: TrainTable) -> AbstractContextManager[None]:
    real = training._Training._optimiser

    def build(self: Any, stage: StageConfig) -> torch.optim.Optimizer:
        optimiser = real(self, stage)
        left_out = {id(p) for p in self.groups()[Group.STUDENT]}
        for own in optimiser.param_groups:
            own["params"] = [p for p in own["params"] if id(p) not in left_out]
        return optimiser

    return swapped(training._Training, _optimiser=build)


def _decay_everywhere(train: TrainTable) -> AbstractContextManager[None]:
    real = training._Training._optimiser

    def build(self: Any, stage: StageConfig) -> torch.optim.Optimizer:
        optimiser = real(self, stage)
        for own in optimiser.param_groups:
            own["weight_decay"] = 0.3
        return optimiser

    return swapped(training._Training, _optimiser=build)


FAULTS = (
    Fault(
        "distillation-reaches-u", "distillation declares the encoder and pulls at U", ("routing",), _distill_reaches_u
    ),
    Fault(
        "open-routes",
        "every loss reaches every group, whatever it declares",
        ("routing",),
        _open_routes,
        EnergyTeacherStudent,
    ),
    Fault(
        "weight-not-applied",
        "the ranking loss is printed with 0.5 and applied with 0.05",
        ("configuration",),
        _printed_weight,
    ),
    Fault(
        "loss-skipped",
        "distillation is configured and never computed",
        ("configuration", "gradient-share"),
        _skipped_loss,
    ),
    Fault("negative-loss", "a constant is taken off the likelihood", ("J34-negative-loss",), _negative),
    Fault(
        "cancelling-losses",
        "the ranking loss takes back half of what the likelihood does",
        ("J10-cancellation",),
        _undone,
        EnergyBilinear,
    ),
    Fault(
        "suicidal-push",
        "the push maximises the opportunist's own loss",
        ("J16-suicidal-push", "J34-negative-loss"),
        _suicidal,
        EnergyTeacherStudent,
        {"losses": {"push": {"weight": 3.0}}},
        budget=2.0,
    ),
    Fault(
        "student-not-optimised",
        "the optimiser does not hold the student's parameters",
        ("gradient-share",),
        _optimiser_without_student,
    ),
    Fault(
        "decay-everywhere", "weight decay pulls resistances and temperature down", ("configuration",), _decay_everywhere
    ),
    Fault(
        "sparse-in-command",
        "sparsity weighs 100,000 times the preset's",
        ("J23-dominant-regulariser",),
        options={"losses": {"sparse": {"weight": 100.0}}},
    ),
)

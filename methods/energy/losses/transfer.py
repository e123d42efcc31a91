"""Losses between the readings of a cell: small resistances, distillation, agreement of two supports."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from ....tasks.errors import MethodError
from ..config import Section
from ..names import Group, LossName
from ..parts import Environment, Step
from .base import Loss, Sizes, parse_options
from .rows import nothing

_RESISTANCE = frozenset({"r", "resistance"})


def resistances(step: Step) -> Tensor:
    """(B, r) what the environment adds: R where the coupling has one, else all parameters less the neutral ones."""
    names = [name.lower() for name in step.coupling.names]
    columns = [number for number, name in enumerate(names) if name in _RESISTANCE]
    natural = step.environment.parameters[:, : len(names)]
    if not columns:
        return natural - step.coupling.neutral().to(natural)
    return natural[:, torch.tensor(columns)]


class Sparse(Loss):
    """Mean |R| of the environment in use; |parameter - neutral| for a coupling without a resistance."""

    name: ClassVar[LossName] = LossName.SPARSE
    reach = frozenset({Group.TEACHER, Group.STUDENT, Group.PROTOTYPES})

    def forward(self, step: Step) -> Tensor:
        """Mean over blocks."""
        found = resistances(step)
        return found.abs().mean() if found.numel() else nothing(step)


class DistillOptions(Section):
    """`form`: "squared" difference of the natural parameters, or "kl" of softmax embeddings.

    `parameters`: "all", with a temperature of the cell's own, or the "first" (R of an additive coupling).
    """

    form: Literal["squared", "kl"] = "squared"
    parameters: Literal["all", "first"] = "all"


class Distill(Loss):
    """Student towards teacher in cells that the teacher knows (Hinton et al. 2015).

    "squared": |theta_S - theta_T|^2, mean over parameters. "kl": KL(softmax e_T || softmax e_S) of the embeddings,
    as the readings of two mixtures. The teacher's word is the target and constant by definition.
    """

    name: ClassVar[LossName] = LossName.DISTILL
    reads = frozenset({"student", "teacher"})
    reach = frozenset({Group.STUDENT, Group.PROTOTYPES})
    small = frozenset({Group.PROTOTYPES})

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, DistillOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Mean over blocks of known cells; 0 without any.

        Raises:
            MethodError: form "kl" with embeddings that differ in size.
        """
        if step.student is None or step.teacher is None or not bool(step.known.any()):
            return nothing(step)
        student = Environment(*(value[step.known] for value in step.student))
        teacher = Environment(*(value[step.known].detach() for value in step.teacher))
        if self.options.form == "kl":
            if student.embedding.shape != teacher.embedding.shape or not student.embedding.shape[1]:
                raise MethodError(
                    "The loss 'distill' with form 'kl' compares embeddings, and those of student and teacher differ "
                    f"in size ({student.embedding.shape[1]} and {teacher.embedding.shape[1]}); use form 'squared'."
                )
            said, target = log_softmax(student.embedding, dim=1), log_softmax(teacher.embedding, dim=1)
            return (target.exp() * (target - said)).sum(1).mean().clamp_min(0.0)
        width = 1 if self.options.parameters == "first" else student.parameters.shape[1]
        difference = student.parameters[:, :width] - teacher.parameters[:, :width]
        return difference.square().mean() if difference.numel() else nothing(step)


class ConsistencyOptions(Section):
    """`on`: the natural "parameters", or the "embedding" (which can agree by shrinking)."""

    on: Literal["parameters", "embedding"] = "parameters"


class Consistency(Loss):
    """Variance of the student's reading over two disjoint supports of a cell, |a - b|^2 / 2, mean over entries."""

    name: ClassVar[LossName] = LossName.CONSISTENCY
    reads = frozenset({"student", "second"})
    reach = frozenset({Group.STUDENT})

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, ConsistencyOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Mean over blocks; 0 in a step without second supports."""
        if step.student is None or step.second is None:
            return nothing(step)
        both = [
            reading.parameters if self.options.on == "parameters" else reading.embedding
            for reading in (step.student, step.second)
        ]
        return 0.5 * (both[0] - both[1]).square().mean() if both[0].numel() else torch.zeros_like(step.logits.sum())

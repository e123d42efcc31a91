"""Faults of the cell side: student, teacher, opportunist, coupling and temperature."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ....base import PairTable, Supports, TrainTable
from ...couplings.affine import Affine
from ...couplings.temperature import Temperature
from ...environments import id_table, teacher
from ...environments.modulator import Reader, Reading
from ...method import EnergyMethod
from ...model import EnergyModel
from ...parts import CellFacts, Environment, SupportRows
from ...presets import EnergyCmdn, EnergyTeacherStudent
from .fault import Fault, swapped


def _detached_student(train: TrainTable) -> AbstractContextManager[None]:
    def forward(self: Reader, support: SupportRows, facts: CellFacts) -> Reading:
        embedding = self.estimator(support, facts).detach()
        return Reading(embedding, self.modulator(embedding))

    return swapped(Reader, forward=forward)


def _constant_slope(train: TrainTable) -> AbstractContextManager[None]:
    def natural(self: Affine, raw: Tensor) -> Tensor:
        return torch.cat([torch.ones_like(raw[:, :1]), raw[:, 1:]], dim=1)

    return swapped(Affine, natural=natural)


def _constant_environment(train: TrainTable) -> AbstractContextManager[None]:
    def forward(self: Reader, support: SupportRows, facts: CellFacts) -> Reading:
        embedding = self.estimator(support, facts)
        return Reading(embedding, self.modulator(embedding * 0.0))

    return swapped(Reader, forward=forward)


def _mimic(train: TrainTable) -> AbstractContextManager[None]:
    """The student's embedding is a hundred-thousandth of what it was; the teacher keeps its own."""

    def forward(self: Reader, support: SupportRows, facts: CellFacts) -> Reading:
        embedding = self.estimator(support, facts)
        return Reading(embedding, self.modulator(embedding if self.estimator.reads_code else 1e-5 * embedding))

    return swapped(Reader, forward=forward)


def _zero_at_test(train: TrainTable) -> AbstractContextManager[None]:
    def read(self: EnergyMethod, supports: Supports, cell_table: PairTable | None) -> Environment:
        return self.model.neutral(supports.n_episodes)

    return swapped(EnergyMethod, _read=read)


def _teacher_at_test(train: TrainTable) -> AbstractContextManager[None]:
    real = EnergyModel.read

    def read(self: EnergyModel, support: SupportRows, facts: CellFacts) -> Environment:
        found = real(self, support, facts)
        if self.training or self.teacher is None:
            return found
        codes = torch.arange(self.n_cells)
        few = SupportRows._make(None if v is None else v[:1].expand(self.n_cells, *v.shape[1:]) for v in support)
        said = self.read_teacher(few, CellFacts(codes, None)).parameters.mean(0)
        return found._replace(parameters=0.5 * (found.parameters + said))

    return swapped(EnergyModel, read=read)


def _opportunist_speaks(train: TrainTable) -> AbstractContextManager[None]:
    real = EnergyModel.read

    def read(self: EnergyModel, support: SupportRows, facts: CellFacts) -> Environment:
        own = real(self, support, facts)
        other = self.read_opportunist(support, facts)
        return own._replace(parameters=0.5 * (own.parameters + other.parameters))

    return swapped(EnergyModel, read=read)


def _opportunist_is_student(train: TrainTable) -> AbstractContextManager[None]:
    def read(self: EnergyModel, support: SupportRows, facts: CellFacts) -> Environment:
        return self.read(support, facts)

    return swapped(EnergyModel, read_opportunist=read)


def _cold(train: TrainTable) -> AbstractContextManager[None]:
    def forward(self: Temperature, own: Tensor | None = None) -> Tensor:
        assert self.raw is not None
        return softplus(self.raw) * 1e-2

    return swapped(Temperature, forward=forward)


@contextmanager
def _other_row(train: TrainTable) -> Iterator[None]:
    def allow(code: Tensor, n_cells: int, *, unseen_allowed: bool = False) -> None:
        """Unknown cells are OTHER, the table's last row."""

    with swapped(id_table, refuse_unknown_codes=allow), swapped(teacher, refuse_unknown_codes=allow):
        yield


def _hidden_labels(train: TrainTable) -> AbstractContextManager[None]:
    def known(self: SupportRows) -> Tensor:
        return self.present.to(self.potential.dtype) * (self.label is not None)

    return swapped(SupportRows, known=property(known))


FAULTS = (
    Fault(
        "psi-detached",
        "the environment's embedding is detached before its parameters",
        ("gradient-share",),
        _detached_student,
    ),
    Fault("m-constant", "M is 1 in every cell", ("trace",), _constant_slope, EnergyCmdn),
    Fault(
        "environment-constant",
        "student and teacher say the same of every cell",
        ("trace", "J2-constant-environment"),
        _constant_environment,
    ),
    Fault(
        "student-mimics",
        "the student hardly leaves the mean of all cells",
        ("J20-student-mimicry",),
        _mimic,
        budget=4.0,
    ),
    Fault(
        "r-zero-at-test",
        "an unseen cell is scored without its environment",
        ("one-energy", "trace", "J18-absent-at-inference"),
        _zero_at_test,
    ),
    Fault(
        "teacher-at-test",
        "the mean of the teacher's words speaks for an unseen cell",
        ("one-energy", "trace"),
        _teacher_at_test,
    ),
    Fault(
        "opportunist-in-prediction",
        "the opportunist's reading is averaged in",
        ("one-energy", "trace"),
        _opportunist_speaks,
        EnergyTeacherStudent,
    ),
    Fault(
        "dead-competition",
        "the opportunist is the student under another name",
        ("gradient-share", "J15-dead-competition"),
        _opportunist_is_student,
        EnergyTeacherStudent,
    ),
    Fault("temperature-to-zero", "T is a hundredth of what it should be", ("J3-temperature", "J26-saturation"), _cold),
    Fault("id-to-other", "the id table answers unknown cells with its last row", ("unknown-cell",), _other_row),
    Fault("hidden-labels-read", "labels of unlabelled supports are read", ("support-reading",), _hidden_labels),
)

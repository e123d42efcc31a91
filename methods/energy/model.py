"""The energy model: encoder and head make U; teacher, student, temperature and coupling do the rest."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .config import EnergyConfig
from .couplings import Canonical, Temperature, build_coupling
from .encoder import FeatureEncoder
from .environment import Environment, Student, SupportRows, Teacher, fuse
from .fourier_head import FourierEnergyHead
from .routing import Group


class Encoded(NamedTuple):
    """Potential U (n,) and latent z (n, d) of n pairs."""

    potential: Tensor
    latent: Tensor


class EnergyModel(nn.Module):
    """One energy for training and inference: logit = coupling(U, z, environment, T).

    Args:
        config: sizes. inputs: (n, F) training rows for the encoder's scales. n_cells: training cells.
    """

    def __init__(self, config: EnergyConfig, inputs: Tensor, n_cells: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = FeatureEncoder(
            inputs,
            bins=config.bins,
            width=config.width,
            depth=config.depth,
            latent=config.latent,
            dropout=config.dropout,
            feature_dropout=config.feature_dropout,
        )
        self.head = FourierEnergyHead(config.latent, config.head_width, config.harmonics)
        self.temperature = Temperature(config.temperature_start, config.temperature_low, config.temperature_high)
        self.student = Student(config.latent, config.environment_dim)
        self.teacher = Teacher(n_cells)
        self.coupling = build_coupling(
            config.coupling, d=config.latent, embedding=config.environment_dim, rank=config.rank
        )

    def encode(self, inputs: Tensor) -> Encoded:
        """(n, F) rows -> U and z; a function of the pair only."""
        latent = self.encoder(inputs)
        return Encoded(self.head(latent), latent)

    def read(self, support: SupportRows) -> Environment:
        """What the student reads from E supports."""
        environment: Environment = self.student(support, self.temperature())
        return environment

    def known(self, environment: Environment, cell: Tensor) -> Environment:
        """Replace the student's resistance by the fused one where a training cell is known by id.

        Args:
            environment: of E episodes. cell: (E,) code of the training cell, -1 = treated as unknown.
        """
        known = cell >= 0
        if not bool(known.any()):
            return environment
        student = environment.resistance
        fused = fuse(student[known], self.teacher(cell[known]), self.config.fusion)
        return environment._replace(resistance=student.masked_scatter(known, fused))

    def logits(self, encoded: Encoded, environment: Environment) -> Tensor:
        """(E, n) logits of one set of n pairs, or of E sets."""
        logits: Tensor = self.coupling(encoded.potential, encoded.latent, environment, self.temperature())
        return logits

    def canonical(self, environment: Environment) -> Canonical:
        """a(c) and b(c) of the scalar part, each (E,)."""
        return self.coupling.canonical(environment, self.temperature())

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        """All parameters, by the group that the routing table speaks of."""
        return {
            Group.ENCODER: [*self.encoder.parameters(), *self.head.parameters()],
            Group.TEMPERATURE: list(self.temperature.parameters()),
            Group.TEACHER: list(self.teacher.parameters()),
            Group.STUDENT: list(self.student.parameters()),
            Group.COUPLING: list(self.coupling.parameters()),
        }


def rows_of(encoded: Encoded, rows: Tensor, label: Tensor | None, labelled: Tensor, present: Tensor) -> SupportRows:
    """Gather E supports (E, k) from encoded pool rows."""
    return SupportRows(encoded.potential[rows], encoded.latent[rows], label, labelled, present)


def as_float64(model: EnergyModel) -> EnergyModel:
    """The model in float64 and evaluation mode, so that a coupling keeps every order that U has."""
    return model.to(torch.float64).eval()

"""The energy model: the pair side makes U and z, the cell side makes parameters, one coupling joins them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .config import CouplingKind, EnergyConfig, EstimatorKind, Unseen
from .couplings.build import build_coupling, build_temperature
from .couplings.linearise import linearise
from .couplings.place import Place
from .encoders.build import build_encoder, build_head, build_wrapper
from .encoders.centre import CentredHead
from .encoders.wrappers import ChromatinHead
from .environments.build import build_estimator
from .environments.fusion import fuse
from .environments.modulator import Modulator, Reader
from .environments.posterior import Posterior, transfer
from .environments.prototypes import PrototypeKernel
from .environments.teacher import Teacher
from .names import Group
from .parts import Canonical, CellFacts, Encoded, Environment, PairInputs, Pairs, SupportRows

#: Pairs that are encoded or coupled at a time where there may be many.
CHUNK = 8192
#: Couplings without an offset of the cell's own, which read U at a place that all cells share: the scale to start from,
#: 3 where a cell can only flatten.
_PLACED = {CouplingKind.GATE: 1.0, CouplingKind.SATURATING: 3.0, CouplingKind.HILL: 1.0}


class EnergyModel(nn.Module):
    """One energy for training and inference: logit = coupling(U, z, parameters of the cell, T).

    Args:
        config: all sections. inputs: training rows, from which the encoder takes its scales. n_cells: training
            cells. observed: (n_cells, V) cell statistics, where the student reads them. chromatin: K targets.
    """

    def __init__(
        self,
        config: EnergyConfig,
        inputs: PairInputs,
        n_cells: int,
        observed: Tensor | None = None,
        chromatin: int = 0,
    ) -> None:
        super().__init__()
        self.config, self.n_cells = config, n_cells
        latent = config.encoder.latent
        self.encoder = build_encoder(config.encoder, inputs)
        self.wrapper = build_wrapper(config.encoder, self.encoder.size)
        self.head = CentredHead(build_head(config.encoder))
        self.chromatin = ChromatinHead(latent, chromatin) if config.encoder.chromatin else None
        self.coupling = build_coupling(config.coupling, latent=latent)
        self.place = None
        if config.coupling.kind in _PLACED:
            flattens = config.coupling.form == "literal"
            self.place = Place(3.0 if flattens else _PLACED[config.coupling.kind])
        self.temperature = build_temperature(config.temperature)

        def reader(kind: EstimatorKind) -> Reader:
            estimator = build_estimator(
                kind, config.environment, latent=latent, hidden=self.encoder.size, n_cells=n_cells, observed=observed
            )
            default = torch.cat([self.coupling.default(), self.temperature.default()])
            return Reader(estimator, Modulator(estimator.size, default))

        environment = config.environment
        self.student = reader(environment.student)
        self.teacher = None if environment.teacher is EstimatorKind.NONE else reader(environment.teacher)
        self.opportunist = reader(EstimatorKind.OPPORTUNIST) if environment.opportunist else None
        size = self.coupling.n_raw + self.temperature.extra
        self.posterior = None
        if environment.posterior:
            share = torch.ones(size)
            if self.coupling.x_dependent:
                share[1 : self.coupling.n_raw] = transfer(n_cells)
            self.posterior = Posterior(size, prior_sd=environment.prior_sd, steps=environment.newton, share=share)

    def encode(self, inputs: PairInputs) -> Encoded:
        """n pairs -> U, z and what wrappers add; a function of the pair only."""
        hidden, penalty = self.encoder(inputs)
        latent, mean, log_variance = self.wrapper(hidden)
        chromatin = None if self.chromatin is None else self.chromatin(latent)
        potential = self.head(latent)
        return Encoded(potential, latent, hidden, mean, log_variance, chromatin, penalty)

    @contextmanager
    def plain(self) -> Iterator[None]:
        """Without a graph and in evaluation mode (no dropout, mean z); the model's mode is put back."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train(training)

    def encode_in_chunks(self, inputs: PairInputs) -> Encoded:
        """U, z and h of any number of pairs, in bounded memory."""
        parts = [self.encode(inputs.take(rows)) for rows in torch.split(torch.arange(inputs.n), CHUNK)]
        return Encoded(
            torch.cat([part.potential for part in parts]),
            torch.cat([part.latent for part in parts]),
            torch.cat([part.hidden for part in parts]),
        )

    def supports(
        self, pool: Encoded, rows: Tensor, label: Tensor | None, labelled: Tensor, present: Tensor
    ) -> SupportRows:
        """Gather E supports (E, k) from encoded pool rows; the result has no graph."""
        with torch.no_grad():
            potential, latent, hidden = (value[rows] for value in (pool.potential, pool.latent, pool.hidden))
            nothing = self._environment(self.student.modulator.default.expand(rows.shape[0], -1), None)
            base = self.logits(Encoded(potential, latent, hidden), nothing)
        return SupportRows(potential, latent, hidden, base, label, labelled, present)

    def read(self, support: SupportRows, facts: CellFacts) -> Environment:
        """What the student makes of E supports: the one rule for a cell that training has not seen."""
        embedding, raw = self.student(support, facts)
        if self.posterior is not None and self.coupling.x_dependent:
            # The student's map to an interaction was learned from as few cells as the directions it speaks of.
            raw = torch.lerp(self.student.modulator.default.expand_as(raw), raw, self.posterior.share.to(raw))
        if self.posterior is not None and support.label is not None and support.label.shape[1]:
            raw = self._most_probable(raw, support)
        found = self._environment(raw, embedding)
        if self.config.environment.unseen is not Unseen.NONE:
            return found
        unknown = (facts.code < 0).unsqueeze(1)
        return found._replace(parameters=torch.where(unknown, self.neutral(len(unknown)).parameters, found.parameters))

    def read_teacher(self, support: SupportRows, facts: CellFacts) -> Environment:
        """What the teacher says of training cells by id; raises for any other."""
        assert self.teacher is not None
        embedding, raw = self.teacher(support, facts)
        return self._environment(raw, embedding)

    def read_opportunist(self, support: SupportRows, facts: CellFacts) -> Environment:
        """The opportunist's reading; it never enters a prediction."""
        assert self.opportunist is not None
        embedding, raw = self.opportunist(support, facts)
        return self._environment(raw, embedding)

    def known(self, student: Environment, teacher: Environment, known: Tensor) -> Environment:
        """alpha teacher + (1 - alpha) student where known (E,), else the student's."""
        alpha = self.config.environment.fusion
        return Environment(
            fuse(student.parameters, teacher.parameters, alpha, known),
            fuse(student.embedding, teacher.embedding, alpha, known),
        )

    def neutral(self, episodes: int) -> Environment:
        """No environment in each of E cells: U alone."""
        parameters = torch.cat([self.coupling.neutral(), self.temperature.default()])
        return Environment(
            parameters.to(self.student.modulator.default).expand(episodes, -1),
            torch.zeros(episodes, self.student.estimator.size).to(self.student.modulator.default),
        )

    def logits(self, encoded: Encoded, environment: Environment) -> Tensor:
        """(E, n) logits of one set of n pairs, or of E sets."""
        potential = encoded.potential if self.place is None else self.place(encoded.potential)
        pairs = Pairs(potential, encoded.latent, self.head)
        natural, temperature = self._split(environment)
        logits: Tensor = self.coupling(pairs, natural, temperature)
        return logits

    def temperature_of(self, environment: Environment) -> Tensor:
        """T, () or (E, 1)."""
        return self._split(environment)[1]

    def canonical(self, environment: Environment) -> Canonical:
        """a(c) and b(c) of the scalar part, each (E,)."""
        natural, temperature = self._split(environment)
        place = self.place
        if place is None:
            return self.coupling.canonical(natural, temperature)
        return linearise(
            lambda potential: self.coupling(Pairs(place(potential), potential, self.head), natural, temperature),
            natural,
        )

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        """All parameters, by the group that the routing speaks of."""
        readers = [reader for reader in (self.student, self.teacher) if reader is not None]
        prototypes = [parameter for reader in readers for parameter in _prototype_parameters(reader)]
        apart = {id(parameter) for parameter in prototypes}

        def own(*modules: nn.Module | None) -> list[nn.Parameter]:
            found = [p for module in modules if module is not None for p in module.parameters()]
            return [p for p in found if id(p) not in apart]

        return {
            Group.ENCODER: own(self.encoder, self.wrapper, self.head),
            Group.TEMPERATURE: own(self.temperature),
            Group.TEACHER: own(self.teacher),
            Group.STUDENT: own(self.student, self.posterior),
            Group.OPPORTUNIST: own(self.opportunist),
            Group.PROTOTYPES: prototypes,
            Group.COUPLING: own(self.coupling, self.place),
            Group.CHROMATIN: own(self.chromatin),
        }

    def _most_probable(self, raw: Tensor, support: SupportRows) -> Tensor:
        assert self.posterior is not None
        assert support.label is not None
        whole = Encoded(support.potential, support.latent, support.hidden)
        # The same rows, each as a cell of its own: one backward pass then gives every row's slopes.
        single = Encoded(*(value.flatten(0, 1).unsqueeze(1) for value in whole[:3] if value is not None))
        return self.posterior(
            raw,
            lambda theta: self.logits(whole, self._environment(theta, None)),
            support.label,
            support.known,
            rows=lambda theta: self.logits(single, self._environment(theta, None)),
        )

    def _environment(self, raw: Tensor, embedding: Tensor | None) -> Environment:
        size = self.coupling.n_raw
        natural = self.coupling.natural(raw[:, :size])
        parameters = torch.cat([natural, raw[:, size:]], dim=1)
        return Environment(parameters, raw.new_zeros(raw.shape[0], 0) if embedding is None else embedding)

    def _split(self, environment: Environment) -> tuple[Tensor, Tensor]:
        size = self.coupling.n_raw
        own = environment.parameters[:, size:] if self.temperature.extra else None
        return environment.parameters[:, :size], self.temperature(own)


def _prototype_parameters(reader: Reader) -> list[nn.Parameter]:
    estimator = reader.estimator
    if isinstance(estimator, Teacher):
        return [estimator.nodes, *estimator.graph.parameters()]
    return [estimator.values] if isinstance(estimator, PrototypeKernel) else []


def as_float64(model: EnergyModel) -> EnergyModel:
    """The model in float64 and evaluation mode, so that a coupling keeps every order that U has."""
    return model.to(torch.float64).eval()

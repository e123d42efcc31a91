"""One training step's forward: from a drawn batch to everything that losses may read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..device import placed
from .config import EstimatorKind
from .environments.modulator import Reader
from .environments.prototypes import PrototypeKernel
from .environments.teacher import Teacher
from .model import EnergyModel
from .parts import CellFacts, Encoded, Environment, PairInputs, Step, SupportRows
from .routing import Boundary
from .samplers.base import UNKNOWN, EpisodeBatch


class TrainingData(NamedTuple):
    """n training rows as tensors.

    Attributes:
        inputs: what the encoder reads. label: (n,) bool. cell: (n,) int64 codes.
        observed: (n_cells, V) statistics of the cells, None if nobody reads them.
        chromatin: (n, K) standardised targets of the chromatin head, NaN = unknown; None without it.
    """

    inputs: PairInputs
    label: Tensor
    cell: Tensor
    observed: Tensor | None = None
    chromatin: Tensor | None = None


class Pool(NamedTuple):
    """Pairs encoded once for a stage with a frozen encoder: `place` (n,) maps training rows to pool rows."""

    encoded: Encoded
    place: Tensor


class Forward(NamedTuple):
    """A step and the boundary that its losses are routed over; `support` is what the student read of `batch`."""

    step: Step
    boundary: Boundary
    support: SupportRows | None
    batch: EpisodeBatch


def forward(
    model: EnergyModel,
    data: TrainingData,
    batch: EpisodeBatch,
    *,
    pool: Pool | None,
    neutral: bool,
    reads: frozenset[str],
) -> Forward:
    """Run one batch.

    Args:
        model: in training mode. data: all training rows. batch: from the stage's sampler.
        pool: encoded rows where the encoder is frozen. neutral: no environment, U alone.
        reads: optional fields of `Step` that active losses read.
    """
    query = placed(np.concatenate([batch.positive, batch.negative], axis=1))
    swap = None if batch.swap is None or "swap" not in reads else placed(batch.swap)
    rows = query.ravel() if swap is None else torch.cat([query.ravel(), swap.T.ravel()])
    boundary = Boundary(model.encode(data.inputs.take(rows)) if pool is None else _gather(pool, rows))
    leaves, twins = _parted(boundary.leaves, query.numel(), swap is not None)
    source = placed(batch.source)
    per_row = model.config.environment.student is EstimatorKind.ID_TABLE and bool((source == UNKNOWN).any())
    # An id table answers for each row of a mixed block by itself: blocks of one row.
    shape = (query.numel(), 1) if per_row else tuple(query.shape)
    encoded = _shaped(leaves, shape)
    cell = data.cell[query].view(shape)
    support, facts, known = None, CellFacts(cell[:, 0]), torch.zeros(shape[0], dtype=torch.bool, device=cell.device)
    student = teacher = opportunist = second = None
    if neutral:
        environment = model.neutral(shape[0])
    else:
        if per_row:
            support = _no_support(encoded)
        else:
            code = placed(batch.cell)
            known = (code != UNKNOWN) & (model.teacher is not None)
            facts = CellFacts(code, _observed(data, source), torch.where(code == UNKNOWN, source, UNKNOWN))
            support = _support(model, data, (batch.support, batch.label, batch.labelled, batch.present), pool)
        student = environment = model.read(support, facts)
        if model.teacher is not None and bool(known.any()):
            teacher = _teacher(model, support, facts, known)
            environment = model.known(student, teacher, known)
        if model.opportunist is not None and reads & {"opportunist", "opportunist_logits"}:
            opportunist = model.read_opportunist(support, facts)
        if "second" in reads and batch.second is not None:
            assert batch.second_label is not None
            assert batch.second_present is not None
            other = (batch.second, batch.second_label, batch.labelled, batch.second_present)
            second = model.read(_support(model, data, other, pool), facts)
    prevalence = placed(batch.prevalence).to(encoded.potential.dtype)
    step = Step(
        logits=model.logits(encoded, environment),
        label=data.label[query].view(shape),
        potential=encoded.potential,
        latent=encoded.latent,
        cell=cell,
        known=known,
        prevalence=prevalence.repeat_interleave(query.shape[1]) if per_row else prevalence,
        temperature=model.temperature_of(environment),
        environment=environment,
        coupling=model.coupling,
        student=student,
        teacher=teacher,
        opportunist=opportunist,
        student_logits=_voice(model, encoded, student, "student_logits" in reads),
        opportunist_logits=_voice(model, encoded, opportunist, "opportunist_logits" in reads),
        second=second,
        support_cell=source,
        branch=_branch(model, support, "branch" in reads),
        branch_present=None if support is None else support.present,
        mean=encoded.mean,
        log_variance=encoded.log_variance,
        chromatin=encoded.chromatin,
        chromatin_target=None if data.chromatin is None else data.chromatin[query],
        penalty=encoded.penalty,
        swap=twins,
        prototypes=_estimated(model.student, PrototypeKernel),
        nodes=_estimated(model.teacher, Teacher),
    )
    return Forward(step, boundary, support, batch)


def encode_pool(model: EnergyModel, data: TrainingData, rows: np.ndarray) -> Pool:
    """Encode the training rows `rows` without a graph, in evaluation mode."""
    index = placed(rows)
    with model.plain():
        encoded = model.encode_in_chunks(data.inputs.take(index))
    place = torch.zeros(data.label.shape[0], dtype=torch.int64, device=index.device)
    place[index] = torch.arange(index.numel(), device=index.device)
    return Pool(encoded, place)


def _gather(pool: Pool, rows: Tensor) -> Encoded:
    place = pool.place[rows]
    return pool.encoded.apply(lambda value: value.index_select(0, place))


def _parted(leaves: Encoded, queries: int, twins: bool) -> tuple[Encoded, tuple[Tensor, Tensor] | None]:
    """Query rows, and the latents of the swap pairs that were encoded behind them."""
    if not twins:
        return leaves, None
    first, second = leaves.latent[queries:].chunk(2)
    return leaves.apply(lambda value: value[:queries]), (first, second)


def _shaped(encoded: Encoded, shape: tuple[int, ...]) -> Encoded:
    return encoded.apply(lambda value: value.view(*shape, *value.shape[1:]))


def _support(model: EnergyModel, data: TrainingData, drawn: tuple[np.ndarray, ...], pool: Pool | None) -> SupportRows:
    """Encode supports (rows, label, labelled, present) without a graph and in evaluation mode: no dropout, mean z."""
    index = placed(drawn[0])
    if pool is None:
        with model.plain():
            encoded = model.encode(data.inputs.take(index.ravel()))
        index = torch.arange(index.numel(), device=index.device).view(index.shape)
    else:
        encoded, index = pool.encoded, pool.place[index]
    return model.supports(encoded, index, *(placed(value) for value in drawn[1:]))


def _no_support(encoded: Encoded) -> SupportRows:
    episodes = encoded.potential.shape[0]
    empty = encoded.potential.new_zeros(episodes, 0)
    return SupportRows(
        empty,
        encoded.latent.new_zeros(episodes, 0, encoded.latent.shape[-1]),
        encoded.hidden.new_zeros(episodes, 0, encoded.hidden.shape[-1]),
        empty,
        None,
        torch.zeros(episodes, dtype=torch.bool, device=empty.device),
        torch.zeros(episodes, 0, dtype=torch.bool, device=empty.device),
    )


def _teacher(model: EnergyModel, support: SupportRows, facts: CellFacts, known: Tensor) -> Environment:
    """The teacher's word on known cells; rows of unknown cells hold that of the first known one and are never read."""
    stand_in = torch.where(known, facts.code, facts.code[known][0])
    return model.read_teacher(support, facts._replace(code=stand_in))


def _observed(data: TrainingData, source: Tensor) -> Tensor | None:
    if data.observed is None:
        return None
    mixed = (source == UNKNOWN).unsqueeze(1)
    return torch.where(mixed, data.observed.mean(0), data.observed[source.clamp_min(0)])


def _voice(model: EnergyModel, encoded: Encoded, environment: Environment | None, wanted: bool) -> Tensor | None:
    return model.logits(encoded, environment) if wanted and environment is not None else None


def _branch(model: EnergyModel, support: SupportRows | None, wanted: bool) -> Tensor | None:
    branch = getattr(model.student.estimator, "branch", None)
    return branch(support.hidden) if wanted and branch is not None and support is not None else None


def _estimated(reader: Reader | None, kind: type[PrototypeKernel | Teacher]) -> Tensor | None:
    """The prototypes of a reader whose estimator is of this kind."""
    return reader.estimator.prototypes if reader is not None and isinstance(reader.estimator, kind) else None

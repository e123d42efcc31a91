"""Training of an energy model: potential alone, then jointly with the environment, then the environment.

Stage 1 trains U with R = 0. Stage 2 trains everything on IMMAX and ranking. Both compare
classes at equal weight, which is right for ranking but says nothing of prevalence; so stage 3 freezes the
encoder and the interaction and fits resistances and temperature by the likelihood at natural prevalence, on
loci that the encoder has not seen, where its confidence is honest. (An interaction trained there learned the
few cells and loci by heart: inner leave-one-training-cell-out AP fell from .51 to .43 on `bengi`.) The
energy is the same in all stages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..base import FitContext
from .config import EnergyConfig
from .environment import Environment, SupportRows
from .loci import reserve
from .losses import (
    Immax,
    distillation,
    likelihood,
    pairwise_ranking,
    potential_calibration,
    sparsity,
)
from .model import Encoded, EnergyModel, rows_of
from .routing import Boundary, Group, LossName, route
from .sampler import UNKNOWN, EpisodeBatch, EpisodeSampler

_WARM_UP = 0.1
_LARGEST_GRADIENT = 5.0


class TrainingRows(NamedTuple):
    """n training rows: inputs (n, F) float32, label (n,), cell (n,) codes, loci (n,) codes."""

    inputs: np.ndarray
    label: np.ndarray
    cell: np.ndarray
    loci: np.ndarray


class Trained(NamedTuple):
    """A trained model in float32 training state, and the mean loss over the last tenth of each stage."""

    model: EnergyModel
    losses: dict[str, float]


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """One thread and a private torch stream; the caller's are put back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def train_model(rows: TrainingRows, n_cells: int, config: EnergyConfig, context: FitContext) -> Trained:
    """Train an energy model on the training cells; a function of its arguments only.

    Raises:
        MethodError: no training cell holds both classes.
    """
    rng = context.generator(0)
    reserved = reserve(rows.loci, config.reserved_share, rng)
    kept = np.flatnonzero(~reserved)
    with _reproducible(context.seed):
        inputs = torch.from_numpy(rows.inputs)
        sampler = EpisodeSampler(rows.label, rows.cell, rows.loci, kept, config=config, prevalence_shift=0.0, rng=rng)
        model = EnergyModel(config, inputs[torch.from_numpy(kept)], n_cells)
        losses = {"joint": _joint(model, inputs, sampler, context.steps(config.steps))}
        held = np.flatnonzero(reserved) if _enough(rows, reserved) else np.arange(rows.label.size)
        held_sampler = EpisodeSampler(
            rows.label, rows.cell, rows.loci, held,
            config=config, prevalence_shift=config.prevalence_shift, rng=rng,
        )  # fmt: skip
        steps = context.steps(config.environment_steps)
        losses["environment"] = _environment(model, inputs, held, held_sampler, steps)
    return Trained(model, losses)


def _enough(rows: TrainingRows, reserved: np.ndarray) -> bool:
    """Whether the reserved loci hold at least 20 rows of each class in two cells (or in the only one)."""
    good = 0
    cells = np.unique(rows.cell)
    for code in cells:
        label = rows.label[reserved & (rows.cell == code)]
        good += bool(min(label.sum(), label.size - label.sum()) >= 20)
    return good >= min(2, cells.size)


def _joint(model: EnergyModel, inputs: Tensor, sampler: EpisodeSampler, steps: int) -> float:
    """Stages 1 and 2; returns the mean task loss over the last tenth."""
    config, task = model.config, Immax()
    alone = round(config.potential_share * steps)
    optimiser = _optimiser(model, config, with_encoder=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _cosine(step, steps))
    groups, last = model.groups(), []
    for step in range(steps):
        batch = sampler.draw(config.blocks)
        p = batch.positive.shape[1]
        query = np.concatenate([batch.positive, batch.negative], axis=1)
        model.train()
        boundary = Boundary(model.encode(inputs[torch.from_numpy(query.ravel())]))
        potential, latent = boundary.leaves
        encoded = Encoded(potential.view(query.shape), latent.view(*query.shape, -1))
        losses: dict[LossName, Tensor] = {}
        if step < alone:
            environment = _no_environment(query.shape[0], config)
        else:
            environment, losses = _read_environment(model, inputs, batch)
        logits = model.logits(encoded, environment)
        label = torch.arange(query.shape[1]).expand(query.shape) < p
        losses[LossName.TASK] = task(logits, label)
        losses[LossName.RANK] = config.rank_weight * pairwise_ranking(logits[:, :p], logits[:, p:])
        losses[LossName.CALIBRATION] = config.calibration_weight * potential_calibration(potential)
        route(losses, groups, boundary)
        _step(model, optimiser, groups.values())
        schedule.step()
        if step >= 0.9 * (steps - 1):
            last.append(losses[LossName.TASK].item())
    return float(np.mean(last))


def _environment(model: EnergyModel, inputs: Tensor, rows: np.ndarray, sampler: EpisodeSampler, steps: int) -> float:
    """Stage 3; returns the mean likelihood loss over the last tenth. Encoder and coupling are frozen."""
    config = model.config
    model.eval()
    with torch.no_grad():
        pool = model.encode(inputs[torch.from_numpy(rows)])
    place = np.zeros(inputs.shape[0], dtype=np.int64)
    place[rows] = np.arange(rows.size)
    optimiser = _optimiser(model, config, with_encoder=False)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _cosine(step, steps))
    groups, last = {**model.groups(), Group.ENCODER: [], Group.COUPLING: []}, []
    for step in range(steps):
        batch = sampler.draw(config.environment_blocks)
        p = batch.positive.shape[1]
        query = torch.from_numpy(place[np.concatenate([batch.positive, batch.negative], axis=1)])
        boundary = Boundary([pool.potential[query], pool.latent[query]])
        support = _support(pool, torch.from_numpy(place[batch.support]), batch)
        environment, losses = _fused(model, model.read(support), batch)
        logits = model.logits(Encoded(*boundary.leaves), environment)
        prevalence = torch.from_numpy(batch.prevalence).to(logits.dtype)
        losses[LossName.LIKELIHOOD] = likelihood(logits[:, :p], logits[:, p:], prevalence)
        route(losses, groups, boundary)
        _step(model, optimiser, groups.values())
        schedule.step()
        if step >= 0.9 * (steps - 1):
            last.append(losses[LossName.LIKELIHOOD].item())
    return float(np.mean(last))


def _read_environment(
    model: EnergyModel, inputs: Tensor, batch: EpisodeBatch
) -> tuple[Environment, dict[LossName, Tensor]]:
    """The environment that the student reads; its inputs are detached, so the encoder runs without a graph."""
    model.eval()
    with torch.no_grad():
        pool = model.encode(inputs[torch.from_numpy(batch.support.ravel())])
    model.train()
    rows = torch.arange(batch.support.size).view(batch.support.shape)
    return _fused(model, model.read(_support(pool, rows, batch)), batch)


def _support(pool: Encoded, rows: Tensor, batch: EpisodeBatch) -> SupportRows:
    return rows_of(
        pool,
        rows,
        torch.from_numpy(batch.label),
        torch.from_numpy(batch.labelled),
        torch.from_numpy(batch.present),
    )


def _fused(model: EnergyModel, student: Environment, batch: EpisodeBatch) -> tuple[Environment, dict[LossName, Tensor]]:
    """Fuse with the teacher where the cell is known; the losses that act on resistances alone."""
    config, cell = model.config, torch.from_numpy(batch.cell)
    known = cell != UNKNOWN
    environment = model.known(student, cell)
    losses = {LossName.SPARSE: config.sparse_weight * sparsity(environment.resistance)}
    if bool(known.any()):
        taught = distillation(student.resistance[known], model.teacher(cell[known]))
        losses[LossName.DISTILL] = config.distill_weight * taught
    return environment, losses


def _no_environment(episodes: int, config: EnergyConfig) -> Environment:
    return Environment(torch.zeros(episodes), torch.zeros(episodes, config.environment_dim))


def _optimiser(model: EnergyModel, config: EnergyConfig, *, with_encoder: bool) -> torch.optim.Optimizer:
    """AdamW; weight decay belongs to the encoder alone."""
    groups = model.groups()
    encoder, coupling = groups.pop(Group.ENCODER), groups.pop(Group.COUPLING)
    rest = [parameter for parameters in groups.values() for parameter in parameters]
    options: list[dict[str, object]] = [{"params": rest, "lr": config.environment_rate, "weight_decay": 0.0}]
    if with_encoder:
        # The interaction has a row for every direction of z and few cells to learn from: it moves slowly.
        options.append({"params": coupling, "lr": config.coupling_rate, "weight_decay": 0.0})
        options.append({"params": encoder, "lr": config.learning_rate, "weight_decay": config.weight_decay})
    return torch.optim.AdamW(options, fused=True)


def _cosine(step: int, steps: int) -> float:
    """Linear warm-up over the first tenth, then a cosine to zero."""
    warm = max(1.0, _WARM_UP * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))


def _step(model: EnergyModel, optimiser: torch.optim.Optimizer, groups: Iterable[Sequence[nn.Parameter]]) -> None:
    nn.utils.clip_grad_norm_([p for group in groups for p in group], _LARGEST_GRADIENT)
    optimiser.step()
    model.temperature.project()

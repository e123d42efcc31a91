"""The observer of a training: records every step, measures gradients at some, and leaves the training as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from .. import training as live
from ..config import EnergyConfig, Phase
from ..encoders.dropout import ByteDropout
from ..forward import Forward, forward
from ..names import Group, LossName
from ..routing import Weighted, reach_of
from ..samplers.base import UNKNOWN, TrainingLabels
from .batch_facts import measure_batch
from .declared_parts import declared_parts
from .e26 import E26
from .gradients import StepGradients, measure, norm
from .records import GradientRecord, StepRecord, Trail

if TYPE_CHECKING:
    from ..training import _Training

#: Called at every logged step with the training and its number of done steps.
Log = Callable[["_Training", int, str], None]
#: Called after every watched step; raises to abort.
Guard = Callable[["Watch"], None]
_TINY = 1e-12


class Watch:
    """Records of one training.

    Args:
        config: what was declared. labels: the training rows as the audit knows them.
        log: called about `logs` times, for monitors. guard: called where something was measured.
    """

    def __init__(
        self,
        config: EnergyConfig,
        labels: TrainingLabels,
        *,
        log: Log | None = None,
        guard: Guard | None = None,
        logs: int = 12,
    ) -> None:
        self.config, self.labels = config, labels
        self.trail = Trail()
        self.training: _Training | None = None
        self._log, self._guard, self._logs = log, guard, logs
        self._raw: dict[LossName, float] = {}
        self._factors: dict[LossName, float] = {}
        self._pending: tuple[StepGradients, frozenset[Group]] | None = None
        self._place = (-1, -1)
        self._parts = declared_parts(config)

    def computed(self, training: _Training, number: int, made: Forward, weighted: Mapping[LossName, Weighted]) -> None:
        """Record the step; at the first, middle and last of a stage take the losses' gradients apart."""
        if self.training is None:
            self._begin(training)
            # The hooks were not there yet when the losses of this first step were called: their weights stay unseen.
            self._raw = {}
        self._record(training, number, made, weighted)
        stage = training.config.stages[number]
        frozen = frozenset(stage.frozen)
        self._pending = None
        if self._watched(training, number):
            groups = training.groups()
            with _aside(training):
                found = measure(weighted, groups, made.boundary, small=training.config.optimiser.small, frozen=frozen)
                strayed = self._strayed(training, number, made, groups)
                if self.trail.cell_blind is None and Group.ENCODER not in frozen:
                    self.trail.cell_blind = _renamed(training, number, made)
            self._pending = (found, frozen)
            self.trail.gradients.append(
                GradientRecord(
                    training.done,
                    stage.name,
                    stage.phase,
                    found.norms,
                    found.total,
                    found.cosines,
                    strayed=strayed,
                    trainable=frozenset(groups) - frozen,
                )
            )
        every = max(1, training.total // self._logs)
        if self._log is not None and training.done % every == 0:
            with _aside(training):
                self._log(training, training.done, stage.name)

    def routed(self, training: _Training, number: int, optimiser: torch.optim.Optimizer) -> None:
        """Hold the gradients that arrived to the expected ones; note which parts they reach."""
        for part in self._parts:
            module = part.of(training.model)
            if module is not None and part.path not in self.trail.moved:
                reached = (p.grad is not None and bool((p.grad != 0).any()) for p in module.parameters())
                if any(reached):
                    self.trail.moved.add(part.path)
        held = {id(p): bool(own["weight_decay"]) for own in optimiser.param_groups for p in own["params"]}
        groups = training.groups()
        for group, parameters in groups.items():
            if parameters and all(id(p) in held for p in parameters):
                self.trail.optimised.add(group)
            if any(held.get(id(p), False) for p in parameters):
                self.trail.decayed.add(group)
        if self._pending is not None:
            expected, _ = self._pending
            for group, own in groups.items():
                gap = [
                    (torch.zeros_like(p) if p.grad is None else p.grad) - wanted
                    for p, wanted in zip(own, expected.expected[group], strict=True)
                ]
                size = max(expected.total[group], 1e-3 * max(expected.total.values(), default=0.0), _TINY)
                self.trail.gradients[-1].error[group] = norm(gap) / size
            if self._guard is not None:
                self._guard(self)

    def _begin(self, training: _Training) -> None:
        self.training = training
        for name, loss in training.losses.items():
            loss.register_forward_hook(partial(self._note, name))
        for part in self._parts:
            module = part.of(training.model)
            if module is not None:
                module.register_forward_hook(partial(self._ran, part.path))
        if self._guard is not None:
            self._guard(self)

    def _note(self, name: LossName, module: nn.Module, given: object, value: Tensor) -> None:
        self._raw[name] = float(value.detach())

    def _ran(self, path: str, module: nn.Module, given: object, value: object) -> None:
        self.trail.executed.add(path)

    def _watched(self, training: _Training, number: int) -> bool:
        stage, at = self._place
        self._place = (number, at + 1 if stage == number else 0)
        steps = training.context.steps(training.config.stages[number].steps)
        return self._place[1] in {0, steps // 2, steps - 1}

    def _record(self, training: _Training, number: int, made: Forward, weighted: Mapping[LossName, Weighted]) -> None:
        stage = self.config.stages[number]
        progress = training.done / max(1, training.total - 1)
        wanted = {
            name: self.config.losses[name].at(progress) * self._factors.get(name, 1.0)
            for name in self.config.active(stage)
        }
        applied = dict.fromkeys(wanted, 0.0)
        for name, own in weighted.items():
            raw = self._raw.get(name, 0.0) if self.trail.steps else 0.0
            applied[name] = float(own.value.detach()) / raw if abs(raw) > _TINY else wanted.get(name, 0.0)
        found, overlap = measure_batch(made.batch, self.labels)
        self.trail.steps.append(
            StepRecord(training.done, stage.name, stage.phase, dict(self._raw), wanted, applied, found, *overlap)
        )
        self._raw = {}
        self._factors = {} if training.balance is None else dict(training.balance.factors)

    def _strayed(
        self, training: _Training, number: int, made: Forward, groups: Mapping[Group, list[nn.Parameter]]
    ) -> dict[tuple[LossName, Group], float]:
        """Send each loss alone through the live routing; what arrives where neither table nor declaration allows."""
        stage = training.config.stages[number]
        active = training.config.active(stage)
        out: dict[tuple[LossName, Group], float] = {}
        for name in active:
            loss, config = training.losses[name], training.config.losses[name]
            again = forward(
                training.model,
                training.data,
                made.batch,
                pool=None,
                neutral=stage.phase is Phase.POTENTIAL,
                reads=training._reads(active),
            )
            reach = reach_of(loss, leak=config.leak)
            live.route({name: Weighted(loss(again.step), reach)}, groups, again.boundary, small=1.0)
            allowed = E26[name].full | E26[name].small
            for group, own in groups.items():
                arrived = [p.grad for p in own if p.grad is not None]
                declared = group in reach.full | reach.small
                behind = group is Group.CHROMATIN and Group.ENCODER in allowed
                if not behind and not (group in allowed and declared) and (size := norm(arrived)):
                    out[name, group] = size
        return out


def _renamed(training: _Training, number: int, made: Forward) -> float:
    """Largest change of z and U in training mode when every training cell gets another one's code."""
    cells, stage = training.model.n_cells, training.config.stages[number]
    seen = []
    batch = made.batch
    other = batch._replace(
        **{
            name: (getattr(batch, name) + 1) % cells * (getattr(batch, name) != UNKNOWN)
            + UNKNOWN * (getattr(batch, name) == UNKNOWN)
            for name in ("cell", "source")
        }
    )
    streams = _dropout_streams(training)
    for drawn, cell in ((batch, training.data.cell), (other, (training.data.cell + 1) % cells)):
        torch.manual_seed(0)
        for stream, state in streams:
            stream.bit_generator.state = state
        again = forward(
            training.model,
            training.data._replace(cell=cell),
            drawn,
            pool=None,
            neutral=stage.phase is Phase.POTENTIAL,
            reads=frozenset(),
        )
        seen.append((again.step.latent.detach(), again.step.potential.detach()))
    return max(float((a - b).abs().max()) for a, b in zip(*seen, strict=True))


@contextmanager
def _aside(training: _Training) -> Iterator[None]:
    """Whatever is computed here leaves no trace: random streams, modes, gradients and buffers are put back."""
    modules = [*training.model.modules(), *(m for loss in training.losses.values() for m in loss.modules())]
    modes = [(module, module.training) for module in modules]
    parameters = [p for own in training.groups().values() for p in own]
    kept = [p.grad for p in parameters]
    buffers = [(b, b.clone()) for b in training.model.buffers()]
    streams = _dropout_streams(training)
    for loss in training.losses.values():
        loss.eval()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            for stream, state in streams:
                stream.bit_generator.state = state
            for parameter, gradient in zip(parameters, kept, strict=True):
                parameter.grad = gradient
            with torch.no_grad():
                for buffer, value in buffers:
                    if not torch.equal(buffer, value):  # writing what is there already would spoil saved graphs
                        buffer.copy_(value)
            for module, mode in modes:
                module.training = mode


def _dropout_streams(training: _Training) -> list[tuple[np.random.Generator, Mapping[str, object]]]:
    """The private random streams of the model's dropout layers, with their present states."""
    layers = [module for module in training.model.modules() if isinstance(module, ByteDropout)]
    return [(layer._rng, layer._rng.bit_generator.state) for layer in layers]

"""Training of an energy model: stages that switch environment, rows, frozen groups and losses on and off.

By default U is first trained alone, then jointly with the environment, both by IMMAX and ranking. These compare
classes at equal weight, which is right for ranking but says nothing of prevalence; so a last stage freezes the
encoder and the interaction and fits the cell side and the temperature by the likelihood at natural prevalence,
on loci that the encoder has not seen, where its confidence is honest. (An interaction trained there learned the
few cells and loci by heart: inner leave-one-training-cell-out AP fell from .51 to .43 on `bengi`.) The energy is
the same in all stages.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ..base import FitContext
from ..device import device, placed
from .config import EncoderKind, EnergyConfig, Phase, StageConfig
from .forward import Forward, Pool, TrainingData, encode_pool, forward
from .losses.balance import AdaptiveBalance
from .losses.base import Sizes
from .losses.build import build_losses, refuse_degenerate
from .model import EnergyModel
from .names import Group, LossName
from .observing import Observer
from .routing import Weighted, reach_of, route
from .samplers.base import Sampler, TrainingLabels
from .samplers.build import build_sampler
from .samplers.loci import reserve
from .samplers.swap_pairs import swap_pairs
from .stopping import EarlyStopping, choose_validation_cells, mean_average_precision

_WARM_UP = 0.1
#: Rows of swap pairs in a step, where a loss reads them.
_SWAP_ROWS = 128
_RESERVED_ROWS = 200
#: Of each class, in two cells (or the only one), for reserved rows to be worth keeping apart.
_RESERVED_OF_A_CLASS = 20
#: Reserved rows are at most this many times the configured share of them.
_MOST_RESERVED = 4
_ENCODER_GROUPS = (Group.ENCODER, Group.CHROMATIN, Group.DISCRIMINATOR)


class Trained(NamedTuple):
    """A trained model in float32, and how its training went.

    Attributes:
        losses: mean of each active loss over the last tenth of each stage.
        inactive: by stage, losses that these training rows leave nothing to compare, and why.
        reserved_rows: how many rows were kept from the main stages; 0: none, and stages on reserved rows used the
            main ones; None: not known, since the model was loaded.
    """

    model: EnergyModel
    losses: dict[str, dict[str, float]]
    inactive: dict[str, dict[str, str]]
    reserved_rows: int | None = None


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """One thread and a private torch stream; the caller's are put back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            # All draws are made on the CPU.
            torch.default_generator.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def train_model(
    data: TrainingData,
    labels: TrainingLabels,
    n_cells: int,
    config: EnergyConfig,
    context: FitContext,
    observer: Observer | None = None,
) -> Trained:
    """Train an energy model on the training cells; a function of its arguments only, whoever observes.

    A loss that the configuration makes impossible is refused. One that only this table leaves without an object
    (no enhancer-gene pair in two training cells, for the loss `swap`) is left out and listed, so that a preset
    means the same on every task and runs on all of them.

    Raises:
        MethodError: no training cell holds both classes, or a loss is identically zero under the sampler.
    """
    with _reproducible(context.seed), warnings.catch_warnings():
        # The Fourier head's two gradients are halves of one tensor. Copies of them would not warn, but are summed in
        # another order where gradients are clipped: published scores could not be had again.
        warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")
        training = _Training(data, labels, n_cells, config, context)
        training.observer = observer
        return training.run()


class _Training:
    """The state of one training: model, losses, samplers, optimiser."""

    observer: Observer | None = None

    def __init__(
        self, data: TrainingData, labels: TrainingLabels, n_cells: int, config: EnergyConfig, context: FitContext
    ) -> None:
        self.data, self.labels, self.config, self.context = data, labels, config, context
        self.rng = context.generator(0)
        chosen = reserve(labels.loci, _reserved_share(labels, config.reserved_share), self.rng)
        self.validation = (
            choose_validation_cells(labels.label, labels.cell, n_cells, config.stopping.cells, self.rng)
            if config.stopping.cells
            else np.empty(0, dtype=np.int64)
        )
        usable = ~np.isin(labels.cell, self.validation)
        self.rows, self.reserved_rows = self._divided(usable, chosen)
        chromatin = 0 if data.chromatin is None else data.chromatin.shape[1]
        # Scales and quantiles are taken on the CPU.
        inputs = data.inputs.take(placed(self.rows["main"])).to(torch.device("cpu"))
        observed = None if data.observed is None else data.observed.cpu()
        self.model = EnergyModel(config, inputs, n_cells, observed, chromatin).to(device())
        sizes = Sizes(config.encoder.latent, self.model.student.estimator.size, n_cells, chromatin)
        self.losses = {name: loss.to(device()) for name, loss in build_losses(config.losses, sizes).items()}
        self.inactive = {
            stage.name: found for stage in config.stages if (found := self._without_object(config.active(stage), stage))
        }
        self.samplers = [self._sampler(stage) for stage in config.stages]
        self.refuse(n_cells)
        self.total = sum(context.steps(stage.steps) for stage in config.stages)
        self.done = 0
        self.balance = AdaptiveBalance() if config.optimiser.adaptive else None
        self.stopping = EarlyStopping(config.stopping.patience) if config.stopping.cells else None

    def run(self) -> Trained:
        """Every stage in turn."""
        reports: dict[str, dict[str, float]] = {}
        optimiser: torch.optim.Optimizer | None = None
        schedule: torch.optim.lr_scheduler.LRScheduler | None = None
        stopped = False
        for number, stage in enumerate(self.config.stages):
            if stage.restart or optimiser is None or schedule is None:
                self._take_best()
                optimiser = self._optimiser(stage)
                schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, partial(_cosine, steps=self._span(number)))
                stopped = False
            if not stopped:
                reports[stage.name], stopped = self._stage(number, stage, optimiser, schedule)
        self._take_best()
        return Trained(self.model, reports, self.inactive, self.reserved_rows)

    def _divided(self, usable: np.ndarray, chosen: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
        """Rows of the main stages and of those on reserved rows, and how many are kept apart.

        Where the `chosen` loci are too few to learn cells from, as many as are allowed are chosen instead; where these
        do not suffice either, nothing is kept apart: the main stages need every row of a table so small.
        """
        most = min(1.0, _MOST_RESERVED * self.config.reserved_share)
        if not _enough(self.labels, usable & chosen):
            chosen = reserve(self.labels.loci, most, self.rng)
        if not _enough(self.labels, usable & chosen):
            whole = np.flatnonzero(usable)
            return {"main": whole, "reserved": whole}, 0
        kept = np.flatnonzero(usable & chosen)
        return {"main": np.flatnonzero(usable & ~chosen), "reserved": kept}, kept.size

    def _take_best(self) -> None:
        """Go back to the weights that early stopping found best; they then count as found."""
        if self.stopping is not None and self.stopping.best is not None:
            self.model.load_state_dict(self.stopping.best)
            self.stopping = None

    def _stage(
        self,
        number: int,
        stage: StageConfig,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> tuple[dict[str, float], bool]:
        """One stage; returns its mean losses at the end, and whether early stopping ended it."""
        steps = self.context.steps(stage.steps)
        sampler, active = self.samplers[number], self._active(stage)
        frozen = frozenset(stage.frozen)
        pool = encode_pool(self.model, self.data, self.rows[stage.rows]) if Group.ENCODER in frozen else None
        groups = self.groups()
        last: list[dict[str, float]] = []
        self.model.train(pool is None)
        for step in range(steps):
            made = self._forward(sampler, stage, pool, active)
            weighted = self._weighted(active, made)
            if self.observer is not None:
                self.observer.computed(self, number, made, weighted)
            route(weighted, groups, made.boundary, small=self.config.optimiser.small, frozen=frozen)
            if self.observer is not None:
                self.observer.routed(self, number, optimiser)
            nn.utils.clip_grad_norm_([p for own in groups.values() for p in own], self.config.optimiser.clip)
            optimiser.step()
            schedule.step()
            self.model.temperature.project()
            if pool is None:
                self.model.head.follow(made.step.potential)
            if Group.PROTOTYPES not in frozen:
                self._move_prototypes(made)
            self.done += 1
            if step >= 0.9 * (steps - 1):
                last.append({name: float(value.value.detach()) for name, value in weighted.items()})
            # The last step counts too: the weights that a stage ends with compete with those on its way.
            looks = (step + 1) % self.config.stopping.every == 0 or step + 1 == steps
            if pool is None and looks and self._stop():
                return _means(last), True
        return _means(last), False

    def _forward(self, sampler: Sampler, stage: StageConfig, pool: Pool | None, active: Sequence[LossName]) -> Forward:
        batch = sampler.draw(stage.blocks or self.config.sampler.blocks)
        return forward(
            self.model, self.data, batch, pool=pool, neutral=stage.phase is Phase.POTENTIAL, reads=self._reads(active)
        )

    def _weighted(self, active: Sequence[LossName], made: Forward) -> dict[LossName, Weighted]:
        progress = self.done / max(1, self.total - 1)
        found = {}
        for name in active:
            loss, config = self.losses[name], self.config.losses[name]
            weight = config.at(progress) * (1.0 if self.balance is None else self.balance.factor(name))
            if weight:
                found[name] = Weighted(weight * loss(made.step), reach_of(loss, leak=config.leak))
        if self.balance is not None:
            self.balance.update(found, made.boundary)
        return found

    def _move_prototypes(self, made: Forward) -> None:
        update = getattr(self.model.student.estimator, "observe", None)
        if update is not None and made.support is not None and made.step.support_cell is not None:
            with torch.no_grad():
                update(made.support, made.step.support_cell)

    def _stop(self) -> bool:
        if self.stopping is None:
            return False
        rows = np.flatnonzero(np.isin(self.labels.cell, self.validation))
        potential = encode_pool(self.model, self.data, rows).encoded.potential.cpu().numpy()
        score = mean_average_precision(self.labels.label[rows], potential, self.labels.cell[rows])
        return self.stopping.update(score, self.model.state_dict())

    def _reads(self, active: Sequence[LossName]) -> frozenset[str]:
        """Optional fields of a step that the active losses read."""
        return frozenset[str]().union(*(self.losses[name].reads for name in active))

    def _active(self, stage: StageConfig) -> tuple[LossName, ...]:
        """The losses of a stage that these rows leave something to compare."""
        return tuple(name for name in self.config.active(stage) if name.value not in self.inactive.get(stage.name, {}))

    def _without_object(self, active: Sequence[LossName], stage: StageConfig) -> dict[str, str]:
        """Losses of a stage that would be zero for want of rows, and why."""
        if LossName.SWAP not in active or swap_pairs(self.labels, self.rows[stage.rows]).size:
            return {}
        known = self.labels.identity is not None
        reason = "no enhancer-gene pair is in two training cells" if known else "no pair has an element and a gene"
        return {LossName.SWAP.value: f"{reason} among the {stage.rows} rows, so that there are no twins to compare"}

    def _sampler(self, stage: StageConfig) -> Sampler:
        reads = self._reads(self._active(stage))
        return build_sampler(
            self.labels,
            self.rows[stage.rows],
            self.config.sampler,
            self.rng,
            prevalence_shift=stage.prevalence_shift,
            second="second" in reads,
            swap=_SWAP_ROWS if "swap" in reads else 0,
        )

    def refuse(self, n_cells: int) -> None:
        """Refuse losses that would be identically zero in a stage where they are active."""
        encoder = self.config.encoder
        for stage, sampler in zip(self.config.stages, self.samplers, strict=True):
            refuse_degenerate(
                {name: self.losses[name] for name in self.config.active(stage)},
                distinct_cells=sampler.distinct_cells(stage.blocks or self.config.sampler.blocks, len(sampler.cells)),
                sampler=self.config.sampler.kind.value,
                stochastic_encoder=encoder.bottleneck,
                cell_free_encoder=encoder.kind is not EncoderKind.FEATURES,
                n_cells=n_cells,
                mixed_support=self.config.sampler.mixed_support or sampler.mixed,
            )

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        """The model's groups, and the parameters that losses own."""
        own = [parameter for loss in self.losses.values() for parameter in loss.parameters()]
        return {**self.model.groups(), Group.DISCRIMINATOR: own}

    def _optimiser(self, stage: StageConfig) -> torch.optim.Optimizer:
        """AdamW; weight decay belongs to the encoder alone."""
        options = self.config.optimiser
        rates: dict[Group, float] = dict.fromkeys(_ENCODER_GROUPS, options.learning_rate)
        if self.model.coupling.x_dependent:
            # The interaction has a row for every direction of z and few cells to learn from: it moves slowly.
            rates[Group.COUPLING] = options.coupling_rate
        chosen: list[dict[str, object]] = [
            {
                "params": parameters,
                "lr": rates.get(group, options.environment_rate),
                "weight_decay": options.weight_decay if group is Group.ENCODER else 0.0,
            }
            for group, parameters in self.groups().items()
            if parameters and (not stage.restart or group not in stage.frozen)
        ]
        return torch.optim.AdamW(chosen, fused=True)

    def _span(self, number: int) -> int:
        """Steps from stage `number` to the next one that starts anew: the length of its schedule."""
        steps = 0
        for later, stage in enumerate(self.config.stages[number:], start=number):
            if later > number and stage.restart:
                break
            steps += self.context.steps(stage.steps)
        return steps


def _means(reports: list[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for report in reports for name in report})
    return {name: float(np.mean([report[name] for report in reports if name in report])) for name in names}


def _reserved_share(labels: TrainingLabels, share: float) -> float:
    """`share`, or what gives a cell about 200 rows if that is more, up to four times `share`.

    A student learns from the reserved rows what a support of up to 128 pairs is worth; with fewer rows than that to
    draw from it would learn that a support is worth nothing.
    """
    wanted = _RESERVED_ROWS * np.unique(labels.cell).size / labels.cell.size
    return float(np.clip(wanted, share, _MOST_RESERVED * share))


def _enough(labels: TrainingLabels, usable: np.ndarray) -> bool:
    """Whether the rows hold enough of each class in two cells (or in the only one)."""
    cells = np.unique(labels.cell)
    good = 0
    for code in cells:
        label = labels.label[usable & (labels.cell == code)]
        good += bool(min(label.sum(), label.size - label.sum()) >= _RESERVED_OF_A_CLASS)
    return good >= min(2, cells.size)


def _cosine(step: int, steps: int) -> float:
    """Linear warm-up over the first tenth, then a cosine to zero."""
    warm = max(1.0, _WARM_UP * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))

"""Reptile (Nichol et al. 2018), vectorised over tasks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..methods.base import FitContext, TrainTable
from ..methods.device import placed
from ..tasks.errors import MethodError
from .gradient_learners import FineTune
from .inner_loop import LabelledPairs
from .meta_gradient import adapt
from .meta_training import EpisodeSampler, MetaBatch
from .networks import Parameters
from .training_rows import TrainingRows

#: As MAML's.
_PRETRAINING_STEPS = 400
_STEPS = 200
_TASKS = 16
#: Rows of one inner minibatch.
_ROWS = 32
#: Share of a task's rows that is drawn from the support side of its chromosomes.
_SUPPORT_ROWS = 0.25


def reptile_step(
    parameters: Parameters, tasks: LabelledPairs, inner_rate: float, outer_rate: float
) -> dict[str, Tensor]:
    """One outer step of batched Reptile: phi + eps mean_t (W_t - phi), Nichol et al. 2018, Algorithm 2.

    W_t is reached from phi by one gradient step on each of task t's S minibatches in turn, all tasks at once. No
    derivative is taken of the inner steps.

    Args:
        parameters: phi. tasks: inputs (T, S, m, D), label and weight (T, S, m), offset (T, S).
        inner_rate: alpha. outer_rate: eps in 0..1.

    Returns:
        The new phi.
    """

    with torch.no_grad():
        reached = dict(parameters)
        for minibatch in zip(*(field.unbind(1) for field in tasks), strict=True):
            reached = adapt(reached, LabelledPairs(*minibatch), inner_rate, 1)
        return {name: phi + outer_rate * (reached[name].mean(0) - phi) for name, phi in parameters.items()}


class Reptile(FineTune):
    """Reptile: the start moves towards the weights that each task's gradient steps reach.

    Nichol, Achiam & Schulman 2018, "On First-Order Meta-Learning Algorithms", arXiv:1803.02999, Algorithm 2;
    inner steps by plain gradient descent on minibatches of a task's rows, support and query side together,
    the outer rate falling linearly to 0 as in section 6.1. What differs: phi starts from a network trained on
    the pooled rows (as `Maml` does), tasks are training cells, alpha is fixed and the same at test, where the
    steps are full-batch and alpha is shrunk by k / (k + k0). Inputs carry noise.

    Args:
        hidden, inner_rate, shrinkage, inner_steps: see `FineTune`. outer_rate: eps at the start, in (0, 1].

    Raises:
        MethodError: an argument out of its range.
    """

    name = "reptile"
    summary = "Reptile: pooled MLP moved towards the weights that each cell's gradient steps reach"
    paper = "Nichol et al. 2018, arXiv:1803.02999, Algorithm 2"

    def __init__(
        self,
        hidden: tuple[int, ...] | list[int] = (64, 64),
        inner_rate: float = 0.3,
        shrinkage: float = 32.0,
        inner_steps: int = 5,
        outer_rate: float = 0.5,
    ) -> None:
        if not 0 < outer_rate <= 1:
            raise MethodError(f"Method {self.name!r}: outer_rate must lie in (0, 1], and is {outer_rate}.")
        super().__init__(hidden, inner_rate, shrinkage, inner_steps)
        self._outer_rate = outer_rate

    def config(self) -> Mapping[str, object]:
        """Hidden units per layer, alpha, k0, inner steps, and eps at the start."""
        return {**super().config(), "outer_rate": self._outer_rate}

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Pre-train on pooled rows, then take outer steps."""
        rng = context.generator()
        data = TrainingRows(train, rng)
        self.pretrain(data, context.steps(_PRETRAINING_STEPS), rng)
        sampler = EpisodeSampler(train, rng)
        n_rows = self._inner_steps * _ROWS
        n_support = round(_SUPPORT_ROWS * n_rows)
        steps = context.steps(_STEPS)
        for step in range(steps if n_rows else 0):
            batch = sampler.draw(_TASKS, n_support, n_rows - n_support)
            rows, weight = _minibatches(batch, self._inner_steps, rng)
            label = data.labels(rows)
            tasks = LabelledPairs(data.noisy(rows), label, placed(weight), label.new_zeros(rows.shape[:2]))
            outer_rate = self._outer_rate * (1 - step / steps)
            self._parameters = reptile_step(self._parameters, tasks, self._inner_rate, outer_rate)


def _minibatches(batch: MetaBatch, steps: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and weights (T, S, m) of each task's support and query side, shuffled into S minibatches."""
    rows = np.concatenate([batch.support, batch.query], axis=1)
    weight = np.concatenate([batch.weight, np.ones(batch.query.shape, dtype=np.float32)], axis=1)
    order = rng.permuted(np.tile(np.arange(rows.shape[1]), (len(rows), 1)), axis=1)
    shape = (len(rows), steps, -1)
    shuffled_rows, shuffled_weight = (
        np.take_along_axis(values, order, axis=1).reshape(shape) for values in (rows, weight)
    )
    return shuffled_rows, shuffled_weight

"""Relatives of MAML: first order, last layer only, and plain fine-tuning of a pooled network.

All, Reptile in its own module included, share MAML's network, inputs and scoring (see `maml.Maml`): gradient
steps on the labelled support at the rate alpha k / (k + k0), the case-control offset for balanced supports, and
with k = 0 the network as trained. So rows of the table differ in how the starting point is trained, and in what
is adapted, alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import Tensor

from ..methods.base import FitContext, TrainTable
from ..tasks.errors import MethodError
from .inner_loop import LabelledPairs
from .maml import Maml
from .meta_gradient import bce_loss
from .networks import count, init_mlp, optimise
from .training_rows import TrainingRows

#: As MAML's: minibatch, peak learning rate, weight decay.
_BATCH = 512
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1.0
#: More than MAML's pre-training: the steps that meta-training would take go into the pooled network.
_FINE_TUNE_STEPS = 600


class Fomaml(Maml):
    """First-order MAML: the inner gradients are constants in the meta-gradient.

    Finn, Abbeel & Levine 2017, ICML, section 5.2 ("first-order approximation"); Nichol et al. 2018, section 2.
    The meta-gradient is the query gradient at the adapted weights, without second derivatives. What differs
    from the paper is what differs in `Maml`; alpha is still learned, through theta' = theta - alpha g with g
    held constant.
    """

    name = "fomaml"
    summary = "MAML, first order: inner gradients are constants of the outer one"
    paper = "Finn et al. 2017, ICML, section 5.2"

    def __init__(
        self,
        hidden: tuple[int, ...] | list[int] = (64, 64),
        inner_rate: float = 0.3,
        shrinkage: float = 32.0,
        inner_steps: int = 5,
    ) -> None:
        super().__init__(hidden, inner_rate, shrinkage, inner_steps, first_order=True)

    def config(self) -> Mapping[str, object]:
        """Hidden units per layer, start of alpha, k0 and inner steps."""
        return _without_order(super().config())


class Anil(Maml):
    """Almost no inner loop: the support adapts the last layer only, the body is meta-learned and kept.

    Raghu, Raghu, Bengio & Vinyals 2020, "Rapid Learning or Feature Reuse? Towards Understanding the
    Effectiveness of MAML", ICLR, section 4; second order, as there. What differs from the paper is what
    differs in `Maml`.
    """

    name = "anil"
    summary = "ANIL: MAML whose inner loop adapts the last layer only"
    paper = "Raghu et al. 2020, ICLR, section 4"

    def _moving(self) -> Collection[str]:
        last = len(self._hidden)
        return f"weight{last}", f"bias{last}"


class FineTune(Maml):
    """Plain fine-tuning: a network trained on the pooled rows takes gradient steps on the support.

    The baseline of Finn et al. 2017 ("pretrained") and of Chen et al. 2019, "A Closer Look at Few-shot
    Classification", ICLR, section 3.2. What differs: the head is not replaced, as the label means the same in
    every cell, so all layers are tuned from where they are; rate and number of steps are fixed in advance,
    and the rate is shrunk for small supports by k / (k + k0). Nothing is meta-learned.

    Args:
        hidden: units per layer. inner_rate: alpha, > 0. shrinkage: k0 >= 0. inner_steps: full-batch steps.

    Raises:
        MethodError: an argument out of its range.
    """

    name = "fine-tune"
    summary = "pooled MLP, a few plain gradient steps on the support"
    paper = "Chen et al. 2019, ICLR, section 3.2"

    def __init__(
        self,
        hidden: tuple[int, ...] | list[int] = (64, 64),
        inner_rate: float = 0.3,
        shrinkage: float = 32.0,
        inner_steps: int = 5,
    ) -> None:
        if not inner_rate > 0 or shrinkage < 0 or inner_steps < 0:
            raise MethodError(
                f"Method {self.name!r}: inner_rate must be above 0, shrinkage and inner_steps 0 or more; "
                f"they are {inner_rate}, {shrinkage} and {inner_steps}."
            )
        super().__init__(hidden, inner_rate, shrinkage, inner_steps, first_order=True)
        self._alpha = inner_rate

    def config(self) -> Mapping[str, object]:
        """Hidden units per layer, alpha, k0 and steps at test."""
        return _without_order(super().config())

    def n_parameters(self) -> int | None:
        """Weights and biases of the network."""
        return count(self._parameters)

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Train the network on pooled rows."""
        rng = context.generator()
        self.pretrain(TrainingRows(train, rng), context.steps(_FINE_TUNE_STEPS), rng)

    def pretrain(self, data: TrainingRows, steps: int, rng: np.random.Generator) -> None:
        """Minimise the pooled loss."""
        self._inputs, self._prior_logit = data.scale, data.prior_logit

        def pooled_loss(parameters: dict[str, Tensor]) -> Tensor:
            rows = rng.integers(len(data), size=_BATCH)
            label = data.labels(rows)
            pairs = LabelledPairs(data.noisy(rows), label, torch.ones_like(label), label.new_zeros(()))
            return bce_loss(parameters, pairs)

        self._parameters = optimise(
            init_mlp([data.width, *self._hidden, 1], data.noise),
            pooled_loss,
            steps=steps,
            learning_rate=_LEARNING_RATE,
            weight_decay=_WEIGHT_DECAY,
        )


def _without_order(config: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in config.items() if name != "first_order"}

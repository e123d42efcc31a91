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
from .inputs import RankedInputs
from .maml import LabelledPairs, Maml, bce_loss
from .networks import count, init_mlp, optimise

#: As MAML's: minibatch, noise on inputs of unit variance, peak learning rate, weight decay.
_BATCH = 512
_INPUT_NOISE = 0.3
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
        self.pretrain(train, context, context.generator(), _FINE_TUNE_STEPS)

    def pretrain(
        self, train: TrainTable, context: FitContext, rng: np.random.Generator, steps: int
    ) -> tuple[Tensor, Tensor, torch.Generator]:
        """Minimise the pooled loss; returns the (n, D) inputs, the (n,) labels and the stream of noise."""
        torch.set_num_threads(1)
        noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self._inputs = RankedInputs.fit(train)
        inputs = self._inputs.of_train(train)
        label = torch.from_numpy(train.label.astype(np.float32))
        # One pseudo-count per class keeps the logit finite when the training cells hold one class only.
        positives = float(label.sum())
        self._prior_logit = float(np.log((positives + 1) / (len(label) - positives + 1)))

        def pooled_loss(parameters: dict[str, Tensor]) -> Tensor:
            rows = torch.from_numpy(rng.integers(len(label), size=_BATCH))
            ones, no_offset = torch.ones(_BATCH), torch.zeros(())
            return bce_loss(parameters, LabelledPairs(with_noise(inputs[rows], noise), label[rows], ones, no_offset))

        self._parameters = optimise(
            init_mlp([inputs.shape[1], *self._hidden, 1], noise),
            pooled_loss,
            steps=context.steps(steps),
            learning_rate=_LEARNING_RATE,
            weight_decay=_WEIGHT_DECAY,
        )
        return inputs, label, noise


def with_noise(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Inputs with Gaussian noise, as in MAML's training."""
    return clean + _INPUT_NOISE * torch.randn(clean.shape, generator=generator)


def _without_order(config: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in config.items() if name != "first_order"}

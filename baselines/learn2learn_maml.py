"""MAML by learn2learn: the real `learn2learn.algorithms.MAML` on the network and the episodes of `maml`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ..methods.base import Balance, FitContext, TrainTable
from ..tasks.errors import MethodError
from . import maml
from .inputs import RankedInputs
from .learn2learn_import import INSTALL, RELEASE, learn2learn
from .maml import LabelledPairs, Maml, bce_loss
from .meta_training import EpisodeSampler
from .networks import Parameters, init_mlp, mlp, optimise


class Network(nn.Module):
    """Our MLP as a module whose parameters are the very tensors it is given, not copies of them.

    An outer gradient thus reaches the tensors that the outer step changes; an `nn.Parameter` would cut it off.
    """

    def __init__(self, parameters: Parameters) -> None:
        super().__init__()
        self._parameters.update(parameters)  # type: ignore[arg-type]

    def weights(self) -> dict[str, Tensor]:
        """The present parameters by name: after `adapt`, the adapted ones."""
        return dict(self._parameters)  # type: ignore[arg-type]

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (n, 1) of (n, D) inputs."""
        return mlp(self.weights(), inputs)


def adapted_weights(
    parameters: Parameters,
    support: LabelledPairs,
    inner_rate: float | Tensor,
    inner_steps: int,
    first_order: bool = False,
) -> dict[str, Tensor]:
    """`maml.adapt` by learn2learn: `MAML(network, lr).clone()`, then `inner_steps` times `.adapt(loss)`.

    Args:
        parameters: the meta-initialisation; tensors that require a gradient (without one, learn2learn's
            `adapt` prints the error of autograd and then stops at an unbound variable).
        support: one task, without task dimension.
        inner_rate: alpha, a number or a tensor of one element; learn2learn has one rate for all parameters.
        inner_steps, first_order: as in `maml.adapt`.

    Returns:
        theta', differentiable with respect to theta and `inner_rate`.

    Raises:
        MethodError: learn2learn is not installed.
    """
    learner = learn2learn().maml(Network(parameters), lr=inner_rate, first_order=first_order).clone()
    for _ in range(inner_steps):
        learner.adapt(bce_loss(learner.module.weights(), support))
    adapted: dict[str, Tensor] = learner.module.weights()
    return adapted


def meta_loss(
    parameters: Parameters,
    supports: LabelledPairs,
    queries: LabelledPairs,
    inner_rate: float | Tensor,
    inner_steps: int,
    first_order: bool = False,
) -> Tensor:
    """`maml.meta_loss` by learn2learn, one task after the other; arguments and result as there."""
    losses = []
    for task in range(len(supports.label)):
        support, query = (LabelledPairs(*(tensor[task] for tensor in pairs)) for pairs in (supports, queries))
        losses.append(bce_loss(adapted_weights(parameters, support, inner_rate, inner_steps, first_order), query))
    return torch.stack(losses).mean()


class MamlLearn2learn(Maml):
    """The method `maml` with learn2learn in place of `torch.func`, in meta-training and in scoring.

    Finn, Abbeel & Levine 2017, Algorithm 1, by the library of Arnold et al. 2020, "learn2learn: A Library for
    Meta-Learning Research", arXiv:2008.12284. Network, inputs, episodes, outer objective, optimiser, numbers of
    steps and random draws are those of `maml`, and so is everything that differs from the paper; see there. Only
    the inner loop is learn2learn's `MAML`: its `clone` and `adapt`, with alpha as its learning rate.

    The two give the same meta-gradients, hence nearly the same scores; this one shows that what `maml` does is
    MAML as others run it. The budget is equal in steps, not in time: tasks are adapted one after the other instead
    of together, so that a fit takes about one and a half times as long, and scoring more.
    """

    name = "maml-learn2learn"
    summary = "MAML run by the library learn2learn: the settings of `maml`, inner loop by clone and adapt"
    paper = "Finn et al. 2017, ICML, Algorithm 1; Arnold et al. 2020, arXiv:2008.12284"
    #: Read by `epishot methods`: a module without which the method is unavailable, and how to install it.
    requires = "learn2learn"
    install = INSTALL

    def __init__(
        self,
        hidden: tuple[int, ...] | list[int] = (64, 64),
        inner_rate: float = 0.3,
        shrinkage: float = 32.0,
        inner_steps: int = 5,
        first_order: bool = False,
    ) -> None:
        """As `Maml`.

        Raises:
            MethodError: learn2learn is not installed, or another release of it, whose scores could differ
                under the same name; told here, before anything runs.
        """
        super().__init__(hidden, inner_rate, shrinkage, inner_steps, first_order)
        if (found := learn2learn().version) != RELEASE:
            raise MethodError(f"maml-learn2learn runs learn2learn {RELEASE}, not {found}; install it with: {INSTALL}")

    def sampler(self, train: TrainTable, generator: np.random.Generator) -> EpisodeSampler:
        """Where meta-training tasks come from; override it to use `learn2learn_sampler.from_task_transforms`."""
        return EpisodeSampler(train, generator)

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Pre-train on pooled rows, then meta-train by learn2learn; the draws are those of `Maml.fit`."""
        torch.set_num_threads(1)
        rng = context.generator()
        noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self._inputs = RankedInputs.fit(train)
        inputs = self._inputs.of_train(train)
        label = torch.from_numpy(train.label.astype(np.float32))
        positives = float(label.sum())
        self._prior_logit = float(np.log((positives + 1) / (len(label) - positives + 1)))
        sampler = self.sampler(train, rng)

        def noisy(rows: np.ndarray, weight: Tensor | None = None, offset: float = 0.0) -> LabelledPairs:
            """The pairs `rows`, ([T,] n), with noise on their inputs."""
            index = torch.from_numpy(rows)
            clean = inputs[index]
            moved = clean + maml._INPUT_NOISE * torch.randn(clean.shape, generator=noise)
            weight = torch.ones(rows.shape) if weight is None else weight
            return LabelledPairs(moved, label[index], weight, torch.full(rows.shape[:-1], offset))

        def pooled_loss(parameters: dict[str, Tensor]) -> Tensor:
            return bce_loss(parameters, noisy(rng.integers(len(label), size=maml._PRETRAINING_BATCH)))

        def episodic_loss(parameters: dict[str, Tensor]) -> Tensor:
            k = int(rng.choice(maml._META_SHOTS))
            balance = Balance.BALANCED if rng.random() < maml._BALANCED_SHARE else Balance.NATURAL
            batch = sampler.draw(maml._META_TASKS, k, maml._META_QUERY, balance)
            supports = noisy(batch.support, torch.from_numpy(batch.weight), self._offset(balance))
            queries = noisy(batch.query)
            network, alpha = self._split(parameters)
            rate = self._rate(alpha, k)
            after = meta_loss(network, supports, queries, rate, self._inner_steps, self._first_order)
            return after + pooled_loss(network)

        pretrained = optimise(
            init_mlp([inputs.shape[1], *self._hidden, 1], noise),
            pooled_loss,
            steps=context.steps(maml._PRETRAINING_STEPS),
            learning_rate=maml._LEARNING_RATE,
            weight_decay=maml._WEIGHT_DECAY,
        )
        trained = optimise(
            pretrained | {maml._RATE: torch.zeros(1)},
            episodic_loss,
            steps=context.steps(maml._META_STEPS),
            learning_rate=maml._META_LEARNING_RATE,
            weight_decay=maml._WEIGHT_DECAY,
        )
        self._parameters, alpha = self._split(trained)
        self._alpha = float(alpha)

    def _adapted(self, supports: LabelledPairs) -> dict[str, Tensor]:
        """One set of parameters per support, adapted by learn2learn: each with a leading dimension E."""
        rate = self._rate(self._alpha, supports.label.shape[-1])
        initial = {name: tensor.detach().requires_grad_() for name, tensor in self._parameters.items()}
        with torch.enable_grad():
            sets = [
                adapted_weights(
                    initial, LabelledPairs(*(tensor[e] for tensor in supports)), rate, self._inner_steps, True
                )
                for e in range(len(supports.label))
            ]
        return {name: torch.stack([one[name].detach() for one in sets]) for name in initial}

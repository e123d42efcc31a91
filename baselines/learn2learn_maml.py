"""MAML by learn2learn: the real `learn2learn.algorithms.MAML` on the network and the episodes of `maml`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..tasks.errors import MethodError
from .inner_loop import LabelledPairs
from .learn2learn_import import INSTALL, RELEASE, learn2learn
from .maml import Maml
from .meta_gradient import bce_loss
from .networks import Parameters, mlp


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
    """`meta_gradient.adapt` by learn2learn, with a graph: `MAML(network, lr).clone()`, then `inner_steps` times
    `.adapt(loss)`.

    Args:
        parameters: the meta-initialisation; tensors that require a gradient (without one, learn2learn's
            `adapt` prints the error of autograd and then stops at an unbound variable).
        support: one task, without task dimension.
        inner_rate: alpha, a number or a tensor of one element; learn2learn has one rate for all parameters.
        inner_steps, first_order: as in `meta_gradient.meta_loss`.

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
    """`meta_gradient.meta_loss` by learn2learn, one task after the other, all weights adapted."""
    losses = []
    for task in range(len(supports.label)):
        adapted = adapted_weights(parameters, supports.tasks(task), inner_rate, inner_steps, first_order)
        losses.append(bce_loss(adapted, queries.tasks(task)))
    return torch.stack(losses).mean()


class MamlLearn2learn(Maml):
    """The method `maml` with learn2learn in place of `inner_loop`, in meta-training and in scoring.

    Finn, Abbeel & Levine 2017, Algorithm 1, by the library of Arnold et al. 2020, "learn2learn: A Library for
    Meta-Learning Research", arXiv:2008.12284. Network, inputs, episodes, outer objective, optimiser, numbers of
    steps and random draws are those of `maml`, and so is everything that differs from the paper; see there. Only
    the inner loop is learn2learn's `MAML`: its `clone` and `adapt`, with alpha as its learning rate.

    The two give the same meta-gradients, hence nearly the same scores; this one shows that what `maml` does is
    MAML as others run it. The budget is equal in steps, not in time: tasks are adapted one after the other instead
    of together, so that a fit takes longer, and scoring more.
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

    def _meta_loss(
        self, network: dict[str, Tensor], supports: LabelledPairs, queries: LabelledPairs, rate: Tensor
    ) -> Tensor:
        return meta_loss(network, supports, queries, rate, self._inner_steps, self._first_order)

    def _adapted(self, supports: LabelledPairs) -> dict[str, Tensor]:
        """One set of parameters per support, adapted by learn2learn: each with a leading dimension E."""
        rate = self._rate(self._alpha, supports.label.shape[-1])
        initial = {name: tensor.detach().requires_grad_() for name, tensor in self._parameters.items()}
        with torch.enable_grad():
            sets = [
                adapted_weights(initial, supports.tasks(e), rate, self._inner_steps, True)
                for e in range(len(supports.label))
            ]
        return {name: torch.stack([one[name].detach() for one in sets]) for name in initial}

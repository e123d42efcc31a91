"""The objective of MAML and its gradient: query loss after adaptation, for the tasks of a meta-step."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .inner_loop import Affine, Descent, LabelledPairs, Pass, Targets, as_layers, as_parameters, outputs, run_pass
from .networks import Parameters, mlp

#: Support rows of the tasks that go through the inner loop and back together: what has to be remembered of its steps
#: then stays near the processor.
_CHUNK_ROWS = 1024


def bce_loss(parameters: Parameters, pairs: LabelledPairs) -> Tensor:
    """Weighted mean binary cross-entropy of each task, ([T]); 0 where every weight is 0 (k = 0)."""
    logit = mlp(parameters, pairs.inputs).squeeze(-1) + pairs.offset.unsqueeze(-1)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, pairs.label, reduction="none")
    return (loss * pairs.share).sum(-1)


@torch.no_grad()
def adapt(
    parameters: Parameters,
    supports: LabelledPairs,
    inner_rate: float | Tensor,
    inner_steps: int,
    names: Collection[str] | None = None,
) -> dict[str, Tensor]:
    """Gradient descent on the supports of T tasks: theta' of Finn et al. 2017, Algorithm 1, line 6.

    Args:
        parameters: the meta-initialisation theta, shared by the tasks or with a leading dimension T.
        supports: (T, k) pairs.
        inner_rate: alpha, a number or a tensor of one. inner_steps: number of full-batch steps; 0 returns theta.
        names: the parameters to adapt (ANIL adapts the last layer); default all.

    Returns:
        theta' without a graph (`meta_loss` has the derivative); adapted parameters have a leading dimension T.
    """
    if inner_steps == 0:
        return dict(parameters)
    start = as_layers(parameters, len(supports.label))
    descent = Descent(start, supports, float(inner_rate), inner_steps, _moves(parameters, names))
    reached = as_parameters(descent.reached)
    return {name: reached[name] if names is None or name in names else value for name, value in parameters.items()}


def meta_loss(
    parameters: Parameters,
    supports: LabelledPairs,
    queries: LabelledPairs,
    inner_rate: float | Tensor,
    inner_steps: int,
    first_order: bool = False,
    names: Collection[str] | None = None,
) -> Tensor:
    """Mean query loss of T tasks after adaptation to their supports: the objective of Algorithm 1, line 8.

    A pure function of its arguments, in their dtype; tasks go through each matrix product together.

    Args:
        parameters: the meta-initialisation theta, shared by the tasks. supports, queries: (T, k) and (T, q) pairs.
        inner_rate, inner_steps, names: see `adapt`. first_order: treat the inner gradients as constants (FOMAML).

    Returns:
        Scalar, differentiable once with respect to `parameters` and `inner_rate`; its gradient is the second-order
        meta-gradient unless `first_order`.
    """
    rate = torch.as_tensor(inner_rate, dtype=supports.inputs.dtype).to(supports.inputs.device)
    if not (torch.is_grad_enabled() and any(value.requires_grad for value in (rate, *parameters.values()))):
        return bce_loss(adapt(parameters, supports, rate, inner_steps, names), queries).mean()
    settings = _Settings(tuple(parameters), _moves(parameters, names), inner_steps, not first_order)
    loss: Tensor = _MetaLoss.apply(settings, supports, queries, rate, *parameters.values())
    return loss


class _Settings(NamedTuple):
    names: tuple[str, ...]
    moving: list[tuple[bool, bool]]
    steps: int
    second_order: bool


class _MetaLoss(torch.autograd.Function):
    """The gradient is made together with the loss, some tasks at a time, and waits for its factor."""

    @staticmethod
    def forward(
        ctx: Any, settings: _Settings, supports: LabelledPairs, queries: LabelledPairs, rate: Tensor, *values: Tensor
    ) -> Tensor:
        parameters = dict(zip(settings.names, values, strict=True))
        tasks, k = supports.label.shape
        each = max(1, _CHUNK_ROWS // max(k, 1))
        total = [rate.new_zeros(()), *(torch.zeros_like(value) for value in (rate, *values))]
        for part in (slice(first, first + each) for first in range(0, tasks, each)):
            found = _loss_and_gradients(settings, parameters, supports.tasks(part), queries.tasks(part), float(rate))
            for sum_, value in zip(total, found, strict=True):
                sum_ += value
        loss, *gradients = (sum_ / tasks for sum_ in total)
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: Tensor) -> tuple[Any, ...]:
        return None, None, None, *(factor * gradient for gradient in ctx.saved_tensors)


def _loss_and_gradients(
    settings: _Settings, parameters: Parameters, supports: LabelledPairs, queries: LabelledPairs, rate: float
) -> list[Tensor]:
    """Sum over the tasks of the query loss, and its derivatives with respect to the rate and each parameter."""
    start = as_layers(parameters, len(queries.label))
    descent = Descent(
        start,
        supports,
        rate,
        settings.steps,
        settings.moving,
        second_order=settings.second_order,
        remember=True,
    )
    first, *uppers = descent.reached
    at = run_pass(outputs(first, queries.inputs), uppers, Targets.of(queries))
    gradient = _gradient(at, queries.inputs)
    by_rate = descent.pull_back(gradient)
    by_name = as_parameters(gradient)
    return [_cross_entropy(at, queries), by_rate, *(by_name[name].sum(0) for name in settings.names)]


def _cross_entropy(at: Pass, pairs: LabelledPairs) -> Tensor:
    """Sum over the tasks of the weighted mean cross-entropy."""
    return torch.nn.functional.binary_cross_entropy_with_logits(
        at.logit.squeeze(-1), pairs.label, weight=pairs.share, reduction="sum"
    )


def _gradient(at: Pass, inputs: Tensor) -> list[Affine]:
    """Of `_cross_entropy` over each task's parameters."""
    read = [(inputs, at.first_delta), *((upper.inputs, upper.delta) for upper in at.uppers)]
    return [Affine(own.mT @ delta, delta.sum(-2, keepdim=True)) for own, delta in read]


def _moves(parameters: Parameters, names: Collection[str] | None) -> list[tuple[bool, bool]]:
    """For weight and bias of each layer, whether it is among `names`; None is all."""
    depth = range(len(parameters) // 2)
    named = parameters if names is None else names
    return [(f"weight{layer}" in named, f"bias{layer}" in named) for layer in depth]

"""Gradient descent on the supports of many tasks at once, and its derivative, both written out.

The inner loop of MAML takes a few steps theta_t+1 = theta_t - alpha g(theta_t) on the weighted cross-entropy of an MLP
(`networks.mlp`). Its derivative is what makes MAML second order: a vector v over the last parameters becomes
v - alpha H(theta_t) v, step by step backwards. The product H v needs one more pass forwards and backwards through the
network (Pearlmutter 1994, "Fast exact multiplication by the Hessian", Neural Computation 6, equations 3-5; R{.} is the
derivative in the direction v). As plain matrix products it needs no graph within a graph, tasks are batched in each
product, and both the step and v's update are part of the product that makes the gradient.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .networks import Parameters


class LabelledPairs(NamedTuple):
    """Pairs as the inner or outer loss sees them; with a leading task dimension T where tasks are batched.

    Attributes:
        inputs: ([T,] n, D). label: ([T,] n) 0/1. weight: ([T,] n), 0 = padding.
        offset: ([T]) added to the logit inside the loss: 0 for natural draws; for balanced draws minus the
            logit of the natural prevalence (the correction for case-control sampling, so that adaptation
            on a balanced support does not raise every probability).
    """

    inputs: Tensor
    label: Tensor
    weight: Tensor
    offset: Tensor


def descend(
    parameters: Parameters,
    support: LabelledPairs,
    rate: Tensor,
    names: Collection[str],
    steps: int,
    first_order: bool,
) -> dict[str, Tensor]:
    """Take `steps` >= 1 gradient steps on each task's weighted mean cross-entropy (`maml.bce_loss`).

    Args:
        parameters: of `mlp`, shared by the tasks or with a leading dimension T. support: (T, k) pairs.
        rate: alpha, one number.
        names: the parameters that move, at least one. first_order: the gradients count as constants.

    Returns:
        All parameters; those that moved have a leading dimension T. Differentiable once, with respect to `parameters`
        and `rate`; the support is a constant.
    """
    live = torch.is_grad_enabled() and any(value.requires_grad for value in (rate, *parameters.values()))
    settings = _Settings(tuple(parameters), frozenset(names), steps, live, live and not first_order)
    moved = _Descent.apply(settings, support, rate, *parameters.values())
    return dict(parameters) | dict(zip((name for name in parameters if name in settings.moving), moved, strict=True))


class _Settings(NamedTuple):
    names: tuple[str, ...]
    moving: frozenset[str]
    steps: int
    differentiated: bool
    second_order: bool

    @property
    def lowest(self) -> int:
        """The lowest layer that moves."""
        return min(int(name.removeprefix("weight").removeprefix("bias")) for name in self.moving)


_EMPTY = torch.empty(0)


class _Layer(NamedTuple):
    """One affine layer at theta_t, after a pass forwards and backwards; what nobody will read is empty.

    Attributes:
        weight, bias: its parameters. inputs: a, what it reads. delta: dL / d(its outputs).
        slope: silu'(z), where a = silu(z); not in the first layer. bend: silu''(z) dL/da, for the second derivative.
    """

    weight: Tensor
    bias: Tensor
    inputs: Tensor
    slope: Tensor = _EMPTY
    delta: Tensor = _EMPTY
    bend: Tensor = _EMPTY


class _Step(NamedTuple):
    """layers: from the lowest. probability: (T, k, 1)."""

    layers: list[_Layer]
    probability: Tensor


class _Direction(NamedTuple):
    """R{.} of each layer, None for zero. below: of z in the layer below. inputs: of a. logit: of the last z."""

    below: list[Tensor | None]
    inputs: list[Tensor | None]
    logit: Tensor


class _Descent(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, settings: _Settings, support: LabelledPairs, rate: Tensor, *values: Tensor
    ) -> tuple[Tensor, ...]:
        alpha = float(rate)
        share = support.weight / support.weight.sum(-1, keepdim=True).clamp(min=1.0)
        theta = dict(zip(settings.names, values, strict=True))
        # The derivative with respect to a layer that stays needs the way down to it.
        lowest = 0 if settings.second_order else settings.lowest
        trace = []
        for _ in range(settings.steps):
            step = _pass(theta, support, share, lowest, settings.second_order)
            theta = _moved(theta, step, settings, alpha)
            if settings.differentiated:
                trace.append(step)
        ctx.settings, ctx.rate, ctx.alpha, ctx.share, ctx.trace, ctx.start = settings, rate, alpha, share, trace, values
        return tuple(theta[name] for name in settings.names if name in settings.moving)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        settings, tasks = ctx.settings, len(ctx.share)
        arrived = iter(gradients)
        # Parameters that stay are no part of the direction, but H has rows for them.
        gradient = {
            name: next(arrived).clone() if name in settings.moving else value.new_zeros(_shape(name, value, tasks))
            for name, value in zip(settings.names, ctx.start, strict=True)
        }
        v = {name: value for name, value in gradient.items() if name in settings.moving}
        rate_gradient = torch.zeros_like(ctx.rate)
        for step in reversed(ctx.trace):
            r = _directional(step, v)
            # <v, g> is the derivative of the loss in the direction v.
            rate_gradient -= (r.logit * step.layers[-1].delta).sum()
            if settings.second_order:
                _subtract_hessian_product(gradient, step, v, r, ctx.share, ctx.alpha)
        shared = (
            value.sum(0) if value.ndim > start.ndim else value
            for value, start in zip(gradient.values(), ctx.start, strict=True)
        )
        return None, None, rate_gradient, *shared


def _pass(theta: Parameters, support: LabelledPairs, share: Tensor, lowest: int, second_order: bool) -> _Step:
    """Forwards, and backwards down to the layer `lowest`."""
    depth = len(theta) // 2
    layers = [_Layer(theta["weight0"], theta["bias0"], support.inputs)]
    sigmoids = []
    for layer in range(1, depth):
        # In place where a tensor is not needed again: less memory is more of it in the cache.
        activation = _affine(layers[-1])
        s = torch.sigmoid(activation)
        activation *= s
        slope = (s + activation).addcmul_(activation, s, value=-1)
        layers.append(_Layer(theta[f"weight{layer}"], theta[f"bias{layer}"], activation, slope))
        sigmoids.append(s)
    probability = torch.sigmoid(_affine(layers[-1]) + support.offset[:, None, None])
    delta = (probability - support.label.unsqueeze(-1)) * share.unsqueeze(-1)
    for layer in reversed(range(lowest, depth)):
        at = layers[layer] = layers[layer]._replace(delta=delta)
        if layer > lowest:
            back = delta @ at.weight.mT
            delta = back * at.slope
            if second_order:
                layers[layer] = at._replace(bend=back.mul_(_curvature(at, sigmoids[layer - 1])))
    return _Step(layers, probability)


def _curvature(at: _Layer, s: Tensor) -> Tensor:
    """silu'' = (1 - s) (s + silu' - s a), with s the sigmoid and a = silu."""
    sum_ = torch.addcmul(at.slope, s, at.inputs, value=-1).add_(s)
    return torch.addcmul(sum_, sum_, s, value=-1)


def _moved(theta: Parameters, step: _Step, settings: _Settings, alpha: float) -> dict[str, Tensor]:
    """theta - alpha g."""
    moved = dict(theta)
    for layer, at in enumerate(step.layers[settings.lowest :], settings.lowest):
        if (name := f"weight{layer}") in settings.moving:
            old = at.weight.expand(len(at.inputs), -1, -1)
            moved[name] = torch.baddbmm(old, at.inputs.mT, at.delta, alpha=-alpha)
        if (name := f"bias{layer}") in settings.moving:
            moved[name] = torch.sub(at.bias, at.delta.sum(-2), alpha=alpha)
    return moved


def _directional(step: _Step, v: Mapping[str, Tensor]) -> _Direction:
    below: list[Tensor | None] = []
    inputs: list[Tensor | None] = []
    out = None
    for layer, at in enumerate(step.layers):
        below.append(out)
        inputs.append(None if out is None else out * at.slope)
        direct = _direct(at, v.get(f"weight{layer}"), v.get(f"bias{layer}"))
        through = None if inputs[-1] is None else inputs[-1] @ at.weight
        out = through if direct is None else direct if through is None else through.add_(direct)
    # Something moves, hence the logit does.
    return _Direction(below, inputs, cast(Tensor, out))


def _direct(at: _Layer, weight: Tensor | None, bias: Tensor | None) -> Tensor | None:
    """What a direction of this layer's own parameters adds to R{z}."""
    if weight is None:
        return None if bias is None else bias.unsqueeze(-2)
    return at.inputs @ weight if bias is None else torch.baddbmm(bias.unsqueeze(-2), at.inputs, weight)


def _subtract_hessian_product(
    gradient: Mapping[str, Tensor], step: _Step, v: Mapping[str, Tensor], r: _Direction, share: Tensor, alpha: float
) -> None:
    """gradient -= alpha H v in place, where v are the tensors of `gradient` that move."""
    r_delta = step.probability * (1 - step.probability) * share.unsqueeze(-1) * r.logit
    for layer in reversed(range(len(step.layers))):
        at, r_below = step.layers[layer], r_delta
        if layer:
            # Before v changes below.
            r_back = r_delta @ at.weight.mT
            if (weight := v.get(f"weight{layer}")) is not None:
                r_back.baddbmm_(at.delta, weight.mT)
            r_below = r_back.mul_(at.slope)
            if (below := r.below[layer]) is not None:
                r_below.addcmul_(at.bend, below)
        gradient[f"weight{layer}"].baddbmm_(at.inputs.mT, r_delta, alpha=-alpha)
        if (moved := r.inputs[layer]) is not None:
            gradient[f"weight{layer}"].baddbmm_(moved.mT, at.delta, alpha=-alpha)
        gradient[f"bias{layer}"].sub_(r_delta.sum(-2), alpha=alpha)
        r_delta = r_below


def _shape(name: str, value: Tensor, tasks: int) -> tuple[int, ...]:
    """Shape of a parameter with its leading dimension T."""
    return (tasks, *value.shape[-2:]) if name.startswith("weight") else (tasks, *value.shape[-1:])


def _affine(layer: _Layer) -> Tensor:
    weight, bias, inputs = layer.weight, layer.bias, layer.inputs
    if weight.ndim == 2 and bias.ndim == 1:
        return torch.nn.functional.linear(inputs, weight.mT, bias)
    tasks = len(inputs)
    return torch.baddbmm(bias.expand(tasks, -1).unsqueeze(-2), inputs, weight.expand(tasks, -1, -1))

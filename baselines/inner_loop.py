"""Gradient descent on the supports of many tasks at once, and its derivative, both written out.

The inner loop of MAML takes a few steps theta_t+1 = theta_t - alpha g(theta_t) on the weighted cross-entropy of an MLP
(`networks.mlp`). Its derivative is what makes MAML second order: a vector v over the last parameters becomes
v - alpha H(theta_t) v, step by step backwards. The product H v needs one more pass forwards and backwards through the
network (Pearlmutter 1994, "Fast exact multiplication by the Hessian", Neural Computation 6, equations 3-5; R{.} is the
derivative in the direction v). As plain matrix products it needs no graph within a graph, tasks are batched in each
product, and both the step and v's update are part of the product that makes the gradient.

The first layer is followed by what it gives on the support, z = x W with a column of ones in x for the bias: x stays,
so a step takes alpha x x' dL/dz from z, and the weights are made up at the end, by x' times the sum of the steps'
dL/dz. It is the same way backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

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

    @property
    def share(self) -> Tensor:
        """([T,] n) of each pair in its task's weighted mean; all 0 where every weight is 0."""
        return self.weight / self.weight.sum(-1, keepdim=True).clamp(min=1.0)

    def tasks(self, part: slice | int) -> LabelledPairs:
        """Some of the T tasks, or one without the task dimension."""
        return LabelledPairs(*(field[part] for field in self))


class Targets(NamedTuple):
    """What a pass compares its logits with, as columns: label, share of the mean (T, n, 1), offset (T, 1, 1)."""

    label: Tensor
    share: Tensor
    offset: Tensor

    @classmethod
    def of(cls, pairs: LabelledPairs) -> Targets:
        """Of (T, n) pairs."""
        return cls(pairs.label.unsqueeze(-1), pairs.share.unsqueeze(-1), pairs.offset[:, None, None])


class Affine(NamedTuple):
    """A layer of T tasks, or a gradient over it: weight (T, in, out), bias (T, 1, out)."""

    weight: Tensor
    bias: Tensor


def as_layers(parameters: Parameters, tasks: int) -> list[Affine]:
    """Parameters of `mlp`, shared by the tasks or with a leading dimension T, as layers of T tasks (views)."""
    return [
        Affine(
            parameters[f"weight{layer}"].expand(tasks, -1, -1),
            parameters[f"bias{layer}"].expand(tasks, -1).unsqueeze(-2),
        )
        for layer in range(len(parameters) // 2)
    ]


def as_parameters(layers: Sequence[Affine]) -> dict[str, Tensor]:
    """`as_layers` the other way round: every parameter with a leading dimension T."""
    return {
        name: value
        for layer, (weight, bias) in enumerate(layers)
        for name, value in ((f"weight{layer}", weight), (f"bias{layer}", bias.squeeze(-2)))
    }


class Upper(NamedTuple):
    """A layer above the first one, after a pass.

    Attributes:
        weight: its weights. inputs: a = silu(z), which it reads, z the outputs of the layer below.
        slope: silu'(z). delta: dL / d(its outputs). half_bend: silu''(z) dL/da / 2; empty where nobody reads it.
    """

    weight: Tensor
    inputs: Tensor
    slope: Tensor
    delta: Tensor
    half_bend: Tensor


class Pass(NamedTuple):
    """uppers: from below. first_delta: dL/dz of the first layer. logit, probability: (T, n, 1)."""

    uppers: list[Upper]
    first_delta: Tensor
    logit: Tensor
    probability: Tensor

    @property
    def last_delta(self) -> Tensor:
        """dL / d(logit)."""
        return self.uppers[-1].delta if self.uppers else self.first_delta


def run_pass(z: Tensor, uppers: Sequence[Affine], targets: Targets, bends: bool = False) -> Pass:
    """Forwards and backwards through each task's weighted mean cross-entropy (`meta_gradient.bce_loss`).

    Args:
        z: (T, n, H) outputs of the first layer. uppers: the layers above it. bends: for second derivatives.
    """
    one = z.new_ones(())
    read: list[tuple[Tensor, Tensor, Tensor]] = []
    for layer in uppers:
        gate = torch.sigmoid(z)
        # In place but for the first z, which a descent follows: less memory is more of it in the cache.
        inputs = torch.mul(z, gate, out=z if read else None)
        # silu' = s + a (1 - s), s the sigmoid and a = silu.
        read.append((gate, inputs, torch.lerp(inputs, one, gate)))
        z = outputs(layer, inputs)
    logit = z + targets.offset
    probability = torch.sigmoid(logit)
    delta = (probability - targets.label) * targets.share
    passed: list[Upper] = []
    for layer, (gate, inputs, slope) in zip(reversed(uppers), reversed(read), strict=True):
        back = _product(delta, layer.weight.mT)
        half_bend = z.new_empty(0)
        if bends:
            # silu'' = (1 - s) (2 silu' - a).
            half_bend = torch.sub(slope, inputs, alpha=0.5).mul_(back)
            half_bend.addcmul_(half_bend, gate, value=-1)
        passed.insert(0, Upper(layer.weight, inputs, slope, delta, half_bend))
        delta = back.mul_(slope)
    return Pass(passed, delta, logit, probability)


class Descent:
    """A few gradient steps of T tasks on the weighted mean cross-entropy of their supports, and their derivative.

    Args:
        start: layers of the T tasks. support: (T, k) pairs. rate: alpha. steps: 0 or more.
        moving: for weight and bias of each layer, whether it moves.
        second_order: `pull_back` takes the gradients for functions of the parameters, not for constants.
        remember: keep what `pull_back` reads.

    Attributes:
        reached: the layers after the last step.
    """

    def __init__(
        self,
        start: Sequence[Affine],
        support: LabelledPairs,
        rate: float,
        steps: int,
        moving: Sequence[tuple[bool, bool]],
        *,
        second_order: bool = False,
        remember: bool = False,
    ) -> None:
        self._x, self._targets, self._rate = support.inputs, Targets.of(support), rate
        self._moving, self._second_order = moving, second_order
        self._moving_x = _with_ones(self._x, *moving[0])
        # The smaller product first: x' dL/dz, or x x' once and for all.
        pairs, width = self._moving_x.shape[-2:]
        self._kernel = self._moving_x @ self._moving_x.mT if pairs <= 2 * width else None
        self._trace: list[Pass] = []
        first, *uppers = start
        z = outputs(first, self._x)
        first_deltas = torch.zeros_like(z)
        for _ in range(steps):
            at = run_pass(z, uppers, self._targets, bends=second_order)
            self._follow(z, at.first_delta)
            first_deltas += at.first_delta
            uppers = [
                self._moved(layer, upper.inputs, upper.delta, moves)
                for layer, upper, moves in zip(uppers, at.uppers, moving[1:], strict=True)
            ]
            if remember:
                self._trace.append(at)
        self.reached = [self._moved(first, self._x, first_deltas, moving[0]), *uppers]

    def _follow(self, z: Tensor, delta: Tensor) -> None:
        """z -= alpha x x' delta, in place: what a step does to the outputs of the first layer."""
        if self._kernel is not None:
            z.baddbmm_(self._kernel, delta, alpha=-self._rate)
        else:
            z.baddbmm_(self._moving_x, self._moving_x.mT @ delta, alpha=-self._rate)

    def _moved(self, layer: Affine, inputs: Tensor, delta: Tensor, moves: tuple[bool, bool]) -> Affine:
        """theta - alpha g of a layer whose inputs and dL/dz are given."""
        weight, bias = layer
        if moves[0]:
            weight = torch.baddbmm(weight, inputs.mT, delta, alpha=-self._rate)
        if moves[1]:
            bias = torch.sub(bias, delta.sum(-2, keepdim=True), alpha=self._rate)
        return Affine(weight, bias)

    def pull_back(self, gradient: Sequence[Affine]) -> Tensor:
        """Turn a gradient over the parameters reached into one over those of the start; once, and only if `remember`.

        Args:
            gradient: dL / d(reached) of every layer, moving or not; changed in place to dL / d(start).

        Returns:
            Scalar dL / d(rate).
        """
        # What stays has no part in the direction; H has rows for it all the same.
        v = [
            Affine(*(own if moves else torch.zeros_like(own) for own, moves in zip(layer, flags, strict=True)))
            for layer, flags in zip(gradient, self._moving, strict=True)
        ]
        r_first = outputs(v[0], self._x)
        first_deltas = torch.zeros_like(r_first)
        by_rate = self._x.new_zeros(())
        while self._trace:
            # Gone once read: its memory serves the next one.
            at = self._trace.pop()
            below, r_inputs, r_logit = _direction(at, v, r_first)
            # <v, g> is the derivative of the loss in the direction v.
            by_rate -= (r_logit * at.last_delta).sum()
            if not self._second_order:
                continue
            r_delta = at.probability * (1 - at.probability) * self._targets.share * r_logit
            for number in reversed(range(len(at.uppers))):
                upper = at.uppers[number]
                # Before v changes.
                r_back = _product(r_delta, upper.weight.mT).baddbmm_(upper.delta, v[number + 1].weight.mT)
                self._subtract(gradient[number + 1], upper.inputs, r_delta)
                gradient[number + 1].weight.baddbmm_(r_inputs[number].mT, upper.delta, alpha=-self._rate)
                r_delta = r_back.mul_(upper.slope).addcmul_(upper.half_bend, below[number], value=2)
            self._follow(r_first, r_delta)
            first_deltas += r_delta
        self._subtract(gradient[0], self._x, first_deltas)
        return by_rate

    def _subtract(self, layer: Affine, inputs: Tensor, delta: Tensor) -> None:
        """Take alpha times a layer's gradient from it, in place."""
        layer.weight.baddbmm_(inputs.mT, delta, alpha=-self._rate)
        layer.bias.sub_(delta.sum(-2, keepdim=True), alpha=self._rate)


def _with_ones(inputs: Tensor, weight: bool, bias: bool) -> Tensor:
    """x with a column of ones, as far as `weight` and `bias` move: (T, k, in + 1), in, 1 or 0 columns."""
    columns = [inputs] if weight else []
    if bias:
        columns.append(inputs.new_ones((*inputs.shape[:-1], 1)))
    return torch.cat(columns, dim=-1) if columns else inputs[..., :0]


def outputs(layer: Affine, inputs: Tensor) -> Tensor:
    """(T, n, out) of (T, n, in)."""
    return torch.baddbmm(layer.bias, inputs, layer.weight)


def _direction(at: Pass, v: Sequence[Affine], r: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """R{.} of z below each upper layer, of its inputs, and of the logit, from `r` of the first layer's z."""
    below, r_inputs = [], []
    for upper, own in zip(at.uppers, v[1:], strict=True):
        below.append(r)
        r_inputs.append(r * upper.slope)
        r = outputs(own, upper.inputs).baddbmm_(r_inputs[-1], upper.weight)
    return below, r_inputs, r


def _product(delta: Tensor, weight: Tensor) -> Tensor:
    """delta @ weight; of one column and one row (the last layer) it is no matrix product."""
    return delta * weight if delta.shape[-1] == 1 else delta @ weight

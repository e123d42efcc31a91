"""One gradient step of many tasks at once, written out: the inner loop of MAML without automatic differentiation.

The gradient of the weighted cross-entropy of an MLP (`networks.mlp`) is back-propagation, a few matrix products. As
plain operations it needs no graph within the graph, all tasks share each product, and the step into the new weights is
part of the product that makes the gradient. Second derivatives come from differentiating these operations.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .networks import Parameters


def gradient_step(
    parameters: Parameters,
    inputs: Tensor,
    label: Tensor,
    weight: Tensor,
    offset: Tensor,
    rate: Mapping[str, float | Tensor],
    first_order: bool,
) -> dict[str, Tensor]:
    """theta - rate * gradient of each task's weighted mean cross-entropy (`maml.bce_loss`).

    Args:
        parameters: of `mlp`, shared by the tasks or with a leading dimension T. inputs: (T, k, D).
        label, weight: (T, k). offset: (T,), added to the logits.
        rate: scalars by parameter; what it does not name stays as it is.
        first_order: the gradient counts as a constant.

    Returns:
        New parameters; those that moved have a leading dimension T.
    """
    used = {name: tensor.detach() for name, tensor in parameters.items()} if first_order else parameters
    depth = len(parameters) // 2
    before, activation = [], [inputs]
    for layer in range(depth):
        before.append(_affine(activation[-1], used[f"weight{layer}"], used[f"bias{layer}"]))
        activation.append(torch.nn.functional.silu(before[-1]))
    share = weight / weight.sum(-1, keepdim=True).clamp(min=1.0)
    delta = (torch.sigmoid(before[-1] + offset[:, None, None]) - label.unsqueeze(-1)) * share.unsqueeze(-1)
    lowest = min(int(name.removeprefix("weight").removeprefix("bias")) for name in rate)
    moved = dict(parameters)
    for layer in reversed(range(lowest, depth)):
        if (name := f"weight{layer}") in rate:
            old = parameters[name].expand(len(inputs), -1, -1)
            moved[name] = torch.baddbmm(old, activation[layer].mT, -rate[name] * delta)
        if (name := f"bias{layer}") in rate:
            moved[name] = parameters[name] - rate[name] * delta.sum(-2)
        if layer > lowest:
            delta = _SiluSlope.apply(delta @ used[f"weight{layer}"].mT, before[layer - 1])
    return moved


def _affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if weight.ndim == 2:
        return torch.nn.functional.linear(inputs, weight.mT, bias.squeeze(0) if bias.ndim == 2 else bias)
    return torch.baddbmm(bias.expand(len(weight), -1).unsqueeze(-2), inputs, weight)


class _SiluSlope(torch.autograd.Function):
    """delta * silu'(x); its own derivative, which torch would take apart into a dozen operations, in five."""

    @staticmethod
    def forward(ctx, delta: Tensor, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        """Elementwise, (T, k, H)."""
        ctx.save_for_backward(delta, x)
        return torch.ops.aten.silu_backward(delta, x)

    @staticmethod
    def backward(ctx, slope: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
        """silu'' = s (1 - s) (2 + x (1 - 2 s)) with s the sigmoid of x."""
        delta, x = ctx.saved_tensors
        s = torch.sigmoid(x)
        curvature = torch.addcmul(x, x, s, value=-2).add_(2).mul_(torch.addcmul(s, s, s, value=-1))
        return torch.ops.aten.silu_backward(slope, x), curvature.mul_(delta).mul_(slope)

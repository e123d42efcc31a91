"""A small multilayer perceptron as a pure function, and the optimiser loop that its users share.

Weights live in a dictionary rather than in a module, so that one set, or a batch of sets (one per task),
goes through the same function: that is what MAML's inner loop and its batched scoring need.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..methods.device import device

#: `weight0` ([B,] in, out), `bias0` ([B,] out), `weight1`, ...
Parameters = Mapping[str, Tensor]

#: Rows, over all sets of parameters, that one forward pass of `mlp_in_chunks` takes: hidden layers then stay in the
#: processor's cache.
_CHUNK_ROWS = 2048
#: Fewer rows per set than this and matrix products lose more than the cache gains.
_LEAST_ROWS = 128


def init_mlp(sizes: Sequence[int], generator: torch.Generator, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Weights of an MLP with `sizes` = (input, hidden..., output) units.

    Weights and biases are uniform in +-1/sqrt(fan-in), drawn from `generator` alone.
    """
    parameters: dict[str, Tensor] = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        bound = fan_in**-0.5
        for name, shape in ((f"weight{layer}", (fan_in, fan_out)), (f"bias{layer}", (fan_out,))):
            parameters[name] = (torch.rand(shape, generator=generator, dtype=dtype) * 2 - 1) * bound
    return parameters


def mlp(parameters: Parameters, inputs: Tensor) -> Tensor:
    """The network: affine layers with SiLU between them, the last one linear.

    SiLU is smooth: second-order meta-gradients exist everywhere, which ReLU would not give.

    Args:
        parameters: as made by `init_mlp`, or some of them with a leading batch dimension B.
        inputs: (..., n, in); with batched parameters (n, in) or (B, n, in).

    Returns:
        (..., n, out), or (B, n, out) with batched parameters.
    """
    depth = len(parameters) // 2
    hidden = inputs
    for layer in range(depth):
        hidden = _affine(parameters[f"weight{layer}"], parameters[f"bias{layer}"], hidden)
        if layer + 1 < depth:
            hidden = torch.nn.functional.silu(hidden, inplace=not hidden.requires_grad)
    return hidden


def _affine(weight: Tensor, bias: Tensor, inputs: Tensor) -> Tensor:
    if weight.ndim == 2 and bias.ndim == 1:
        return torch.nn.functional.linear(inputs, weight.mT, bias)
    batch = len(weight) if weight.ndim == 3 else len(bias)
    weight, bias = weight.expand(batch, -1, -1), bias.expand(batch, -1).unsqueeze(-2)
    return torch.baddbmm(bias, inputs.expand(batch, -1, -1), weight)


@torch.no_grad()
def mlp_in_chunks(parameters: Parameters, inputs: Tensor) -> Tensor:
    """`mlp` without gradients for (n, in) inputs of any length, in bounded memory: ([B,] n, out)."""
    sets = max(tensor[..., 0].numel() for name, tensor in parameters.items() if name.startswith("bias"))
    rows = max(_LEAST_ROWS, _CHUNK_ROWS // sets)
    chunks = inputs.split(rows) if len(inputs) else (inputs,)
    return torch.cat([mlp(parameters, chunk) for chunk in chunks], dim=-2)


def count(parameters: Parameters) -> int:
    """Number of scalars in a set of parameters."""
    return sum(tensor.numel() for tensor in parameters.values())


def optimise(
    parameters: Parameters,
    loss: Callable[[dict[str, Tensor]], Tensor],
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    undecayed: Collection[str] = (),
) -> dict[str, Tensor]:
    """Minimise a stochastic loss by AdamW under a one-cycle learning rate (10 % warm-up, cosine decay).

    Args:
        parameters: the start, on any device; not changed.
        loss: draws its own minibatch and returns a scalar; called once per step.
        steps: number of updates, fixed in advance.
        learning_rate: the peak.
        weight_decay: decoupled decay of the weight matrices; biases and scalars are not decayed.
        undecayed: names of matrices that are not decayed either.

    Returns:
        Detached copies after the last step, on the device of `methods.device`.
    """
    live = {name: tensor.detach().to(device(), copy=True).requires_grad_() for name, tensor in parameters.items()}
    decayed = {name for name, tensor in live.items() if tensor.ndim >= 2 and name not in undecayed}
    optimiser = torch.optim.AdamW(
        [
            {"params": [live[name] for name in live if name in decayed], "weight_decay": weight_decay},
            {"params": [live[name] for name in live if name not in decayed], "weight_decay": 0.0},
        ],
        lr=learning_rate,
    )
    # Its warm-up must last more than one step; with fewer than 20 steps the decay is cut short.
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=max(steps, 20), pct_start=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(live).backward()
        optimiser.step()
        schedule.step()
    return {name: tensor.detach() for name, tensor in live.items()}

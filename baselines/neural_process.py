"""Conditional neural process (Garnelo et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .episodic import EncodedSupport, EpisodicLearner, part, prefixed
from .networks import Parameters, init_mlp, mlp

#: Support size whose fact log(1 + n) / log(1 + this) is 1.
_LARGE_SUPPORT = 128


def set_mean(encoded: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The representation r = sum_i w_i r_i / sum_i w_i and the number of pairs with weight.

    Args:
        encoded: (T, k, R). weight: (T, k) >= 0, 0 = padding.

    Returns:
        (T, R), zeros where no pair has weight; (T,).
    """
    total = weight.sum(dim=-1)
    mean = (weight.unsqueeze(-2) @ encoded).squeeze(-2) / torch.where(total > 0, total, 1.0)[..., None]
    return mean, (weight > 0).sum(dim=-1).to(encoded.dtype)


class NeuralProcess(EpisodicLearner):
    """Encode each labelled pair of the support, average, and decode a query pair given the average.

    Garnelo et al. 2018, "Conditional Neural Processes", ICML, equations 1-3: r_i = h(x_i, y_i),
    r = mean of r_i, phi = g(x, r); phi is the logit here. h and g are MLPs on per-cell ranked features and
    log10 distance.

    What differs from the paper: (a) the mean of an empty set is r = 0 exactly, nothing being added to the
    sum, so that k = 0 is a valid support and means g(x, 0); (b) g is told the size of the support as
    log(1 + n), as the mean of 8 pairs is less certain than that of 128; (c) the label enters h standardised
    by the training prevalence, as positives are rare; (d) the mean over a balanced support weights pairs by
    the inverse of their sampling probability; (e) support and query are disjoint, with the paper the context
    is part of the target; (f) inputs carry noise and weights decay.

    Coordinates are read for meta-training only: support and query of an episode share no chromosome.
    Without a support, or without its labels, the scores are g(x, 0).
    """

    name = "neural-process"
    summary = "Conditional neural process: a decoder given the mean of the encoded support"
    paper = "Garnelo et al. 2018, ICML, equations 1-3"
    settings: ClassVar = (
        {"representation": 64},
        {"representation": 16},
        {"representation": 128},
        {"hidden": [128, 128]},
    )

    # The decoder runs for every support and query pair: half the cost, and no solver needs the digits.
    _head_dtype = torch.float32

    def __init__(self, hidden: tuple[int, ...] | list[int] = (64, 64), representation: int = 64) -> None:
        self._hidden = tuple(hidden)
        self._representation = representation

    def config(self) -> Mapping[str, object]:
        """Hidden units per layer of encoder and decoder, and dimensions of r."""
        return {"hidden": list(self._hidden), "representation": self._representation}

    def _start(self, width: int, generator: torch.Generator) -> dict[str, Tensor]:
        r = self._representation
        encoder = init_mlp([width + 1, *self._hidden, r], generator)
        decoder = init_mlp([width + r + 1, *self._hidden, 1], generator)
        # The last bias starts at the natural log odds.
        decoder[f"bias{len(self._hidden)}"] = torch.tensor([float(np.log(self._prevalence / (1 - self._prevalence)))])
        return prefixed("encode", encoder) | prefixed("decode", decoder)

    def _encode(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        return inputs

    def _adapt(self, parameters: Parameters, support: EncodedSupport) -> tuple[Tensor, ...]:
        p = support.prevalence
        standard = (support.label - p) / (p * (1 - p)) ** 0.5
        encoded = mlp(part(parameters, "encode"), torch.cat([support.code, standard[..., None]], dim=-1))
        mean, size = set_mean(encoded, support.natural_weight())
        fact = size.log1p() / float(np.log1p(_LARGE_SUPPORT))
        return (torch.cat([mean, fact[..., None]], dim=-1),)

    def _predict(self, parameters: Parameters, state: tuple[Tensor, ...], query: Tensor) -> Tensor:
        # The first layer of g is linear in (x, r): x is multiplied once for all supports, r once for all queries.
        decoder = part(parameters, "decode")
        width = query.shape[-1]
        of_x = query @ decoder["weight0"][:width]
        of_r = state[0] @ decoder["weight0"][width:] + decoder["bias0"]
        hidden = torch.nn.functional.silu(of_x + of_r.unsqueeze(-2))
        rest = {
            f"{kind}{layer - 1}": decoder[f"{kind}{layer}"]
            for layer in range(1, len(decoder) // 2)
            for kind in ("weight", "bias")
        }
        return mlp(rest, hidden).squeeze(-1)

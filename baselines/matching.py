"""Matching network (Vinyals et al. 2016) for pairs at natural prevalence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .episodic import STRENGTH_SPEED, EncodedSupport, EpisodicLearner, part, prefixed
from .networks import Parameters, init_mlp, mlp

#: Meta-learned pairs of each label that stand for the training cells.
_MEMORY = 4
#: Start of their joint weight, in pairs. A large start would let the network ignore supports for good.
_START_MASS = 4.0
#: Start of the factor on the cosine; without one, attention is nearly uniform.
_START_SHARPNESS = 5.0


def attention_logits(query: Tensor, keys: Tensor, label: Tensor, weight: Tensor, sharpness: Tensor) -> Tensor:
    """Log odds of sum_i a_i y_i, a_i = w_i exp(s cos(f, g_i)) / sum_j w_j exp(s cos(f, g_j)).

    Equations 1 and 2 of Vinyals et al. 2016 where every w is 1 and s = 1. Both labels must have weight.

    Args:
        query: ([T,] n, H) embeddings f. keys: (T, m, H) embeddings g. label: (T, m) 0/1.
        weight: (T, m) >= 0. sharpness: s, a scalar.

    Returns:
        (T, n).
    """
    unit = torch.nn.functional.normalize
    cosine = unit(query, dim=-1) @ unit(keys, dim=-1).transpose(-1, -2)

    def log_mass(chosen: Tensor) -> Tensor:
        # Padding and the other label: a weight of 0, kept finite so that its gradient is 0 and not NaN.
        return torch.logsumexp(sharpness * cosine + (weight * chosen).clamp(min=1e-30).log().unsqueeze(-2), dim=-1)

    return log_mass(label) - log_mass(1 - label)


class MatchingNetwork(EpisodicLearner):
    """Attention over the support's labels by cosine similarity in an episodically learned embedding.

    Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra 2016, "Matching Networks for One Shot Learning",
    NeurIPS: y(x) = sum_i a(x, x_i) y_i (equation 1), a the softmax of cosines (equation 2). The embedding
    is an MLP on per-cell ranked features and log10 distance, the same one for query and support (f = g).

    What differs from the paper: (a) the support is joined by a few meta-learned pairs of either label whose
    weights are learned too, a prior from the training cells that a support outweighs as it grows: k = 0 and
    supports of one class are valid, and the share of positives is the natural one; (b) the cosine has a
    learned factor; (c) no full-context embeddings (the LSTM over the support); (d) pairs of a balanced
    support are weighted by the inverse of their sampling probability; (e) inputs carry noise and weights
    decay.

    Coordinates are read for meta-training only: support and query of an episode share no chromosome.
    Without a support, or without its labels, the scores are those of the meta-learned pairs alone.
    """

    name = "matching"
    summary = "Matching network: attention over the support's labels by cosine in a learned embedding"
    paper = "Vinyals et al. 2016, NeurIPS, equations 1-2"
    settings: ClassVar = ({"embedding": 32}, {"embedding": 8}, {"embedding": 64}, {"hidden": [128, 128]})

    def __init__(self, hidden: tuple[int, ...] | list[int] = (64, 64), embedding: int = 32) -> None:
        self._hidden = tuple(hidden)
        self._embedding = embedding

    def config(self) -> Mapping[str, object]:
        """Hidden units per layer and dimensions of the embedding."""
        return {"hidden": list(self._hidden), "embedding": self._embedding}

    def _start(self, width: int, generator: torch.Generator) -> dict[str, Tensor]:
        share = torch.tensor([1 - self._prevalence, self._prevalence])[:, None]
        return prefixed("embed", init_mlp([width, *self._hidden, self._embedding], generator)) | {
            # (1, 2 * memory, H): negatives first. A leading 1 broadcasts over tasks.
            "memory": torch.randn((1, 2 * _MEMORY, self._embedding), generator=generator) * self._embedding**-0.5,
            "log_mass": (_START_MASS * share / _MEMORY).expand(2, _MEMORY).reshape(-1).log() / STRENGTH_SPEED,
            "log_sharpness": torch.tensor([float(np.log(_START_SHARPNESS)) / STRENGTH_SPEED]),
        }

    def _undecayed(self) -> set[str]:
        return {"memory", f"embed.weight{len(self._hidden)}"}

    def _encode(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        return mlp(part(parameters, "embed"), inputs)

    def _adapt(self, parameters: Parameters, support: EncodedSupport) -> tuple[Tensor, ...]:
        tasks = len(support.code)
        mass = (STRENGTH_SPEED * parameters["log_mass"]).exp().expand(tasks, -1)
        known = torch.zeros_like(mass)
        known[:, _MEMORY:] = 1.0
        keys = torch.cat([parameters["memory"].expand(tasks, -1, -1), support.code], dim=1)
        return keys, torch.cat([known, support.label], 1), torch.cat([mass, support.natural_weight()], 1)

    def _predict(self, parameters: Parameters, state: tuple[Tensor, ...], query: Tensor) -> Tensor:
        keys, label, weight = state
        return attention_logits(query, keys, label, weight, (STRENGTH_SPEED * parameters["log_sharpness"]).exp())

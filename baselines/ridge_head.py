"""Ridge regression head, differentiated through (R2-D2, Bertinetto et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .episodic import STRENGTH_SPEED, EncodedSupport, EpisodicLearner, part, prefixed
from .networks import Parameters, init_mlp, mlp

#: Start of lambda for codes of unit mean square: about the support size at which half the way is gone.
_START_LAMBDA = 8.0
#: Start of the factor from the regression of labels -1/+1 to the logit.
_START_SCALE = 2.0


def ridge_head(code: Tensor, residual: Tensor, weight: Tensor, penalty: Tensor) -> Tensor:
    """argmin_d sum_i w_i (r_i - x_i d)^2 + lambda |d|^2, in closed form.

    Equation 4 of Bertinetto et al. 2019 for k >= H, their Woodbury form, equation 5, for k < H: the smaller
    of a (H, H) and a (k, k) system is solved.

    Args:
        code: (T, k, H) rows x. residual: (T, k). weight: (T, k) >= 0, 0 = padding. penalty: lambda > 0.

    Returns:
        (T, H); zeros for k = 0.
    """
    k, width = code.shape[-2:]
    if k == 0:
        return code.new_zeros((*code.shape[:-2], width))
    root = weight.sqrt()
    x, r = code * root[..., None], (residual * root)[..., None]
    transposed = x.transpose(-1, -2)
    if k < width:
        gram = x @ transposed + penalty * torch.eye(k, dtype=x.dtype, device=x.device)
        return (transposed @ torch.linalg.solve(gram, r)).squeeze(-1)
    gram = transposed @ x + penalty * torch.eye(width, dtype=x.dtype, device=x.device)
    return torch.linalg.solve(gram, transposed @ r).squeeze(-1)


class RidgeHead(EpisodicLearner):
    """A linear head fitted to each support by ridge regression, in an embedding trained through that solution.

    Bertinetto, Henriques, Torr & Vedaldi 2019, "Meta-learning with differentiable closed-form solvers",
    ICLR (R2-D2): W = X^T (X X^T + lambda I)^-1 Y, logit = scale * x W + bias, with lambda, scale and bias
    learned together with the embedding, an MLP on per-cell ranked features and log10 distance.

    What differs from the paper: (a) the solution is shrunk toward a meta-learned head W_0 instead of zero,
    W = W_0 + X^T (X X^T + lambda I)^-1 (Y - X W_0), so that k = 0 and small or one-class supports stay near
    a pooled learner; (b) labels are -1/+1 in one column, and codes carry a constant column (an intercept,
    shrunk like the rest); (c) a balanced support is regressed with the case-control offset, minus the
    natural log odds on the scale of the logit; (d) inputs carry noise and weights decay.

    Coordinates are read for meta-training only: support and query of an episode share no chromosome.
    Without a support, or without its labels, the scores are those of W_0.
    """

    name = "ridge-head"
    summary = "R2-D2: closed-form ridge regression head on an embedding trained through it"
    paper = "Bertinetto et al. 2019, ICLR, equations 4-6"
    settings: ClassVar = ({"embedding": 32}, {"embedding": 8}, {"embedding": 64}, {"hidden": [128, 128]})

    def __init__(self, hidden: tuple[int, ...] | list[int] = (64, 64), embedding: int = 32) -> None:
        self._hidden = tuple(hidden)
        self._embedding = embedding

    def config(self) -> Mapping[str, object]:
        """Hidden units per layer and dimensions of the embedding."""
        return {"hidden": list(self._hidden), "embedding": self._embedding}

    def _start(self, width: int, generator: torch.Generator) -> dict[str, Tensor]:
        # The head starts at the mean label, and scale and bias turn that into the natural log odds.
        mean = 2 * self._prevalence - 1
        head = torch.zeros(self._embedding + 1)
        head[-1] = mean
        log_odds = float(np.log(self._prevalence / (1 - self._prevalence)))
        return prefixed("embed", init_mlp([width, *self._hidden, self._embedding], generator)) | {
            "head": head,
            "log_lambda": torch.tensor([float(np.log(_START_LAMBDA)) / STRENGTH_SPEED]),
            "log_scale": torch.tensor([float(np.log(_START_SCALE))]),
            "bias": torch.tensor([log_odds - _START_SCALE * mean]),
        }

    def _undecayed(self) -> set[str]:
        return {f"embed.weight{len(self._hidden)}"}

    def _encode(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        code = mlp(part(parameters, "embed"), inputs)
        return torch.cat([code, torch.ones_like(code[..., :1])], dim=-1)

    def _adapt(self, parameters: Parameters, support: EncodedSupport) -> tuple[Tensor, ...]:
        head = parameters["head"]
        # A shift of the logit is a shift by offset / scale of the regressed label.
        shift = support.offset() / parameters["log_scale"].exp()
        residual = 2 * support.label - 1 - support.code @ head - shift
        penalty = (STRENGTH_SPEED * parameters["log_lambda"]).exp()
        return (head + ridge_head(support.code, residual, support.weight, penalty),)

    def _predict(self, parameters: Parameters, state: tuple[Tensor, ...], query: Tensor) -> Tensor:
        regressed = (query @ state[0].unsqueeze(-1)).squeeze(-1)
        return parameters["log_scale"].exp() * regressed + parameters["bias"]

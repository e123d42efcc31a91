"""Closed-form reading of a labelled support: the most probable parameters of its cell, for any coupling."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import jvp, vmap
from torch.nn.functional import softplus

from ....tasks.errors import MethodError

#: From parameters of cells to logits.
Logits = Callable[[Tensor], Tensor]
#: A step that raises the objective is tried at this many lengths 1, 1/2, 1/4, ... and then dropped.
_HALVINGS = 10
#: Training cells from which the directions of an interaction are half learned.
_HALF_LEARNED = 16


def transfer(n_cells: int) -> float:
    """n / (n + 16): the share of a new cell's interaction that directions learned from n training cells can carry.

    Along a direction that n cells have shown, n cells' worth of signal stand against a noise worth about 16 cells; the
    share is that of a random effect's shrinkage. With four cells the directions are mostly those cells' own, and a
    support read along them moves a new cell's ranking by noise; with many they are those along which cells differ.
    """
    return n_cells / (n_cells + _HALF_LEARNED)


class Posterior(nn.Module):
    """Maximum a posteriori parameters of E cells under a Gaussian prior around another reading of them.

    Minimises, for each cell on its own,

        -sum_i w_i log p(y_i | l_i(theta)) + 1/2 (theta - mu)' Lambda (theta - mu),
        Lambda = diag(exp(log_precision) / share^2),

    by Fisher scoring (McCullagh & Nelder 1989) from theta = mu with step halving. The Jacobian of the logits comes
    from automatic differentiation, so any coupling will do; for logits affine in theta the steps are Newton's.
    Platt scaling (Platt 1999) is the limit of a flat prior and the affine coupling.

    The steps are unrolled in the graph: mu and the log precision are trained through them. The prior keeps separable
    supports and supports of one class finite, and a support without a known label returns mu exactly.

    Args:
        size: P, raw parameters of a cell. prior_sd: that the prior's standard deviations start from, > 0.
        steps: of Fisher scoring, >= 1; six suffice for the couplings of this package.
        share: (P,) fixed factors > 0 of the learned standard deviations, None = 1; see `transfer`.
            Whoever makes the prior mean draws it towards the default by the same factors.

    Raises:
        MethodError: an argument outside its range.
    """

    share: Tensor

    def __init__(self, size: int, *, prior_sd: float = 1.0, steps: int = 6, share: Tensor | None = None) -> None:
        super().__init__()
        if size < 1 or steps < 1 or not prior_sd > 0:
            raise MethodError(
                f"A posterior needs parameters, a prior_sd > 0 and at least one step, not {size}, {prior_sd}, {steps}."
            )
        self.size, self.steps = size, steps
        self.log_precision = nn.Parameter(torch.full((size,), -2.0 * math.log(prior_sd)))
        self.register_buffer("share", torch.ones(size) if share is None else share, persistent=False)

    def forward(
        self, mu: Tensor, logits: Logits, label: Tensor, weight: Tensor, *, rows: Logits | None = None
    ) -> Tensor:
        """Most probable parameters.

        Args:
            mu: (E, P) prior means. logits: from parameters (E, P) to logits (E, k), cell by cell.
            label: (E, k) 0/1, anything where the weight is 0. weight: (E, k) >= 0, 0 = padding or unknown label.
            rows: the same logits with parameters for every row, (E * k, P) to (E * k,) or (E * k, 1). Optional: with
                it one backward pass gives the whole Jacobian, several times faster than P forward directions.

        Returns:
            (E, P).

        Raises:
            MethodError: mu does not have P columns.
        """
        if mu.shape[1] != self.size:
            raise MethodError(f"The posterior is of {self.size} parameters, and the prior mean has {mu.shape[1]}.")
        known = weight > 0
        if not bool(known.any()):
            return mu
        label, weight = label.to(mu.dtype), weight.to(mu.dtype)
        # In units of the prior's standard deviation the prior is N(0, I) and every system well conditioned.
        sd = self.share.to(mu.dtype) * torch.exp(-0.5 * self.log_precision.to(mu.dtype))

        def objective(white: Tensor, value: Tensor | None = None) -> Tensor:
            value = logits(mu + sd * white) if value is None else value
            loss = weight * (softplus(value) - label * value)
            return torch.where(known, loss, 0.0).sum(1) + white.square().sum(1) / 2

        white = torch.zeros_like(mu)
        eye = torch.eye(self.size, dtype=mu.dtype, device=mu.device)
        by_rows = None if torch.is_inference_mode_enabled() else rows  # no backward pass exists there
        for _ in range(self.steps):
            theta = mu + sd * white
            if by_rows is None:
                value, slope = _forward_mode(logits, theta, eye)
            else:
                value, slope = _by_rows(by_rows, theta, known.shape[1])
            value = torch.where(known, value, 0.0)
            jacobian = torch.where(known.unsqueeze(2), slope, 0.0) * sd
            probability = torch.sigmoid(value)
            residual = (weight * (label - probability)).masked_fill(~known, 0.0)
            score = (residual.unsqueeze(1) @ jacobian).squeeze(1) - white
            share = (weight * probability * (1 - probability)).unsqueeze(2) * jacobian
            step = torch.linalg.solve(jacobian.transpose(1, 2) @ share + eye, score)
            with torch.no_grad():
                length = _length(objective, objective(white, value), white, step)
            white = white + length * step
        return mu + sd * white


def _forward_mode(logits: Logits, theta: Tensor, eye: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (E, k) and Jacobian (E, k, P), P directions at once."""

    def along(direction: Tensor) -> Tensor:
        tangent: Tensor = jvp(logits, (theta,), (direction.expand_as(theta),))[1]
        return tangent

    return logits(theta), vmap(along, out_dims=-1)(eye)


def _by_rows(rows: Logits, theta: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Logits (E, k) and Jacobian (E, k, P), by one backward pass: each row has a copy of its cell's parameters."""
    unrolled = torch.is_grad_enabled()
    with torch.enable_grad():
        copies = theta.unsqueeze(1).expand(-1, k, -1).reshape(-1, theta.shape[1])
        if not copies.requires_grad:
            copies = copies.detach().requires_grad_()
        value = rows(copies).reshape(theta.shape[0], k)
        (slope,) = torch.autograd.grad(value.sum(), copies, create_graph=unrolled)
    slope = slope.reshape(theta.shape[0], k, -1)
    return (value, slope) if unrolled else (value.detach(), slope)


def _length(objective: Callable[[Tensor], Tensor], before: Tensor, at: Tensor, step: Tensor) -> Tensor:
    """(E, 1) share of the step, 1 or a power of 1/2, by which the objective of each cell does not rise; else 0."""
    # Close to the minimum the difference drowns in rounding, and the full step is the right one.
    allowed = before + 8 * torch.finfo(before.dtype).eps * before.abs()
    length = torch.ones_like(before)
    for _ in range(_HALVINGS):
        worse = ~(objective(at + length.unsqueeze(1) * step) <= allowed)
        if not bool(worse.any()):
            return length.unsqueeze(1)
        length = torch.where(worse, length / 2, length)
    return torch.where(worse, 0.0, length).unsqueeze(1)

"""Prototypical network with shrunk Mahalanobis distances (Bateni et al. 2020)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..methods.base import Balance, FitContext, PairTable, Supports, TrainTable
from ..methods.device import placed
from .meta_training import EpisodeSampler
from .networks import Parameters, mlp_in_chunks, optimise
from .prototypical import PrototypicalNetwork, class_sums, leave_one_out_means, shrunken_prototypes

_STEPS = 200
_TASKS = 16
_QUERY = 64
_SHOTS = (0, 16, 32, 64, 128)
_BALANCED_SHARE = 0.25
_LEARNING_RATE = 3e-2
#: Stream of the second phase, so that the embedding is that of the prototypical network with the same seed.
_STREAM = 1
#: Query pairs that are scored together under all supports; bounds the memory of batched scoring.
_SCORE_ROWS = 2048


def shrunken_covariances(
    embedding: Tensor, label: Tensor, weight: Tensor, prior: Tensor, class_n: Tensor, task_n: Tensor, beta: Tensor
) -> Tensor:
    """Q_c = l_c S_c + (1 - l_c) S + beta I, l_c = n_c / (n_c + class_n): equation 2 of Bateni et al. 2020.

    S_c is the covariance of the support's pairs of class c, S = (k S_task + task_n P) / (k + task_n) that of
    all its pairs drawn toward P, the training cells'. The paper has class_n = 1, task_n = 0. Covariances
    divide by the number of pairs, so that one pair has the covariance 0 and none is weighted by 0.

    Args:
        embedding: (T, k, H). label, weight: (T, k). prior: (T, H, H) or (H, H).
        class_n, task_n, beta: scalars > 0.

    Returns:
        (T, 2, H, H), positive definite.
    """
    membership = torch.stack([(1 - label) * weight, label * weight, weight], dim=-2)
    size = membership.sum(dim=-1)
    count = size.clamp(min=1.0)[..., None]
    mean = membership @ embedding / count
    centred = embedding.unsqueeze(-3) - mean.unsqueeze(-2)
    covariance = (centred * membership[..., None]).transpose(-1, -2) @ centred / count[..., None]
    share = (size[..., 2] / (size[..., 2] + task_n))[..., None, None]
    task = share * covariance[..., 2, :, :] + (1 - share) * prior
    own = (size[..., :2] / (size[..., :2] + class_n))[..., None, None]
    mixed = own * covariance[..., :2, :, :] + (1 - own) * task.unsqueeze(-3)
    return mixed + beta * torch.eye(embedding.shape[-1], dtype=embedding.dtype, device=embedding.device)


def mahalanobis(query: Tensor, prototypes: Tensor, covariances: Tensor) -> Tensor:
    """Half squared Mahalanobis distances (f - mu_c)^T Q_c^-1 (f - mu_c) / 2, equation 1.

    Args:
        query: (n, H) or (T, n, H). prototypes: (T, 2, H). covariances: (T, 2, H, H).

    Returns:
        (T, 2, n).
    """
    factor = torch.linalg.cholesky(covariances)
    identity = torch.eye(query.shape[-1], dtype=query.dtype, device=query.device).expand_as(factor)
    whiten = torch.linalg.solve_triangular(factor, identity, upper=False).transpose(-1, -2)
    shared = query if query.ndim == 2 else query.unsqueeze(-3)
    return (shared @ whiten - prototypes.unsqueeze(-2) @ whiten).square().sum(dim=-1) / 2


class MahalanobisPrototypes(PrototypicalNetwork):
    """Distances to class means by each class's own covariance, in the embedding of `protonet`.

    Bateni, Goyal, Masrani, Wood & Sigal 2020, "Improved Few-Shot Visual Classification" (Simple CNAPS),
    CVPR, equations 1 and 2: -(f - mu_c)^T Q_c^-1 (f - mu_c) / 2 with Q_c = l_c S_c + (1 - l_c) S + beta I.

    What differs from the paper: (a) the embedding is that of the prototypical network (Euclidean episodes)
    with the same seed and is not adapted to the task; (b) S, the covariance of all support pairs, is drawn
    toward that of the training cells, so that k = 0 and small supports have one; (c) prototypes are shrunk
    as in `protonet`; (d) the strengths of all shrinkage, beta (1 in the paper), a factor on the distances
    and the log odds added to them are learned on episodes in a second phase, the embedding held fixed, each
    cell's prior coming from the other training cells.

    Without a support, or without its labels, the scores are those of the training prototypes.
    """

    name = "protonet-mahalanobis"
    summary = "Prototypical network with shrunk Mahalanobis distances (Simple CNAPS) in protonet's embedding"
    paper = "Bateni et al. 2020, CVPR, equations 1-2"
    # Each class has a covariance matrix in the embedding: smaller ones than `protonet` tries.
    settings: ClassVar = ({"embedding": 32}, {"embedding": 8}, {"embedding": 16}, {"hidden": [128, 128]})

    def __init__(self, hidden: tuple[int, ...] | list[int] = (64, 64), embedding: int = 32) -> None:
        super().__init__(hidden, embedding)
        self._covariance: Tensor
        self._head: dict[str, Tensor]

    def n_parameters(self) -> int | None:
        """Weights of the embedding, and the scalars of the second phase in place of the two n0 of `protonet`."""
        found = super().n_parameters()
        return None if found is None else found - 2 + sum(tensor.numel() for tensor in self._head.values())

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Train the embedding of `protonet`, then the scalars of the distance."""
        super().fit(train, context)
        rng = context.generator(_STREAM)
        embedding = mlp_in_chunks(self._network, self._inputs.of_train(train))
        label = placed(train.label.astype(np.float32))
        means, present, covariances = _cell_moments(embedding, train)
        priors = leave_one_out_means(means, present)
        # Every cell has a covariance, so its two columns of presence are one.
        others = leave_one_out_means(covariances.flatten(1)[:, None], covariances.new_ones(len(covariances), 1))
        leave_out = others[:, 0].unflatten(-1, covariances.shape[1:])
        self._covariance = covariances.mean(dim=0).double()
        sampler = EpisodeSampler(train, rng)
        cells = np.unique(train.cell)

        def loss(parameters: dict[str, Tensor]) -> Tensor:
            balance = Balance.BALANCED if rng.random() < _BALANCED_SHARE else Balance.NATURAL
            batch = sampler.draw(_TASKS, int(rng.choice(_SHOTS)), _QUERY, balance)
            drawn = (batch.support, batch.query, np.searchsorted(cells, batch.cell), batch.weight)
            support, query, cell, weight = (placed(values) for values in drawn)
            logit = _logits(
                parameters,
                (embedding[support], label[support], weight),
                priors[cell],
                leave_out[cell],
                embedding[query],
            )
            return torch.nn.functional.binary_cross_entropy_with_logits(logit, label[query])

        # beta starts at a share of the spread that the embedding has, whatever its scale.
        spread = float(self._covariance.diagonal().mean())
        start = {
            "log_n0": self._n0.log(),
            "log_class_n": torch.tensor([float(np.log(32.0))]),
            "log_task_n": torch.tensor([float(np.log(32.0))]),
            "log_beta": torch.tensor([float(np.log(max(0.3 * spread, 1e-4)))]),
            "log_scale": torch.zeros(1),
            "bias": torch.tensor([self._prior_logit]),
        }
        steps = context.steps(_STEPS)
        self._head = {
            name: tensor.double()
            for name, tensor in optimise(
                start, loss, steps=steps, learning_rate=_LEARNING_RATE, weight_decay=0.0
            ).items()
        }

    @torch.no_grad()
    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """Logits (E, n) float64; the pool and the query are embedded once. See `Method.score`."""
        embed = self._embedder(cell_table)
        codes = embed(query)
        if supports.label is None or supports.k == 0:
            code, label = codes.new_empty((1, 0, codes.shape[-1])), codes.new_empty((1, 0))
        else:
            code = embed(supports.pool)[placed(supports.rows)]
            label = placed(supports.label.astype(np.float64))
        support = (code, label, torch.ones_like(label))
        parts = [_logits(self._head, support, self._prior, self._covariance, rows) for rows in codes.split(_SCORE_ROWS)]
        return np.broadcast_to(torch.cat(parts, dim=-1).cpu().numpy(), (supports.n_episodes, query.n))


def _logits(
    head: Parameters,
    support: tuple[Tensor, Tensor, Tensor],
    prior: Tensor,
    covariance: Tensor,
    query: Tensor,
) -> Tensor:
    """(T, n) log odds; `support` is (embedding, label, weight) of T supports."""
    prototypes = shrunken_prototypes(class_sums(*support), prior, head["log_n0"].exp())
    strengths = (head[f"log_{name}"].exp() for name in ("class_n", "task_n", "beta"))
    distance = mahalanobis(query, prototypes, shrunken_covariances(*support, covariance, *strengths))
    return head["log_scale"].exp() * (distance[:, 0] - distance[:, 1]) + head["bias"]


def _cell_moments(embedding: Tensor, train: TrainTable) -> tuple[Tensor, Tensor, Tensor]:
    """Per training cell with rows: class means (C, 2, H), labels present (C, 2), covariance (C, H, H)."""
    means, present, covariances = [], [], []
    for cell in np.unique(train.cell):
        own = np.flatnonzero(train.cell == cell)
        rows = embedding[placed(own)]
        label = placed(train.label[own])
        groups = [rows[label == value] for value in (0, 1)]
        means.append(torch.stack([group.mean(dim=0) if len(group) else rows.mean(dim=0) for group in groups]))
        present.append(torch.tensor([float(len(group) > 0) for group in groups]).to(embedding))
        centred = rows - rows.mean(dim=0)
        covariances.append(centred.T @ centred / len(rows))
    return torch.stack(means), torch.stack(present), torch.stack(covariances)

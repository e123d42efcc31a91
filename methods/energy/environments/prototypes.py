"""Prototypes of the training cells, moved by running means, and a kernel that reads a cell by them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ....tasks.errors import MethodError
from ..parts import CellFacts, SupportRows
from .rows import SetEstimator, cell_features_of_rows, shrinkage


class PrototypeKernel(SetEstimator):
    """A cell is read by how near its support lies to the prototypes of the training cells (Snell et al. 2017).

    Every training cell holds K_p prototypes in the space of row features, so that the variety inside it is kept.
    The cost of a support under cell c is its mean soft minimum -tau log mean_j exp(-|x_i - p_cj|^2 / tau); a
    cell's weight is softmax_c(-cost / tau), shared over its prototypes as the rows are. With K_p = 1 this is
    softmax(-|mean x - p_c|^2 / tau). The embedding is the weighted mean of learned value vectors, times
    exp(-excess / tau), where the excess is the smallest cost above that of training supports in their own cell:
    a support far from every prototype reverts to 0, the prior, and so does one of few rows, by k / (k + 16).
    Known and unknown cells are read by the same rule; a training cell that an episode hides has no prototypes there,
    like a cell that was never met, and where nothing else was seen the reading is 0. No label is read.

    Args:
        n_cells: training cells. per_cell: K_p. size: d_e. features: width of a row's features.
        decay: of the running means, in (0, 1). tau: kernel width, a squared distance, > 0.
        branch: h -> e, read instead of tanh(z).

    Attributes:
        prototypes: (n_cells K_p, features); those of cell c are rows c K_p to (c + 1) K_p - 1.
        seen: (n_cells,) bool; a cell that no batch has shown yet has no weight.
        spread: () running cost of training supports in their own cell.
    """

    prototypes: Tensor
    seen: Tensor
    spread: Tensor

    def __init__(
        self,
        n_cells: int,
        per_cell: int,
        size: int,
        features: int,
        *,
        decay: float = 0.9,
        tau: float = 1.0,
        branch: nn.Module | None = None,
    ) -> None:
        super().__init__(size, features, branch)
        self.n_cells, self.per_cell, self.decay, self.tau = n_cells, per_cell, decay, tau
        self.values = nn.Parameter(torch.randn(n_cells, per_cell, size) / size**0.5)
        self.register_buffer("prototypes", torch.zeros(n_cells * per_cell, features))
        self.register_buffer("seen", torch.zeros(n_cells, dtype=torch.bool))
        self.register_buffer("spread", torch.zeros(()))

    def forward(self, support: SupportRows, facts: CellFacts) -> Tensor:
        """E supports -> (E, size)."""
        if not bool(self.seen.any()) or not support.present.shape[1]:
            return support.potential.new_zeros(support.present.shape[0], self.size)
        features = cell_features_of_rows(support, self.branch)
        nearness = -self._distances(features) / self.tau
        weight = support.present.to(features.dtype)
        size = weight.sum(1).clamp_min(1.0)
        share = (nearness.softmax(-1) * weight[:, :, None, None]).sum(1) / size[:, None, None]
        readable = self._readable(facts)
        alone = ~readable.any(-1, keepdim=True)
        # A softmax over nothing would be NaN.
        cost = self._costs(nearness, weight).masked_fill(~readable & ~alone, torch.inf)
        cell = torch.softmax(-cost / self.tau, dim=-1).masked_fill(alone, 0.0)
        excess = (cost.min(-1, keepdim=True).values - self.spread).clamp_min(0.0)
        read = torch.einsum("ec,ecp,cps->es", cell, share, self.values)
        return shrinkage(support) * torch.exp(-excess / self.tau) * read

    @torch.no_grad()
    def observe(self, support: SupportRows, cell: Tensor) -> None:
        """Move the prototypes by a training batch.

        Args:
            support: E supports. cell: (E,) code of the cell that each was drawn from; -1 (mixed) is skipped.
        """
        features = cell_features_of_rows(support, self.branch)
        for episode, code in enumerate(cell.tolist()):
            rows = features[episode][support.present[episode]]
            if code >= 0 and rows.shape[0]:
                self.update(rows, code)

    @torch.no_grad()
    def update(self, rows: Tensor, cell: int) -> None:
        """p <- decay p + (1 - decay) mean of the rows nearest to p; prototypes without such rows stay.

        The first rows of a cell are divided into K_p slices along their widest direction, whose means start it.

        Args:
            rows: (k, features) of one training cell, k >= 1. cell: its code.

        Raises:
            MethodError: the code is not a training cell, or a row is not finite.
        """
        if not 0 <= cell < self.n_cells:
            raise MethodError(f"Prototypes are kept for training cells 0..{self.n_cells - 1}, not for {cell}.")
        if not bool(torch.isfinite(rows).all()):
            raise MethodError(f"Prototypes of cell {cell} cannot move to rows that are not finite.")
        own = self.prototypes.view(self.n_cells, self.per_cell, -1)[cell]
        rows = rows.to(own.dtype)
        first = not bool(self.seen.any())
        if self.seen[cell]:
            nearest = torch.cdist(rows, own).argmin(1)
            for place in nearest.unique().tolist():
                own[place] = self.decay * own[place] + (1.0 - self.decay) * rows[nearest == place].mean(0)
        else:
            own.copy_(_slices(rows, self.per_cell))
            self.seen[cell] = True
        nearness = -self._distances(rows.unsqueeze(0)) / self.tau
        cost = self._costs(nearness, rows.new_ones(1, rows.shape[0]))[0, cell]
        self.spread.copy_(cost if first else self.decay * self.spread + (1.0 - self.decay) * cost)

    def _distances(self, features: Tensor) -> Tensor:
        """(E, k, features) -> (E, k, n_cells, K_p) squared distances."""
        prototypes = self.prototypes
        squared = features.square().sum(-1, keepdim=True) - 2.0 * features @ prototypes.T + prototypes.square().sum(-1)
        return squared.clamp_min(0.0).unflatten(-1, (self.n_cells, self.per_cell))

    def _costs(self, nearness: Tensor, weight: Tensor) -> Tensor:
        """(E, k, n_cells, K_p) -> (E, n_cells), whether or not a cell may be read."""
        fit = nearness.logsumexp(-1) - torch.log(nearness.new_full((), float(self.per_cell)))
        mean = (fit * weight.unsqueeze(-1)).sum(1) / weight.sum(1, keepdim=True).clamp_min(1.0)
        return -self.tau * mean

    def _readable(self, facts: CellFacts) -> Tensor:
        """(E, n_cells) bool: cells that were seen and are not the one that the episode hides."""
        seen = self.seen.expand(facts.code.shape[0], -1)
        if facts.hidden is None:
            return seen
        return seen & (torch.arange(self.n_cells, device=seen.device) != facts.hidden.unsqueeze(1))


def _slices(rows: Tensor, count: int) -> Tensor:
    """(k, f) -> (count, f) means of `count` slices along the widest direction; fewer rows than slices repeat."""
    centred = rows - rows.mean(0)
    # Its sign is arbitrary; on one device it is always the same.
    direction = torch.linalg.svd(centred.cpu(), full_matrices=False).Vh[0].to(centred)
    ordered = rows[torch.argsort(centred @ direction)]
    if rows.shape[0] < count:
        ordered = ordered[torch.arange(count) * rows.shape[0] // count]
    return torch.stack([part.mean(0) for part in torch.tensor_split(ordered, count)])

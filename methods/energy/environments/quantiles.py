"""A support as the quantiles of its rows: the shape of the cell's distribution, not its centre alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..parts import CellFacts, SupportRows
from .rows import HALF_SUPPORT, SCALARS, Readout, SetEstimator, shrinkage, support_facts, support_size

#: Levels of the quantiles that are read.
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


def masked_quantiles(values: Tensor, present: Tensor, levels: Tensor) -> Tensor:
    """Quantiles over the present rows, interpolated linearly as in numpy's default method.

    Args:
        values: (E, k, C). present: (E, k) bool. levels: (Q,) in [0, 1].

    Returns:
        (E, Q, C); 0 where no row is present.
    """
    episodes, rows, columns = values.shape
    if not rows:
        return values.new_zeros(episodes, levels.shape[0], columns)
    size = present.sum(1, keepdim=True)
    some = (size > 0).unsqueeze(-1)
    # Padding goes behind every row; an empty support is all zeros, since infinities have no quantiles.
    ordered = values.masked_fill(~present.unsqueeze(-1), torch.inf).masked_fill(~some, 0.0).sort(dim=1).values
    place = levels.to(values.dtype) * (size - 1).clamp_min(0).to(values.dtype)
    low = place.floor().long()
    high = torch.minimum(low + 1, (size - 1).clamp_min(0))
    below, above = (ordered.gather(1, i.unsqueeze(-1).expand(-1, -1, columns)) for i in (low, high))
    return below + (place - low).unsqueeze(-1) * (above - below)


class QuantilePool(SetEstimator):
    """Quantiles of U and of every feature of the rows, and of U among known positives and known negatives.

    The means of what reads labels (residuals, weights) stand beside them. All are shrunk by k / (k + 16) and
    mapped without bias: an empty support gives exactly 0.

    Args:
        size: d_e. features: width of a row's features. branch: h -> e, read instead of tanh(z).
    """

    levels: Tensor

    def __init__(self, size: int, features: int, branch: nn.Module | None = None) -> None:
        super().__init__(size, features, branch)
        self.register_buffer("levels", torch.tensor(LEVELS), persistent=False)
        labelled = 4 + features
        self.readout = Readout(len(LEVELS) * (1 + features + 2) + labelled + 2, size)

    def forward(self, support: SupportRows, facts: CellFacts) -> Tensor:
        """E supports -> (E, size)."""
        rows = self.rows(support)
        potential, features = rows[..., :1], rows[..., SCALARS : SCALARS + self.features]
        shrink = shrinkage(support)
        everything = masked_quantiles(torch.cat([potential, features], dim=-1), support.present, self.levels)
        parts = [shrink * everything.flatten(1), *self._classes(support, potential)]
        labelled = torch.cat([rows[..., 2:SCALARS], rows[..., SCALARS + self.features :]], dim=-1)
        parts += [labelled.sum(1) / (support_size(support) + HALF_SUPPORT), support_facts(support)]
        embedding: Tensor = self.readout(torch.cat(parts, dim=-1))
        return embedding

    def _classes(self, support: SupportRows, potential: Tensor) -> list[Tensor]:
        """Shrunk quantiles (E, Q) of U among known positives and negatives."""
        known = support.known > 0
        label = torch.zeros_like(known) if support.label is None else support.label > 0
        found = []
        for members in (known & label, known & ~label):
            size = members.to(potential.dtype).sum(1, keepdim=True)
            quantiles = masked_quantiles(potential, members, self.levels).flatten(1)
            found.append(quantiles * size / (size + HALF_SUPPORT))
        return found

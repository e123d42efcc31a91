"""What set estimators see of a support: one vector per row, the same statistics for all of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..parts import Estimator, SupportRows

#: A support of this many pairs counts half: small supports move the environment little.
HALF_SUPPORT = 16.0
#: Scalar columns in front of the features of a row.
SCALARS = 6


def cell_features_of_rows(support: SupportRows, branch: nn.Module | None = None) -> Tensor:
    """(E, k, d) tanh(z), or (E, k, d_e) branch features e(h) of a dual-branch encoder; 0 on padding."""
    absent = ~support.present.unsqueeze(-1)
    if branch is None:
        return torch.tanh(support.latent).masked_fill(absent, 0.0)
    # Padding is cleared before the branch too: whatever stands there must not reach the branch's gradient.
    e: Tensor = branch(support.hidden.masked_fill(absent, 0.0))
    return e.masked_fill(absent, 0.0)


def row_statistics(support: SupportRows, branch: nn.Module | None = None) -> Tensor:
    """Statistics of every support row, 0 on padding.

    With p = sigma(base) and residual r = y - p, the columns are U, U^2 / 4, r, known, w = known p (1 - p), w U,
    then x and r x, where x = tanh(z) or the branch features. Sums of r, r U, r x are the gradient of the
    log-likelihood in offset and slopes, sums of w and w U its curvature: what one Newton step of adaptation needs.

    Returns:
        (E, k, 6 + 2 d); columns that read labels are 0 where the label is not known.
    """
    present = support.present
    potential = support.potential.masked_fill(~present, 0.0)
    chance = torch.sigmoid(support.base.masked_fill(~present, 0.0))
    known = support.known
    weight = known * chance * (1.0 - chance)
    residual = support.residual.masked_fill(~present, 0.0)
    features = cell_features_of_rows(support, branch)
    scalars = torch.stack([potential, potential.square() / 4, residual, known, weight, weight * potential], dim=-1)
    return torch.cat([scalars, features, residual.unsqueeze(-1) * features], dim=-1)


def support_size(support: SupportRows) -> Tensor:
    """(E, 1) number of rows that are present, in the dtype of the rows."""
    return support.present.to(support.potential.dtype).sum(1, keepdim=True)


def shrinkage(support: SupportRows) -> Tensor:
    """(E, 1) k / (k + 16), in [0, 1): exactly 0 for an empty support."""
    size = support_size(support)
    return size / (size + HALF_SUPPORT)


def support_facts(support: SupportRows) -> Tensor:
    """(E, 2) shrinkage of labelled and of unlabelled supports: how much was seen, and of which kind."""
    shrink = shrinkage(support)
    labelled = support.labelled.to(shrink.dtype).unsqueeze(1) * (support.label is not None)
    return torch.cat([shrink * labelled, shrink * (1.0 - labelled)], dim=-1)


class Readout(nn.Sequential):
    """A bias-free perceptron, so that 0 (the empty support) gives exactly 0.

    Args:
        columns: of its input. size: d_e. width: of its hidden layer.
    """

    def __init__(self, columns: int, size: int, width: int = 32) -> None:
        super().__init__(nn.Linear(columns, width, bias=False), nn.SiLU(), nn.Linear(width, size, bias=False))


class SetEstimator(Estimator):
    """An estimator of a support's rows.

    Args:
        size: d_e. features: width of a row's features, d of tanh(z) or the branch's output.
        branch: h -> e, read instead of tanh(z); its parameters are the estimator's.
    """

    def __init__(self, size: int, features: int, branch: nn.Module | None = None) -> None:
        super().__init__()
        self.size = size
        self.features = features
        self.columns = SCALARS + 2 * features
        self.branch = branch

    def rows(self, support: SupportRows) -> Tensor:
        """(E, k, columns) of `row_statistics`."""
        return row_statistics(support, self.branch)

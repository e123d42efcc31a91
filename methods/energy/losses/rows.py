"""How losses select and average the rows of a step: by class, by cell, by block, by present support rows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ....tasks.errors import MethodError
from ..names import LossName
from ..parts import Step


class CellMeans(NamedTuple):
    """C distinct cells of a step: code (C,), mean (C, ...) of a block's value, place (n,) of each row's cell."""

    code: Tensor
    mean: Tensor
    place: Tensor


class BranchRows(NamedTuple):
    """N present support rows: feature (N, d_e) and cell (N,) code of the cell they were drawn from."""

    feature: Tensor
    cell: Tensor


def nothing(step: Step) -> Tensor:
    """The loss of a step that holds nothing to compute it from: a zero without a graph."""
    return step.logits.new_zeros(())


def thin(n: int, rows: int) -> Tensor:
    """At most `rows` of the row numbers 0..n-1, evenly spread, so that blocks and classes keep their shares."""
    return torch.arange(n) if n <= rows else torch.arange(rows) * n // rows


def cell_means(values: Tensor, cell: Tensor) -> CellMeans:
    """Average one value per block (B, ...) over the rows (B, m) of each cell, so that it depends on the cell only."""
    code, index = torch.unique(cell.reshape(-1), return_inverse=True)
    blocks, width = cell.shape
    row = torch.arange(blocks, device=cell.device).repeat_interleave(width)
    share = values.new_zeros(code.numel(), blocks).index_put((index, row), values.new_ones(()), accumulate=True)
    share = share / share.sum(1, keepdim=True)
    return CellMeans(code, share @ values, index)


def natural_mean(values: Tensor, label: Tensor, prevalence: Tensor) -> Tensor:
    """Mean of `values` as if classes had their natural shares: pi mean over positives + (1 - pi) mean over negatives.

    Args:
        values: (B, m). label: (B, m) bool. prevalence: (B,) pi in [0, 1].

    Returns:
        (B,), one mean per block; (1,) over all rows if a block lacks a class (blocks of one row, say).
    """
    positive = label.to(values.dtype)
    weight = torch.where(label, prevalence.unsqueeze(1), 1 - prevalence.unsqueeze(1))
    if not bool((label.any(1) & (~label).any(1)).all()):
        values, positive, weight = (part.reshape(1, -1) for part in (values, positive, weight))
    per_class = [(values * weight * rows).sum(1) / rows.sum(1).clamp_min(1.0) for rows in (positive, 1 - positive)]
    return per_class[0] + per_class[1]


def cross_entropy_rows(logits: Tensor, label: Tensor) -> Tensor:
    """-log p(label) of every row, from logits."""
    return softplus(torch.where(label, -logits, logits))


def present_branch(step: Step, name: LossName) -> BranchRows | None:
    """The environment features of support rows whose cell is known; None in a step without environment.

    Raises:
        MethodError: the model has no environment branch.
    """
    if step.branch is None or step.branch_present is None or step.support_cell is None:
        if step.student is None:
            return None
        raise MethodError(
            f"The loss {name.value!r} reads environment features of support rows; set `environment.branch` to true "
            "and choose a student that reads the support."
        )
    chosen = step.branch_present & (step.support_cell >= 0).unsqueeze(1)
    cell = step.support_cell.unsqueeze(1).expand_as(chosen)
    return BranchRows(step.branch[chosen], cell[chosen])

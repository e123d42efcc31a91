"""Contrastive losses: InfoNCE by cell on z or on environment features, hierarchical, supervised across cells."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..config import Count, Positive, Section, Weight
from ..names import Group, LossName
from ..parts import Step
from .base import Loss, Sizes, parse_options
from .rows import nothing, present_branch, thin


def similarities(x: Tensor, tau: float) -> Tensor:
    """(n, d) -> (n, n) cosine similarities over tau."""
    unit = normalize(x, dim=1)
    return unit @ unit.T / tau


def info_nce(similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """-mean_i log(sum over positives of e^s / sum over positives and negatives of e^s); never below 0.

    Args:
        similarity: (n, n). positive, negative: (n, n) bool, which j != i count for anchor i. Anchors without a
            positive are left out; 0 if none is left.
    """
    other = ~torch.eye(similarity.shape[0], dtype=torch.bool, device=similarity.device)
    positive, negative = positive & other, negative & other
    usable = positive.any(1)
    if not bool(usable.any()):
        return similarity.sum() * 0.0
    similarity, positive, negative = similarity[usable], positive[usable], negative[usable]
    top = similarity.masked_fill(~positive, -torch.inf).logsumexp(1)
    whole = similarity.masked_fill(~(positive | negative), -torch.inf).logsumexp(1)
    return (whole - top).mean()


def supervised_contrast(similarity: Tensor, positive: Tensor) -> Tensor:
    """-mean_i 1/|P(i)| sum_{p in P(i)} log(e^{s_ip} / sum_{a != i} e^{s_ia}) (Khosla et al. 2020, outside the log)."""
    n = similarity.shape[0]
    itself = torch.eye(n, dtype=torch.bool, device=similarity.device)
    positive = positive & ~itself
    usable = positive.any(1)
    if not bool(usable.any()):
        return similarity.sum() * 0.0
    share = similarity - similarity.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
    per_anchor = (share * positive).sum(1)[usable] / positive.sum(1)[usable]
    return -per_anchor.mean()


def _same(code: Tensor) -> Tensor:
    return code.unsqueeze(1) == code.unsqueeze(0)


class ContrastOptions(Section):
    """`tau`: temperature of the similarities. `rows`: at most so many, evenly spread."""

    tau: Positive = 0.1
    rows: Count = 256


class ContrastLatent(Loss):
    """InfoNCE by cell on z (van den Oord et al. 2018): pulls the pairs of a cell together, so z tells the cell."""

    name: ClassVar[LossName] = LossName.CONTRAST_LATENT
    reach = frozenset({Group.ENCODER})
    cells = 2

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, ContrastOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Over at most `rows` query rows."""
        chosen = thin(step.cell.numel(), self.options.rows)
        same = _same(step.cell.reshape(-1)[chosen])
        return info_nce(similarities(step.latent.flatten(0, 1)[chosen], self.options.tau), same, ~same)


class ContrastEnvironment(Loss):
    """InfoNCE by cell on the environment features e of support rows: they tell the cells apart, z is left alone."""

    name: ClassVar[LossName] = LossName.CONTRAST_ENVIRONMENT
    reads = frozenset({"branch", "branch_present", "support_cell"})
    reach = frozenset({Group.STUDENT, Group.PROTOTYPES})
    cells = 2

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, ContrastOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Over at most `rows` support rows; 0 where all supports are empty."""
        rows = present_branch(step, self.name)
        if rows is None or not rows.cell.numel():
            return nothing(step)
        chosen = thin(rows.cell.numel(), self.options.rows)
        same = _same(rows.cell[chosen])
        return info_nce(similarities(rows.feature[chosen], self.options.tau), same, ~same)


class HierarchicalOptions(ContrastOptions):
    """`fine`, `coarse`: weights of the levels same cell and label, same cell and other label."""

    fine: Weight = 1.0
    coarse: Weight = 0.5


class Hierarchical(Loss):
    """InfoNCE on z in levels: same cell and label before same cell before other cells.

    fine x InfoNCE(same cell and label | other cells) + coarse x InfoNCE(same cell, other label | other cells):
    with fine > coarse the first are pulled more strongly; the negatives are the rows of other cells.
    """

    name: ClassVar[LossName] = LossName.HIERARCHICAL
    reach = frozenset({Group.ENCODER})
    cells = 2
    labels = True

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, HierarchicalOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Over at most `rows` query rows."""
        chosen = thin(step.cell.numel(), self.options.rows)
        cell, label = _same(step.cell.reshape(-1)[chosen]), _same(step.label.reshape(-1)[chosen])
        similarity = similarities(step.latent.flatten(0, 1)[chosen], self.options.tau)
        fine = info_nce(similarity, cell & label, ~cell)
        coarse = info_nce(similarity, cell & ~label, ~cell)
        return self.options.fine * fine + self.options.coarse * coarse


class SupervisedOptions(ContrastOptions):
    """As for InfoNCE, with the usual lower temperature."""

    tau: Positive = 0.07


class SupervisedContrast(Loss):
    """Supervised contrast on z (Khosla et al. 2020): rows of the same label are alike, whatever their cell."""

    name: ClassVar[LossName] = LossName.SUPERVISED_CONTRAST
    reach = frozenset({Group.ENCODER})
    labels = True

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, SupervisedOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Over at most `rows` query rows."""
        chosen = thin(step.label.numel(), self.options.rows)
        similarity = similarities(step.latent.flatten(0, 1)[chosen], self.options.tau)
        return supervised_contrast(similarity, _same(step.label.reshape(-1)[chosen]))

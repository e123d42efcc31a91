"""Pairwise ranking: positives above negatives, within a cell or over all pairs of a step."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ..config import Positive, Section
from ..names import LossName
from ..parts import Step
from .base import Loss, Sizes, parse_options
from .rows import nothing
from .task import PREDICTION


class RankOptions(Section):
    """How pairs are formed and scored.

    `pairs` "within": positive and negative of the same block and cell (of the same cell where blocks are single
    rows), which trains slopes and z but never an offset; "across": any positive of the step against any
    negative, which trains offsets too. `form` log(1 + exp(-d)) or max(0, gamma - d) of the difference d.
    `score`: the logit, the potential U, or the energy, logit x T. `hardest`: each positive meets only its
    highest negative.
    """

    pairs: Literal["within", "across"] = "within"
    form: Literal["logistic", "hinge"] = "logistic"
    gamma: Positive = 0.5
    score: Literal["logit", "potential", "energy"] = "logit"
    hardest: bool = False


class Rank(Loss):
    """Mean over cells of the mean over (positive, negative) pairs of a decreasing function of s_i - s_j.

    With the logistic form: RankNet (Burges et al. 2005). A group that lacks a class is left out.
    """

    name: ClassVar[LossName] = LossName.RANK
    reach = PREDICTION
    labels = True

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, RankOptions, options)

    def forward(self, step: Step) -> Tensor:
        """The loss of all query rows."""
        score = self._score(step)
        if self.options.pairs == "across":
            return self._groups(score, step.label, torch.zeros_like(step.cell), step)
        n_positive = int(step.label[0].sum())
        if self._stratified(step, n_positive):
            return self._pairs(score[:, :n_positive], score[:, n_positive:])
        group = step.cell
        if step.cell.shape[1] > 1:
            block = torch.arange(step.cell.shape[0], device=step.cell.device).unsqueeze(1)
            group = block * (int(step.cell.max()) + 1) + step.cell
        return self._groups(score, step.label, group, step)

    def _score(self, step: Step) -> Tensor:
        match self.options.score:
            case "logit":
                return step.logits
            case "potential":
                return step.potential
            case "energy":
                return step.logits * step.temperature

    @staticmethod
    def _stratified(step: Step, n_positive: int) -> bool:
        """Whether each block is one cell and holds its positives, equally many, in the first columns."""
        label, cell = step.label, step.cell
        return (
            0 < n_positive < label.shape[1]
            and bool(label[:, :n_positive].all())
            and not bool(label[:, n_positive:].any())
            and bool((cell == cell[:, :1]).all())
        )

    def _groups(self, score: Tensor, label: Tensor, group: Tensor, step: Step) -> Tensor:
        found = []
        for code in torch.unique(group):
            own = group == code
            positive, negative = score[own & label], score[own & ~label]
            if positive.numel() and negative.numel():
                found.append(self._pairs(positive.unsqueeze(0), negative.unsqueeze(0)))
        return torch.stack(found).mean() if found else nothing(step)

    def _pairs(self, positive: Tensor, negative: Tensor) -> Tensor:
        """(E, p) positives and (E, q) negatives of E groups."""
        if self.options.hardest:
            negative = negative.max(1, keepdim=True).values
        behind = negative.unsqueeze(1) - positive.unsqueeze(2)
        return (softplus(behind) if self.options.form == "logistic" else relu(self.options.gamma + behind)).mean()

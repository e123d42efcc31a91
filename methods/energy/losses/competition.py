"""The competition of student and opportunist: pull, push, the opportunist's own task, and the pace between them."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from ..config import Inner, Section, Weight
from ..names import Group, LossName
from ..parts import Step
from .base import Loss, Sizes, parse_options
from .rows import cross_entropy_rows, natural_mean, nothing


class PaceLock(nn.Module):
    """Per training cell, rho = EMA(student's task loss) / EMA(opponent's): above 1 the student is worse.

    Attributes:
        student, opponent: (n_cells,) moving averages; NaN before the cell was seen.
    """

    student: Tensor
    opponent: Tensor

    def __init__(self, n_cells: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("student", torch.full((n_cells,), torch.nan))
        self.register_buffer("opponent", torch.full((n_cells,), torch.nan))

    @property
    def rho(self) -> Tensor:
        """(n_cells,), NaN for a cell that was not seen."""
        return self.student / self.opponent.clamp_min(1e-12)

    def forward(self, cell: Tensor, student: Tensor, opponent: Tensor) -> Tensor:
        """rho of each block's cell after taking in its losses (in training mode); no gradient passes.

        Args:
            cell: (B,) codes; -1 (a mixed block) has no memory, its rho is the ratio of the block itself.
            student, opponent: (B,) task losses.
        """
        with torch.no_grad():
            rho = student / opponent.clamp_min(1e-12)
            for code in torch.unique(cell[cell >= 0]).tolist():
                own = cell == code
                if self.training:
                    for state, value in ((self.student, student), (self.opponent, opponent)):
                        new = value[own].mean().to(state.dtype)
                        known = not bool(state[code].isnan())
                        state[code] = self.decay * state[code] + (1 - self.decay) * new if known else new
                if not bool(self.student[code].isnan()):
                    rho[own] = self.rho[code].to(rho.dtype)
            return rho


class CompetitionOptions(Section):
    """`prevalence`: task losses at "natural" prevalence of each block, or with "balanced" classes."""

    prevalence: Literal["natural", "balanced"] = "natural"


class PacedOptions(CompetitionOptions):
    """`margin` of rho around 1 that counts as even, `decay` of its moving averages."""

    margin: Weight = 0.05
    decay: Inner = 0.9


def block_losses(step: Step, logits: Tensor, options: CompetitionOptions) -> Tensor:
    """(B,) task loss of each block under `logits`; a block that lacks a class counts its rows alike."""
    rows = cross_entropy_rows(logits, step.label)
    share = step.prevalence if options.prevalence == "natural" else torch.full_like(step.prevalence, 0.5)
    both = step.label.any(1) & (~step.label).any(1)
    losses = rows.mean(1)
    if bool(both.any()):
        losses = losses.index_put((both,), natural_mean(rows[both], step.label[both], share[both]))
    return losses


def block_cells(step: Step) -> Tensor:
    """(B,) code of each block's cell, -1 where its rows come from several."""
    first = step.cell[:, 0]
    return torch.where((step.cell == first.unsqueeze(1)).all(1), first, torch.full_like(first, -1))


class PullOptions(PacedOptions):
    """`baseline`: whom the student must not lose to, the "opportunist" or the "fused" reading with the teacher."""

    baseline: Literal["opportunist", "fused"] = "opportunist"


class Pull(Loss):
    """relu(L_S - L_O) in cells where the pace says that the student is behind, rho_c > 1 + margin.

    Attributes:
        pace: the moving averages behind rho, to be logged.
    """

    name: ClassVar[LossName] = LossName.PULL
    reads = frozenset({"student_logits", "opportunist_logits"})
    reach = frozenset({Group.STUDENT})
    labels = True

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, PullOptions, options)
        self.pace = PaceLock(sizes.n_cells, self.options.decay)

    def forward(self, step: Step) -> Tensor:
        """Mean over blocks; moves the pace in training mode."""
        fused = self.options.baseline == "fused"
        rival = step.logits if fused else step.opportunist_logits
        if step.student_logits is None or rival is None:
            return nothing(step)
        student, opponent = (block_losses(step, logits, self.options) for logits in (step.student_logits, rival))
        behind = self.pace(block_cells(step), student, opponent) > 1 + self.options.margin
        if fused:
            behind = behind & step.known
        return (relu(student - opponent) * behind).mean()


class Push(Loss):
    """relu(L_S - L_O), felt by the opportunist only: a shortcut that beats the student costs until they are even.

    Bounded below, so the opportunist is never driven to random answers, which would end the competition.
    """

    name: ClassVar[LossName] = LossName.PUSH
    reads = frozenset({"student_logits", "opportunist_logits"})
    reach = frozenset({Group.OPPORTUNIST})
    labels = True

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, CompetitionOptions, options)

    def forward(self, step: Step) -> Tensor:
        """Mean over blocks."""
        if step.student_logits is None or step.opportunist_logits is None:
            return nothing(step)
        student, opponent = (
            block_losses(step, logits, self.options) for logits in (step.student_logits, step.opportunist_logits)
        )
        return relu(student - opponent).mean()


class OpportunistOptions(PacedOptions):
    """`boost`: factor on the loss in cells where the opportunist is behind, rho_c < 1 - margin; 1 = no pace lock."""

    boost: Weight = 2.0


class Opportunist(Loss):
    """The opportunist's own task loss; counts more in cells where it falls behind the student.

    Attributes:
        pace: the moving averages behind rho, to be logged.
    """

    name: ClassVar[LossName] = LossName.OPPORTUNIST
    reads = frozenset({"student_logits", "opportunist_logits"})
    reach = frozenset({Group.OPPORTUNIST})
    labels = True

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__(sizes)
        self.options = parse_options(self.name, OpportunistOptions, options)
        self.pace = PaceLock(sizes.n_cells, self.options.decay)

    def forward(self, step: Step) -> Tensor:
        """Mean over blocks; moves the pace in training mode."""
        if step.opportunist_logits is None:
            return nothing(step)
        own = block_losses(step, step.opportunist_logits, self.options)
        if step.student_logits is None:
            return own.mean()
        student = block_losses(step, step.student_logits, self.options)
        behind = self.pace(block_cells(step), student, own) < 1 - self.options.margin
        return (own * torch.where(behind, self.options.boost, 1.0)).mean()

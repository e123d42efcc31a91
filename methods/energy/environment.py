"""The environment of a cell: the student reads a support, the teacher knows the training cells by id."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...tasks.errors import MethodError

#: A support of this many pairs counts half: small supports pull the environment little.
_HALF_SUPPORT = 16.0
_ROW_WIDTH = 32


class Environment(NamedTuple):
    """What the coupling is told of E cells: resistance (E,) >= 0 and embedding (E, d_e)."""

    resistance: Tensor
    embedding: Tensor


class SupportRows(NamedTuple):
    """E supports of at most k rows.

    Attributes:
        potential: (E, k) U of the rows. latent: (E, k, d) z of the rows.
        label: (E, k) 0/1, or None if unknown everywhere.
        labelled: (E,) bool; False hides the labels of that support.
        present: (E, k) bool; False marks padding, and an all-False row is the empty support.
    """

    potential: Tensor
    latent: Tensor
    label: Tensor | None
    labelled: Tensor
    present: Tensor


class Student(nn.Module):
    """A permutation-invariant encoder of a support (Zaheer et al. 2017, Deep Sets).

    Inputs are detached: the student learns to read the potential, never to bend it. Beside a learned row
    network the set is summarised by the residuals r_i = y_i - sigma((U_i - R_0) / T) and r_i phi(z_i): the
    gradient of the log-likelihood in offset and slope, that is, what one step of adaptation needs.
    Every map is without bias, so the empty support gives embedding 0 and the learned resistance R_0.

    Args:
        d: size of z. embedding: d_e.
    """

    def __init__(self, d: int, embedding: int) -> None:
        super().__init__()
        self.row = nn.Linear(2 * d + 4, _ROW_WIDTH, bias=False)
        self.mix = nn.Linear(2 * d + 4 + _ROW_WIDTH + 2, 32, bias=False)
        self.embed = nn.Linear(32, embedding, bias=False)
        self.resist = nn.Linear(embedding, 1, bias=False)
        nn.init.zeros_(self.resist.weight)
        self.empty = nn.Parameter(torch.tensor(math.log(math.expm1(2.0))))

    @property
    def empty_resistance(self) -> Tensor:
        """R_0 >= 0, the resistance of a cell of which nothing is known."""
        return nn.functional.softplus(self.empty)

    def forward(self, support: SupportRows, temperature: Tensor) -> Environment:
        """E supports -> E environments; any order of the rows gives the same result.

        Args:
            support: the rows. temperature: scalar T, read only.
        """
        potential, latent = support.potential.detach(), torch.tanh(support.latent.detach())
        weight = support.present.to(potential.dtype)
        known = (support.labelled.unsqueeze(1) & support.present).to(potential.dtype)
        if support.label is None:
            residual = torch.zeros_like(potential)
            known = torch.zeros_like(known)
        else:
            base = torch.sigmoid((potential - self.empty_resistance.detach()) / temperature.detach())
            residual = known * (support.label.to(potential.dtype) - base)
        columns = torch.stack([potential, potential.square() / 4, residual, known], dim=-1)
        rows = torch.cat([columns, latent, residual.unsqueeze(-1) * latent], dim=-1)
        rows = torch.cat([rows, nn.functional.silu(self.row(rows))], dim=-1) * weight.unsqueeze(-1)
        size = weight.sum(1, keepdim=True)
        shrink = size / (size + _HALF_SUPPORT)
        pooled = rows.sum(1) / (size + _HALF_SUPPORT)
        labelled = support.labelled.to(potential.dtype).unsqueeze(1) * (support.label is not None)
        facts = torch.cat([shrink * labelled, shrink * (1 - labelled)], dim=-1)
        embedding = self.embed(nn.functional.silu(self.mix(torch.cat([pooled, facts], dim=-1))))
        resistance = nn.functional.softplus(self.empty + self.resist(embedding).squeeze(-1))
        return Environment(resistance, embedding)


class Teacher(nn.Module):
    """Resistances R_T >= 0 of the training cells, looked up by id; never of any other cell.

    Args:
        n_cells: number of training cells.
    """

    def __init__(self, n_cells: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.full((n_cells,), math.log(math.expm1(2.0))))

    def forward(self, cell: Tensor) -> Tensor:
        """(E,) int64 codes of training cells -> (E,) resistances.

        Raises:
            MethodError: a code is not one of the training cells.
        """
        n_cells = self.table.shape[0]
        if cell.numel() and not bool(((cell >= 0) & (cell < n_cells)).all()):
            raise MethodError(
                f"The teacher knows the training cells 0..{n_cells - 1} only, and was asked for "
                f"{sorted(set(cell.tolist()) - set(range(n_cells)))}; an unseen cell takes its resistance "
                "from the student."
            )
        return nn.functional.softplus(self.table[cell])


def fuse(student: Tensor, teacher: Tensor, alpha: float) -> Tensor:
    """alpha R_T + (1 - alpha) R_S; alpha = 0 is the rule for an unseen cell."""
    return alpha * teacher + (1.0 - alpha) * student

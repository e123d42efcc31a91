"""An embedding per training cell, looked up by id."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ....tasks.errors import MethodError
from ..config import Unseen
from ..parts import CellFacts, Estimator, SupportRows


class IdTable(Estimator):
    """Cell id -> embedding. A cell that it does not hold has no id to look up.

    Args:
        n_cells: training cells. size: d_e. unseen: what code -1 is answered: an error, the mean of the table
            or zeros; the last two are for negative controls.
    """

    reads_code: ClassVar[bool] = True

    def __init__(self, n_cells: int, size: int, unseen: Unseen = Unseen.RAISE) -> None:
        super().__init__()
        self.size, self.unseen = size, unseen
        self.table = nn.Parameter(torch.randn(n_cells, size) / size**0.5)

    def forward(self, support: SupportRows, facts: CellFacts) -> Tensor:
        """E cells -> (E, size); the support is not read.

        Raises:
            MethodError: a code that is not a training cell, or -1 where `unseen` is "raise".
        """
        refuse_unknown_codes(facts.code, self.table.shape[0], unseen_allowed=self.unseen is not Unseen.RAISE)
        unseen = (facts.code < 0).unsqueeze(1)
        fallback = self.table.mean(0) if self.unseen is Unseen.MEAN else torch.zeros_like(self.table[0])
        return torch.where(unseen, fallback, self.table[facts.code.clamp_min(0)])


def refuse_unknown_codes(code: Tensor, n_cells: int, *, unseen_allowed: bool = False) -> None:
    """Raise unless every code is a training cell 0..n_cells - 1 (or -1, where that is allowed).

    Raises:
        MethodError: names the codes that are not known.
    """
    bad = (code >= n_cells) | (code < (-1 if unseen_allowed else 0))
    if bool(bad.any()):
        raise MethodError(
            f"A table of cell ids knows the training cells 0..{n_cells - 1} only, and was asked for "
            f"{sorted(set(code[bad].tolist()))}; an unseen cell must be read from its support."
        )

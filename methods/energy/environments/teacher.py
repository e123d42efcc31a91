"""The teacher: a training cell's id to a mixture over a graph of prototypes."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..parts import CellFacts, Estimator, SupportRows
from .graph import RBF_WIDTH, PrototypeGraph
from .id_table import refuse_unknown_codes

#: Share of a cell's mixture that starts on its own prototypes.
_OWN_SHARE = 0.7


class Teacher(Estimator):
    """e_T = sum_k t_ck g_k with t_c = softmax of a table row and g the graph-convolved prototypes.

    It knows the training cells by id and no other. Cells that lean on the same or neighbouring prototypes share
    what they learn. Prototypes start about 0.7 apart: at unit distances in many dimensions every similarity
    would vanish and leave no graph.

    Args:
        n_cells: training cells. per_cell: prototypes per cell; K = n_cells per_cell. size: d_e.

    Attributes:
        nodes: (K, d_e) prototypes before the convolutions.
    """

    reads_code: ClassVar[bool] = True

    def __init__(self, n_cells: int, per_cell: int, size: int) -> None:
        super().__init__()
        self.size, self.n_cells = size, n_cells
        count = n_cells * per_cell
        self.nodes = nn.Parameter(torch.randn(count, size) * math.sqrt(RBF_WIDTH / (2 * size)))
        own = torch.arange(count) // per_cell == torch.arange(n_cells).unsqueeze(1)
        lead = math.log(_OWN_SHARE / (1 - _OWN_SHARE) * max(n_cells - 1, 1))
        self.mixture = nn.Parameter(lead * own.float())
        self.graph = PrototypeGraph(size)

    @property
    def prototypes(self) -> Tensor:
        """(K, d_e), with their graph: what losses of the prototype graph read."""
        return self.nodes

    @property
    def adjacency(self) -> Tensor:
        """(K, K) symmetric normalised adjacency with self loops."""
        return self.graph.adjacency(self.nodes)

    def weights(self, code: Tensor) -> Tensor:
        """(E,) codes -> (E, K) t_c, rows on the simplex.

        Raises:
            MethodError: a code is not one of the training cells.
        """
        refuse_unknown_codes(code, self.n_cells)
        return self.mixture[code].softmax(-1)

    def forward(self, support: SupportRows, facts: CellFacts) -> Tensor:
        """E training cells -> (E, size); the support is not read.

        Raises:
            MethodError: a code is not one of the training cells.
        """
        mixed: Tensor = self.weights(facts.code) @ self.graph(self.nodes)
        return mixed

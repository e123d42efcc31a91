"""A graph of prototypes and convolutions on it (Kipf & Welling 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: exp(-d^2 / 0.5): nodes about half a unit apart are neighbours.
RBF_WIDTH = 0.5


def rbf_adjacency(nodes: Tensor, neighbours: int) -> Tensor:
    """Normalised adjacency D^-1/2 (S + I) D^-1/2, S = exp(-d^2 / 0.5) among k nearest neighbours.

    i and j are joined if either is among the other's neighbours, so the matrix is symmetric; it is built without
    assignment, and gradients reach the nodes through the similarities.

    Args:
        nodes: (K, d). neighbours: k, at most K - 1 are used.

    Returns:
        (K, K), rows and columns in the order of the nodes.
    """
    count = nodes.shape[0]
    distance = (nodes.unsqueeze(0) - nodes.unsqueeze(1)).square().sum(-1)
    own = torch.eye(count, dtype=nodes.dtype, device=nodes.device)
    nearest = (distance.detach() + torch.diag(own.new_full((count,), torch.inf))).topk(
        min(neighbours, count - 1), dim=1, largest=False
    )
    joined = torch.zeros_like(own).scatter(1, nearest.indices, 1.0)
    weights = torch.exp(-distance / RBF_WIDTH) * torch.maximum(joined, joined.T) + own
    scale = weights.sum(1).rsqrt()
    # Scales first: their product is symmetric to the last bit.
    return weights * (scale.unsqueeze(1) * scale.unsqueeze(0))


class PrototypeGraph(nn.Module):
    """Two graph convolutions with a skip: X + A silu(A X W_1) W_2, A recomputed from X.

    Args:
        size: d_e of nodes. width: of the hidden layer. neighbours: k of the graph.
    """

    def __init__(self, size: int, width: int = 32, neighbours: int = 4) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.first = nn.Linear(size, width)
        self.second = nn.Linear(width, size)

    def adjacency(self, nodes: Tensor) -> Tensor:
        """(K, d_e) -> (K, K) of `rbf_adjacency`."""
        return rbf_adjacency(nodes, self.neighbours)

    def forward(self, nodes: Tensor) -> Tensor:
        """(K, d_e) -> (K, d_e)."""
        adjacency = self.adjacency(nodes)
        hidden = nn.functional.silu(adjacency @ self.first(nodes))
        out: Tensor = nodes + adjacency @ self.second(hidden)
        return out

"""What a small critic finds of the cell in a representation (MINE; Belghazi et al. 2018), beside permuted cells.

The critic and its bound are those of the loss `mine`, with cells in the place of their embeddings. A critic is trained
on half of the rows and its bound taken on the other half, so that what it has learned by heart does not count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from ..losses.base import Sizes
from ..losses.dependence import Mine

_WIDTH, _STEPS, _RATE, _DECAY, _LEAST = 16, 40, 0.05, 1.0, 12


class MineEstimate(NamedTuple):
    """Lower bound of I(x; c) in nats on rows that the critic was not trained on, not below 0; permutation p-value."""

    nats: float
    p: float


class _Bound(nn.Module):
    """The bound as a module's forward, which is what torch can call for many critics at once."""

    def __init__(self, mine: Mine) -> None:
        super().__init__()
        self.mine = mine

    def forward(self, latent: Tensor, cells: Tensor, index: Tensor) -> Tensor:
        return self.mine.bound(latent, cells, index)


def mine(x: np.ndarray, cell: np.ndarray, rng: np.random.Generator, *, permutations: int = 39) -> MineEstimate:
    """Dependence of x (n, d) on codes (n,), by critics for the true and for permuted codes, trained side by side."""
    codes, counts = np.unique(cell, return_counts=True)
    keep = np.isin(cell, codes[counts >= _LEAST])
    x, cell = x[keep], cell[keep]
    codes, place = np.unique(cell, return_inverse=True)
    if codes.size < 2 or not np.ptp(x, axis=0).any():
        return MineEstimate(0.0, 1.0)
    sd = x.std(0)
    latent = torch.from_numpy(((x - x.mean(0)) / np.where(sd > 1e-9, sd, 1.0)).astype(np.float32))
    fitted = torch.from_numpy(_halves(place, rng))
    # Codes are permuted within each half: all critics see the same numbers of rows of every cell.
    index = torch.from_numpy(np.stack([place, *(_permuted(place, fitted.numpy(), rng) for _ in range(permutations))]))
    found = _bounds(latent, index, fitted, codes.size, int(rng.integers(2**31)))
    return MineEstimate(max(0.0, float(found[0])), float((found >= found[0] - 1e-12).mean()))


def conditional_mine(x: np.ndarray, cell: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> MineEstimate:
    """Of the larger class's rows: dependence of x on the cell among pairs of one label."""
    rows = label == (label.mean() >= 0.5)
    return mine(x[rows], cell[rows], rng)


def _halves(place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) whether a row trains the critic: half of every cell."""
    order = rng.permutation(place.size)
    out = np.zeros(place.size, dtype=bool)
    for code in np.unique(place):
        own = order[place[order] == code]
        out[own[: (own.size + 1) // 2]] = True
    return out


def _permuted(place: np.ndarray, half: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out = place.copy()
    for part in (half, ~half):
        out[part] = rng.permutation(place[part])
    return out


def _bounds(latent: Tensor, index: Tensor, fitted: Tensor, cells: int, seed: int) -> np.ndarray:
    """(P,) bound on the rows that are not fitted, of one critic for each row of index (P, n)."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        critics = [_Bound(Mine(Sizes(latent.shape[1], cells, cells), width=_WIDTH)) for _ in range(index.shape[0])]
    state = {name: own.detach().requires_grad_() for name, own in stack_module_state(critics)[0].items()}
    codes = torch.eye(cells)

    def one(parameters: dict[str, Tensor], rows: Tensor, place: Tensor) -> Tensor:
        value: Tensor = functional_call(critics[0], parameters, (rows, codes, place))
        return value

    every = vmap(one, in_dims=(0, None, 0))
    optimiser = torch.optim.AdamW(state.values(), lr=_RATE, weight_decay=_DECAY)
    with torch.enable_grad():
        for _ in range(_STEPS):
            optimiser.zero_grad()
            (-every(state, latent[fitted], index[:, fitted]).sum()).backward()
            optimiser.step()
    with torch.no_grad():
        found: np.ndarray = every(state, latent[~fitted], index[:, ~fitted]).double().numpy()
    return found

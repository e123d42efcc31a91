"""How much a representation tells of the cell: trained probes against the majority class, and HSIC with permutations.

A probe's cross-entropy, out of sample, bounds the mutual information from below: H(c) - CE. Chance is the majority
class and H(c), not 1/C and ln C.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.special import log_softmax

_FOLDS, _LEAST, _SHRINKAGE = 3, 6, 0.1


class Probe(NamedTuple):
    """Out-of-sample accuracy, the majority class's, H(c) - CE in nats (not below 0), and H(c)."""

    accuracy: float
    majority: float
    nats: float
    entropy: float

    @property
    def share(self) -> float:
        """Share of H(c) that the probe tells, in [0, 1]."""
        return self.nats / self.entropy if self.entropy > 0 else 0.0


def probe(x: np.ndarray, cell: np.ndarray, *, quadratic: bool = False) -> Probe:
    """Linear discriminants from x (n, d) to cell (n,) with a shrunken common covariance, three folds.

    In closed form, since it is asked at every logged step of a training.

    Args:
        x: representation. cell: codes. quadratic: logarithms of squares beside the values, which also see scale.
    """
    codes, counts = np.unique(cell, return_counts=True)
    keep = np.isin(cell, codes[counts >= _LEAST])
    x, cell = x[keep], cell[keep]
    codes, counts = np.unique(cell, return_counts=True)
    if codes.size < 2:
        return Probe(1.0, 1.0, 0.0, 0.0)
    share = counts / counts.sum()
    entropy = float(-(share * np.log(share)).sum())
    x = _standard(x)
    if quadratic:
        x = np.hstack([x, _standard(np.log1p(x**2))])
    place = np.searchsorted(codes, cell)
    chance = np.empty((cell.size, codes.size))
    fold = _folds(place)
    for number in range(_FOLDS):
        test = fold == number
        chance[test] = _discriminated(x[~test], place[~test], x[test], codes.size)
    own = chance[np.arange(cell.size), place]
    accuracy = float((chance.argmax(1) == place).mean())
    return Probe(accuracy, float(share.max()), max(0.0, entropy + float(own.mean())), entropy)


def conditional_nats(x: np.ndarray, cell: np.ndarray, label: np.ndarray) -> float:
    """I(x; c | y) by probes within each class, weighted by rows."""
    parts = [(probe(x[label == value], cell[label == value]).nats, (label == value).mean()) for value in (0, 1)]
    return float(sum(nats * share for nats, share in parts))


class Hsic(NamedTuple):
    """HSIC over the geometric mean of both self-dependences (in [0, 1]), and its permutation p-value."""

    share: float
    p: float


def hsic(x: np.ndarray, cell: np.ndarray, rng: np.random.Generator, *, permutations: int = 99) -> Hsic:
    """Dependence of x (n, d) on codes (n,): RBF of median bandwidth, delta kernel (Gretton et al. 2005)."""
    n = x.shape[0]
    if n < 4 or np.unique(cell).size < 2 or not np.ptp(x, axis=0).any():
        return Hsic(0.0, 1.0)
    squared = squareform(pdist(_standard(x), "sqeuclidean"))
    scale = np.median(squared[squared > 0])
    left = _centred(np.exp(-squared / scale))
    cells = np.unique(cell, return_inverse=True)[1]
    one_hot = np.eye(cells.max() + 1)[cells]
    orders = np.stack([np.arange(n), *(rng.permutation(n) for _ in range(permutations))])
    drawn = one_hot[orders].transpose(1, 0, 2).reshape(n, -1)
    # Of doubly centred kernels one may be left uncentred; a delta kernel is a product of one-hot rows.
    found = ((left @ drawn) * drawn).sum(0).reshape(permutations + 1, -1).sum(1)
    size = np.sqrt((left**2).sum() * (_centred(one_hot @ one_hot.T) ** 2).sum())
    return Hsic(float(found[0] / size), float((found >= found[0] - 1e-12).mean()))


def conditional_hsic(x: np.ndarray, cell: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> Hsic:
    """The larger class's HSIC: dependence of x on the cell among pairs of one label."""
    own = label == int(label.mean() > 0.5)
    return hsic(x[own], cell[own], rng)


def _folds(place: np.ndarray) -> np.ndarray:
    """(n,) number of the fold of each row, every cell spread evenly; the same for the same cells."""
    fold = np.empty(place.size, dtype=np.int64)
    rng = np.random.default_rng(0)
    for code in range(place.max() + 1):
        rows = rng.permutation(np.flatnonzero(place == code))
        fold[rows] = np.arange(rows.size) % _FOLDS
    return fold


def _discriminated(x: np.ndarray, place: np.ndarray, asked: np.ndarray, cells: int) -> np.ndarray:
    """(m, C) log probability of every cell for the rows that are asked."""
    one_hot = np.eye(cells)[place]
    count = one_hot.sum(0)
    mean = (one_hot.T @ x) / count[:, None]
    rest = x - mean[place]
    covariance = rest.T @ rest / max(x.shape[0] - cells, 1)
    scale = np.trace(covariance) / x.shape[1] + 1e-9
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * scale * np.eye(x.shape[1])
    weight = np.linalg.solve(covariance, mean.T)
    found: np.ndarray = log_softmax(asked @ weight - 0.5 * (mean.T * weight).sum(0) + np.log(count / count.sum()), 1)
    return found


def _centred(kernel: np.ndarray) -> np.ndarray:
    rows = kernel.mean(0, keepdims=True)
    return kernel - rows - rows.T + kernel.mean()


def _standard(x: np.ndarray) -> np.ndarray:
    sd = x.std(0)
    return (x - x.mean(0)) / np.where(sd > 1e-9, sd, 1.0)

"""How much a representation tells of the cell: trained probes against the majority class, and HSIC with permutations.

A probe's cross-entropy, out of sample, bounds the mutual information from below: H(c) - CE. Chance is the majority
class and H(c), not 1/C and ln C.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist, squareform
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

_FOLDS, _LEAST = 3, 6


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
    """Multinomial logistic regression from x (n, d) to cell (n,), three folds.

    Args:
        x: representation. cell: codes. quadratic: squares beside the values, which also see scale.
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
        x = np.hstack([x, _standard(x**2)])
    chance = np.zeros((cell.size, codes.size))
    for fit, test in StratifiedKFold(_FOLDS, shuffle=True, random_state=0).split(x, cell):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(C=0.1, max_iter=60).fit(x[fit], cell[fit])
        chance[test] = model.predict_proba(x[test])
    place = np.searchsorted(codes, cell)
    own = chance[np.arange(cell.size), place].clip(1e-9)
    accuracy = float((chance.argmax(1) == place).mean())
    return Probe(accuracy, float(share.max()), max(0.0, entropy + float(np.log(own).mean())), entropy)


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
    right = _centred((cell[:, None] == cell[None, :]).astype(float))
    observed = float((left * right).sum())
    drawn = [rng.permutation(n) for _ in range(permutations)]
    beaten = sum(float((left * right[np.ix_(order, order)]).sum()) >= observed for order in drawn)
    size = np.sqrt((left**2).sum() * (right**2).sum())
    return Hsic(observed / size, (beaten + 1) / (permutations + 1))


def conditional_hsic(x: np.ndarray, cell: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> Hsic:
    """The larger class's HSIC: dependence of x on the cell among pairs of one label."""
    own = label == int(label.mean() > 0.5)
    return hsic(x[own], cell[own], rng)


def _centred(kernel: np.ndarray) -> np.ndarray:
    rows = kernel.mean(0, keepdims=True)
    return kernel - rows - rows.T + kernel.mean()


def _standard(x: np.ndarray) -> np.ndarray:
    sd = x.std(0)
    return (x - x.mean(0)) / np.where(sd > 1e-9, sd, 1.0)

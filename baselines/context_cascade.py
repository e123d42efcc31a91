"""A first guess turned into context: how a pair's score compares with those of its competitors and neighbours."""

from __future__ import annotations

import numpy as np

from .context_matrix import PairMatrix

#: Decay in bp of the weight of a neighbouring pair: Hi-C loops are resolved to 5 to 25 kb.
BANDWIDTHS_BP = (5_000.0, 20_000.0)
#: Neighbours beyond this many bandwidths weigh nothing.
_REACH = 6.0
_BLOCK = 256
#: Standardised inputs of the linear stage lie within these bounds: counts of an unseen cell can lie far out.
_BOUND = 4.0


class Logistic:
    """L2 logistic regression on standardised, clipped columns; missing values count as the mean.

    Args:
        strength: inverse C of the penalty (scikit-learn).
    """

    def __init__(self, strength: float) -> None:
        self._strength = strength

    def fit(self, design: np.ndarray, label: np.ndarray) -> Logistic:
        """Train on (n, P) columns; labels of one class give the score 0."""
        from sklearn.linear_model import LogisticRegression

        from ..methods.features import Standardiser

        self._scale = Standardiser.of(design)
        self._model = None
        if np.unique(label).size > 1:
            model = LogisticRegression(C=1.0 / self._strength, max_iter=300, random_state=0)
            self._model = model.fit(self._prepare(design), label)
        return self

    def __call__(self, design: np.ndarray) -> np.ndarray:
        """(m,) logits."""
        return np.zeros(len(design)) if self._model is None else self._model.decision_function(self._prepare(design))

    def _prepare(self, design: np.ndarray) -> np.ndarray:
        return np.clip(self._scale(design), -_BOUND, _BOUND)


def compared(pairs: PairMatrix, score: np.ndarray) -> np.ndarray:
    """(p, 7) float32 columns of a score of all pairs of a cell.

    They are the score; its difference to the log-sum-exp and to the maximum over the element's candidates
    and over the gene's; its mean over neighbouring pairs, weighted by exp(-|enhancer shift| / b
    - |TSS shift| / b) at two bandwidths b. Pairs of one loop are neighbours in the contact map at both ends.
    """
    columns = [score]
    for identity in (pairs.element, pairs.gene):
        columns += [score - log_sum_exp(identity, score), score - _maximum(identity, score)]
    columns += [smoothed(pairs, score, width) for width in BANDWIDTHS_BP]
    return np.column_stack(columns).astype(np.float32)


def log_sum_exp(identity: np.ndarray, score: np.ndarray) -> np.ndarray:
    """(p,) log of the sum of exp(score) over the pairs of the same identity."""
    _, group = np.unique(identity, return_inverse=True)
    top = _maximum(identity, score)
    return top + np.log(np.bincount(group, weights=np.exp(score - top))[group])


def smoothed(pairs: PairMatrix, score: np.ndarray, bandwidth: float) -> np.ndarray:
    """(p,) kernel mean of the score over neighbouring pairs of the same chromosome."""
    out = score.astype(np.float64)
    for chrom in np.unique(pairs.chrom):
        own = np.flatnonzero(pairs.chrom == chrom)
        own = own[np.argsort(pairs.enhancer[own], kind="stable")]
        enhancer, tss, values = pairs.enhancer[own], pairs.tss[own], score[own]
        for start in range(0, own.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            reach = _REACH * bandwidth
            first, last = np.searchsorted(enhancer, [enhancer[block][0] - reach, enhancer[block][-1] + reach])
            near = slice(first, max(last, first + 1))
            shift = np.abs(enhancer[block, None] - enhancer[near]) + np.abs(tss[block, None] - tss[near])
            weight = np.exp(-shift / bandwidth)
            out[own[block]] = weight @ values[near] / weight.sum(axis=1)
    return out


def _maximum(identity: np.ndarray, score: np.ndarray) -> np.ndarray:
    _, group = np.unique(identity, return_inverse=True)
    top = np.full(group.max(initial=-1) + 1, -np.inf)
    np.maximum.at(top, group, score)
    return top[group]

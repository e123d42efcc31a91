"""Methods with a grid whose best setting is known; loaded by path in the processes of the tests."""

from __future__ import annotations

import numpy as np

from epishot.methods.base import Method, Reads, Regime


class Planted(Method):
    """Near pairs interact, so the last two settings, which rank alike, are the best."""

    name = "planted"
    summary = "the distance times a sign, with a little noise"
    reads = frozenset({Reads.DISTANCE})
    regimes = frozenset({Regime.NONE, Regime.LABELLED})
    deterministic = True
    settings = ({"sign": 1.0}, {"sign": 0.0}, {"sign": -1.0}, {"sign": -2.0})

    def __init__(self, sign: float = 1.0) -> None:
        self.sign = sign

    def config(self):
        return {"sign": self.sign}

    def fit(self, train, context):
        pass

    def score(self, supports, query, cell_table):
        return np.tile(self.sign * np.nan_to_num(query.distance), (supports.n_episodes, 1))


class Follows(Planted):
    """Learns from the training labels which way distance points, so its scores tell which rows it has seen."""

    name = "follows"
    settings = ({"sign": 1.0}, {"sign": -1.0})

    def fit(self, train, context):
        distance = np.log1p(np.nan_to_num(train.pairs.distance))
        slope = np.cov(distance, train.label)[0, 1]
        self.weight = self.sign * np.sign(slope) * (1 + train.label.mean())

    def score(self, supports, query, cell_table):
        score = self.weight * np.log1p(np.nan_to_num(query.distance))
        return np.tile(score, (supports.n_episodes, 1))


class OnlyWithLabels(Planted):
    """With k = 0 every setting is equal; with a support the second is better."""

    name = "only-with-labels"
    settings = ({"sign": 1.0}, {"sign": -1.0})

    def score(self, supports, query, cell_table):
        sign = self.sign if supports.k else 1.0
        return np.tile(sign * np.nan_to_num(query.distance), (supports.n_episodes, 1))


class SomeFail(Planted):
    name = "some-fail"
    settings = ({"sign": 1.0}, {"sign": -1.0}, {"sign": 5.0})

    def fit(self, train, context):
        if self.sign < 0:
            raise RuntimeError("a negative sign is too hard")


class AllFail(Planted):
    name = "all-fail"

    def fit(self, train, context):
        raise RuntimeError("no way")

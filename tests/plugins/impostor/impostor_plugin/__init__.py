"""A complete method under a name that is taken."""

import numpy as np

from epishot.methods import Method, Regime


class Constant(Method):
    """Not the constant everybody compares with."""

    name = "constant"
    summary = "an impostor"
    reads = frozenset()
    regimes = frozenset({Regime.NONE})

    def fit(self, train, context):
        """Nothing to learn."""

    def score(self, supports, query, cell_table):
        return np.tile(np.arange(query.n, dtype=float), (supports.n_episodes, 1))

"""Registered on import: for notebooks and scripts that build a method and run it at once."""

import numpy as np

from epishot.methods import EpisodeMethod, Reads, Regime, register_method


@register_method
class SupportWeighted(EpisodeMethod):
    """Features weighted by their correlation with the labels of the support."""

    name = "support-weighted"
    summary = "features weighted by the labelled support"
    reads = frozenset({Reads.FEATURES})
    regimes = frozenset({Regime.LABELLED})
    deterministic = True

    def fit(self, train, context):
        """Remember the scale of the features."""
        self.mean, self.spread = train.pairs.features.mean(axis=0), train.pairs.features.std(axis=0) + 1e-9

    def score_episode(self, support, label, query, cell_table):
        z = (support.features - self.mean) / self.spread
        weights = z.T @ (label - label.mean()) if support.n else np.zeros(self.mean.size)
        return (query.features - self.mean) / self.spread @ weights

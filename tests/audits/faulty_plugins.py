"""Plugins that are wrong in one way each, and look like models otherwise; `epishot audit` must catch every one."""

from __future__ import annotations

import sys
import time

import numpy as np

from epishot.methods.audits.finding import AuditFailure, Finding, Outcome
from epishot.methods.base import Method, Reads, Regime


class Healthy(Method):
    """Distance and a fitted direction in feature space, moved towards the positives of the support."""

    name = "healthy"
    summary = "keeps every clause"
    reads = frozenset({Reads.FEATURES, Reads.DISTANCE})
    regimes = frozenset({Regime.NONE, Regime.LABELLED})

    def fit(self, train, context):
        features = np.nan_to_num(train.pairs.features).astype(float)
        self.mean, self.spread = features.mean(axis=0), features.std(axis=0) + 1e-9
        scaled = (features - self.mean) / self.spread
        # A noisy direction: the seed counts, as in a model that is trained.
        self.weight = np.cov(scaled.T, train.label)[-1, :-1] + context.generator().normal(0, 0.002, scaled.shape[1])
        self.slope = -0.1

    def base(self, pairs):
        scaled = (np.nan_to_num(pairs.features) - self.mean) / self.spread
        return scaled @ self.weight + self.slope * np.log10(np.nan_to_num(pairs.distance, nan=1e9) + 1)

    def score(self, supports, query, cell_table):
        return np.tile(self.base(query), (supports.n_episodes, 1))


class ReadsThePlace(Healthy):
    """Scores rise along the query as it comes."""

    name = "reads-the-place"

    def score(self, supports, query, cell_table):
        return super().score(supports, query, cell_table) + np.linspace(0, 0.3, query.n)


class BatchStatistics(Healthy):
    """Batch normalisation over whatever pairs are asked for together."""

    name = "batch-statistics"

    def score(self, supports, query, cell_table):
        scores = super().score(supports, query, cell_table)
        return (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)


class Undecided(Healthy):
    """Draws from the clock instead of the seed."""

    name = "undecided"

    def fit(self, train, context):
        super().fit(train, context)
        self.weight = self.weight + np.random.default_rng(time.perf_counter_ns()).normal(0, 0.01, self.weight.size)


class KnowsTheCell(Healthy):
    """Trains on the cell that is number 0 alone, as if the number were a name."""

    name = "knows-the-cell"

    def fit(self, train, context):
        super().fit(train.of_cell(0), context)


class KnowsTheCellSurely(KnowsTheCell):
    """The same without any draw."""

    name = "knows-the-cell-surely"
    deterministic = True

    def fit(self, train, context):
        super().fit(train, type(context)(seed=0))


def handicapped(scores, query):
    """Scores with noise of the pair's own, the same whatever else is asked for."""
    return scores + 0.5 * np.sin(1e6 * np.nan_to_num(query.features).sum(axis=1))


class ClaimsGain(Healthy):
    """Is better with a support than without, whatever the labels of the support."""

    name = "claims-gain"

    def score(self, supports, query, cell_table):
        scores = super().score(supports, query, cell_table)
        if supports.k:
            return scores
        return handicapped(scores, query)


class ReadsSupportLabels(Healthy):
    """Healthy: the same handicap without support, taken away by the labels of the support."""

    name = "reads-support-labels"

    def score(self, supports, query, cell_table):
        if not supports.k:
            return handicapped(super().score(supports, query, cell_table), query)
        base, pool = self.base(query), self.base(supports.pool)
        out = []
        for rows, label in zip(supports.rows, supports.label, strict=True):
            chosen = pool[rows]
            if np.unique(label).size < 2:
                out.append(base)
                continue
            out.append(base * np.sign(chosen[label == 1].mean() - chosen[label == 0].mean()))
        return np.stack(out)


class GeneLookup(Healthy):
    """How often each gene and element was positive, with a sprinkle of features so that it looks like a model."""

    name = "gene-lookup"
    reads = frozenset({Reads.FEATURES, Reads.DISTANCE, Reads.COORDINATES})
    regimes = frozenset({Regime.NONE})

    def fit(self, train, context):
        super().fit(train, context)
        gene, label = train.pairs.gene, train.label
        self.table = {one: label[gene == one].mean() for one in np.unique(gene)}

    def score(self, supports, query, cell_table):
        known = np.array([self.table.get(gene, 0.0) for gene in query.gene.tolist()])
        seen = np.array([gene in self.table for gene in query.gene.tolist()])
        sprinkle = 1e-3 * np.tanh(self.base(query)) * seen
        return np.tile(10.0 * known + sprinkle, (supports.n_episodes, 1))


class DeclaredLookup(GeneLookup):
    """The same, and says so."""

    name = "declared-lookup"
    control = True


class LeaksByOrder(Healthy):
    """First come, first scored: perfect wherever a file lists the positives first."""

    name = "leaks-by-order"

    def score(self, supports, query, cell_table):
        return np.tile(-np.arange(query.n, dtype=float), (supports.n_episodes, 1))


class LeaksById(Healthy):
    """Small gene numbers first: perfect wherever genes were numbered by their labels."""

    name = "leaks-by-id"
    reads = frozenset({Reads.FEATURES, Reads.DISTANCE, Reads.COORDINATES})

    def score(self, supports, query, cell_table):
        return np.tile(-query.gene.astype(float), (supports.n_episodes, 1))


class PeeksAtLabels(Healthy):
    """Climbs the call stack until some caller holds the labels of the query."""

    name = "peeks-at-labels"

    def score(self, supports, query, cell_table):
        scores = super().score(supports, query, cell_table)
        frame = sys._getframe(1)
        while frame is not None:
            for held in list(frame.f_locals.values()):
                case = getattr(held, "case", held)
                label = getattr(case, "query_label", None)
                if label is not None and len(label) == query.n and case.query is query:
                    return scores + 5.0 * label
            frame = frame.f_back
        return scores


class AuditsItself(Healthy):
    """Healthy, with an audit of its own, one finding of which fails where it is told to."""

    name = "audits-itself"

    def __init__(self, wrong=False):
        self.wrong = wrong

    def config(self):
        return {"wrong": self.wrong}

    def audit(self, train, context, *, strict=False, monitors=None):
        outcome = Outcome.FAIL if self.wrong else Outcome.PASS
        if strict and self.wrong:
            raise AuditFailure("The audit weight-moves failed (AuditsItself, task loss): it stood still.")
        if monitors is not None:
            monitors.write_text("weights\n")
        figure = np.float64(np.nan if self.wrong else train.pairs.n)
        return [Finding("weight-moves", outcome, "The weights move in training.", {"rows": figure}, "task loss")]


class AuditBreaksOff(Healthy):
    """Its own audit raises."""

    name = "audit-breaks-off"

    def audit(self, train, context, *, strict=False, monitors=None):
        raise KeyError("no such part")

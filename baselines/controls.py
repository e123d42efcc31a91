"""Controls: scores without transferable biology. A method that does not beat them has shown nothing."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ..methods.base import FitContext, Method, PairTable, Reads, Regime, Supports, TrainTable
from ..tasks.errors import MethodError

_ZERO_SHOT = frozenset({Regime.NONE})
#: Farther than any two loci of a genome: pairs of unknown distance come last, whatever else is scored.
_BEYOND_GENOME_BP = 1e11


class _Control(Method):
    """Zero-shot, and the same whatever the seed."""

    regimes = _ZERO_SHOT
    deterministic = True
    control = True

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Nothing to learn."""

    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """One row of scores for all supports; see `Method.score`."""
        return np.broadcast_to(self._score(query, cell_table), (supports.n_episodes, query.n))

    @abstractmethod
    def _score(self, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """(n,) scores."""


class Constant(_Control):
    """Every pair scores 0: the level of a method that knows nothing."""

    name = "constant"
    summary = "the same score for every pair"
    reads = frozenset()

    def _score(self, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        return np.zeros(query.n)


class Distance(_Control):
    """Nearer pairs first; pairs of unknown distance last.

    Raises (from `fit`):
        MethodError: the task gives no distances.
    """

    name = "distance"
    summary = "1/distance: nearer pairs first"
    reads = frozenset({Reads.DISTANCE})

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Check that there are distances."""
        train.pairs.column("distance")

    def _score(self, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        return -np.nan_to_num(query.column("distance"), nan=_BEYOND_GENOME_BP)


class ActivityDistance(_Control):
    """Activity x distance decay, as in the activity-by-contact model with a power-law contact.

    Score = geometric mean of the card's activity features x max(d, 5000 bp)^-0.87. Pairs of unknown
    distance come last; a missing activity counts as 0. The exponent is the power law that the
    activity-by-contact model falls back to where no Hi-C map exists.

    Raises (from `fit`):
        MethodError: the card names no activity features, or the task gives no distances.
    """

    name = "activity-distance"
    summary = "enhancer activity x distance^-0.87, nothing fitted"
    reads = frozenset({Reads.FEATURES, Reads.DISTANCE})
    paper = "Fulco et al. 2019, doi:10.1038/s41588-019-0538-0"

    NEAREST_BP = 5000.0
    EXPONENT = -0.87

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Remember which columns make up the activity."""
        if not context.activity:
            raise MethodError(
                "The task card names no activity features, so that the control `activity-distance` does not "
                "apply; name them under `activity` on the card."
            )
        if train.pairs.distance is None:
            raise MethodError("The task gives no distances, so that the control `activity-distance` does not apply.")
        self._columns = list(context.activity)

    def _score(self, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        signals = np.nan_to_num(query.column("features")[:, self._columns].astype(np.float64), nan=0.0)
        distance = query.column("distance")
        activity = np.prod(np.maximum(signals, 0.0), axis=1) ** (1.0 / len(self._columns))
        score = activity * np.maximum(distance, self.NEAREST_BP) ** self.EXPONENT
        return np.where(np.isnan(distance), -1.0, score)


class _IdentityPrior(_Control):
    """How often an identity was positive in the training cells, smoothed, as a logit.

    The estimate is (n_pos + 2p) / (n + 2) over the rows of the identity, p the prevalence of all training
    rows; an identity that was never seen gets p. Under `cell+chrom` none was ever seen: constant.
    """

    reads = frozenset({Reads.COORDINATES})
    logits = True
    identity = ""

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Count rows and positives of every identity over all training cells."""
        code = train.pairs.column(self.identity)
        prevalence = float(np.clip(train.prevalence, 1e-9, 1 - 1e-9))
        rows = np.bincount(code)
        positives = np.bincount(code, weights=train.label)
        estimate = (positives + 2 * prevalence) / (rows + 2)
        self._logit = np.log(estimate) - np.log1p(-estimate)
        self._unseen = float(np.log(prevalence) - np.log1p(-prevalence))

    def _score(self, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        code = query.column(self.identity)
        seen = code < self._logit.size
        return np.where(seen, self._logit[np.where(seen, code, 0)], self._unseen)


class GenePrior(_IdentityPrior):
    """Share of a gene's rows that were positive in the training cells, smoothed."""

    name = "gene-prior"
    summary = "how often the gene was positive in the training cells"
    identity = "gene"


class ElementPrior(_IdentityPrior):
    """Share of an element's rows that were positive in the training cells, smoothed."""

    name = "element-prior"
    summary = "how often the element was positive in the training cells"
    identity = "element"


class GeneDegree(_Control):
    """Number of distinct candidate elements of the gene in the held-out cell's own list, more = higher.

    No label enters: whatever it scores above chance comes from how the table was sampled.
    """

    name = "gene-degree"
    summary = "number of candidate elements of the gene in the cell's own list"
    reads = frozenset({Reads.CONTEXT})
    transductive = True

    def _score(self, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        if cell_table is None:
            raise MethodError("The control `gene-degree` needs the cell table.")
        gene = query.column("gene")
        listed = np.column_stack([cell_table.column("gene"), cell_table.column("element")])
        candidates = np.unique(listed, axis=0)
        genes, degree = np.unique(candidates[:, 0], return_counts=True)
        place = np.searchsorted(genes, gene).clip(max=genes.size - 1)
        return np.where(genes[place] == gene, degree[place], 0).astype(np.float64)

"""The plugin contract: what a method declares, what it is given, what it must return.

A new method is one file: subclass `Method`, declare `reads`, `regimes` and the other facts, write `fit`
and `score`. The runner hands over only the columns that were declared; undeclared ones are None. Labels
of query pairs never enter the process in which a method runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import ClassVar

import numpy as np

from ..tasks.draws import Balance
from ..tasks.errors import MethodError

CONTRACT_VERSION = "1"


class Reads(StrEnum):
    """What a method looks at."""

    FEATURES = "features"  #: chromatin features of the pair
    SEQUENCE = "sequence"  #: DNA of enhancer and promoter
    DISTANCE = "distance"  #: enhancer-TSS distance in bp
    COORDINATES = "coordinates"  #: positions and identities of element and gene, shared over cells
    CONTEXT = "context"  #: the cell's candidate list: which pairs were tabulated (marked C)


class Regime(StrEnum):
    """What a method may know of the held-out cell."""

    NONE = "none"  #: nothing (zero-shot, k = 0)
    UNLABELLED = "unlabelled"  #: k pairs without labels
    LABELLED = "labelled"  #: k pairs with labels


@dataclass(frozen=True, eq=False)
class PairTable:
    """n EP pairs without labels. A field that the method did not declare, or that the task lacks, is None.

    Two tables are equal only if they are the same object, and columns stay as they are: ranks of a table are kept
    (`methods.features`).

    Attributes:
        n: number of pairs.
        features: (n, F) float32; the source's raw values.
        distance: (n,) float64 bp, NaN where unknown.
        enhancer_sequence: (n, L_E) uint8 codes A, C, G, T, N = 0..4.
        promoter_sequence: (n, L_P) uint8, likewise.
        chrom: (n,) int32 chromosome code.
        enhancer_start, enhancer_end, tss: (n,) int64 bp, -1 where unknown.
        strand: (n,) int8 of the promoter: +1, -1, 0 unknown.
        element, gene: (n,) int32 identities: shared over cells with `coordinates`, equal only within one
            cell with `context` alone.
    """

    n: int
    features: np.ndarray | None = None
    distance: np.ndarray | None = None
    enhancer_sequence: np.ndarray | None = None
    promoter_sequence: np.ndarray | None = None
    chrom: np.ndarray | None = None
    enhancer_start: np.ndarray | None = None
    enhancer_end: np.ndarray | None = None
    tss: np.ndarray | None = None
    strand: np.ndarray | None = None
    element: np.ndarray | None = None
    gene: np.ndarray | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name != "n" and value is not None and len(value) != self.n:
                raise MethodError(f"PairTable.{f.name} has {len(value)} rows where n = {self.n}.")

    def column(self, name: str) -> np.ndarray:
        """A column that a method cannot do without.

        Raises:
            MethodError: it is None.
        """
        value: np.ndarray | None = getattr(self, name)
        if value is None:
            raise MethodError(
                f"The column `{name}` is missing: the task does not give it, or the method does not declare it."
            )
        return value

    def take(self, rows: np.ndarray) -> PairTable:
        """The pairs `rows` (indices or mask), in that order."""
        taken = {
            f.name: value[rows]
            for f in fields(PairTable)
            if f.name != "n" and (value := getattr(self, f.name)) is not None
        }
        return PairTable(n=int(np.arange(self.n)[rows].size), **taken)


@dataclass(frozen=True)
class TrainTable:
    """Labelled pairs of the training cells.

    Attributes:
        pairs: n pairs.
        label: (n,) int8, 1 = interacts.
        cell: (n,) int32 in 0..n_cells-1; anonymous, and never the id of the held-out cell.
        n_cells: number of training cells.
    """

    pairs: PairTable
    label: np.ndarray
    cell: np.ndarray
    n_cells: int

    def of_cell(self, cell: int) -> TrainTable:
        """The rows of one training cell (the cell code is kept)."""
        rows = np.flatnonzero(self.cell == cell)
        return replace(self, pairs=self.pairs.take(rows), label=self.label[rows], cell=self.cell[rows])

    @property
    def prevalence(self) -> float:
        """Share of positives over all rows."""
        return float(np.mean(self.label))


@dataclass(frozen=True)
class Supports:
    """E supports of k pairs each, drawn from one shared pool, so that a pool row is encoded once.

    Attributes:
        regime: `none` (k = 0), `unlabelled` or `labelled`.
        balance: how they were drawn; under `balanced` the prevalence is an artefact.
        pool: the distinct pairs that occur in any of the supports.
        rows: (E, k) int64 indices into `pool`.
        label: (E, k) int8, or None unless the regime is `labelled`.
    """

    regime: Regime
    balance: Balance
    pool: PairTable
    rows: np.ndarray
    label: np.ndarray | None = None

    @property
    def n_episodes(self) -> int:
        """E."""
        return int(self.rows.shape[0])

    @property
    def k(self) -> int:
        """Pairs per support."""
        return int(self.rows.shape[1])


@dataclass(frozen=True)
class FitContext:
    """What a fit knows beside the training rows.

    Attributes:
        seed: seed of every random choice the method makes.
        feature_names: names of the feature columns.
        activity: columns of `features` whose geometric mean is the enhancer activity (may be empty).
        budget: factor on a method's default number of training steps, > 0 (tests and demos lower it).
    """

    seed: int = 0
    feature_names: tuple[str, ...] = ()
    activity: tuple[int, ...] = ()
    budget: float = 1.0

    def steps(self, default: int) -> int:
        """`default` training steps scaled by the budget, at least 1."""
        return max(1, round(default * self.budget))

    def generator(self, stream: int = 0) -> np.random.Generator:
        """A numpy generator that depends on the seed and on `stream` only."""
        return np.random.Generator(np.random.Philox(key=[self.seed, stream]))


@dataclass(frozen=True)
class Capabilities:
    """The declared facts of a method, as the runner and the leaderboard use them."""

    reads: frozenset[Reads]
    regimes: frozenset[Regime]
    transductive: bool
    deterministic: bool
    logits: bool
    control: bool

    @property
    def marks(self) -> str:
        """Leaderboard marks: T transductive, C reads the candidate-list context."""
        return "T" * self.transductive + "C" * (Reads.CONTEXT in self.reads)


class Method(ABC):
    """Base class of every method.

    Class attributes to declare:
        name: registry name. summary: one line for `epishot methods`. version: raise it when scores change.
        reads: what it looks at. regimes: which it serves; a method that serves only `none` is run once and
            shown at every k. transductive: whether `score` uses `cell_table`. deterministic: equal whatever
            the seed (then fitted once). logits: whether scores are logits of P(y=1) (calibration metrics).
        control: no transferable biology. paper: source of the method.
        settings: at most 4 mappings of constructor arguments, the default first. The runner chooses one for each
            held-out cell on an inner training cell (see `benchmark.tuning`); empty = not tuned.

    Constructor keyword arguments are the method's configuration; they must be JSON values with defaults.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[str] = "1"
    paper: ClassVar[str] = ""
    reads: ClassVar[frozenset[Reads]]
    regimes: ClassVar[frozenset[Regime]]
    transductive: ClassVar[bool] = False
    deterministic: ClassVar[bool] = False
    logits: ClassVar[bool] = False
    control: ClassVar[bool] = False
    settings: ClassVar[tuple[Mapping[str, object], ...]] = ()

    @classmethod
    def capabilities(cls) -> Capabilities:
        """The declarations of the class in one frozen object."""
        return Capabilities(
            reads=frozenset(cls.reads),
            regimes=frozenset(cls.regimes),
            transductive=cls.transductive,
            deterministic=cls.deterministic,
            logits=cls.logits,
            control=cls.control,
        )

    def config(self) -> Mapping[str, object]:
        """The live configuration (JSON values); part of the identity of every run."""
        return {}

    @abstractmethod
    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Meta-train on the training cells. Called once, before any `score`."""

    @abstractmethod
    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """Score the query pairs under each support.

        Must not change the state of the method: the runner calls it for several regimes and k, in any order.

        Args:
            supports: E supports (k = 0 and one-class supports are valid).
            query: n pairs of the held-out cell.
            cell_table: all pairs of the held-out cell without labels, in arbitrary order; None unless the
                method declares `transductive`. Without `context` it has no coordinates and no identities.

        Returns:
            (E, n) finite float array, larger = more likely to interact; logits if the class says so. Where
            the score ignores the support, a broadcast view of one row is fine.
        """

    def n_parameters(self) -> int | None:
        """Number of trained parameters, where that means something."""
        return None


class EpisodeMethod(Method):
    """A method that handles one support at a time; the loop over episodes is done here."""

    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """Call `score_episode` for each support; see `Method.score`."""
        out = np.empty((supports.n_episodes, query.n))
        for e in range(supports.n_episodes):
            label = None if supports.label is None else supports.label[e]
            out[e] = self.score_episode(supports.pool.take(supports.rows[e]), label, query, cell_table)
        return out

    @abstractmethod
    def score_episode(
        self, support: PairTable, label: np.ndarray | None, query: PairTable, cell_table: PairTable | None
    ) -> np.ndarray:
        """Score the query under one support of k pairs with labels (k,) or None; returns (n,)."""


def no_support(like: PairTable) -> Supports:
    """The zero-shot support: E = 1, k = 0, with the columns of `like`."""
    return Supports(
        regime=Regime.NONE,
        balance=Balance.NATURAL,
        pool=like.take(np.empty(0, dtype=np.int64)),
        rows=np.empty((1, 0), dtype=np.int64),
    )

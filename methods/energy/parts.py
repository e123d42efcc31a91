"""The interfaces of the family: what an encoder, estimator, coupling and loss are given and must return.

The flow of one forward, in training and in inference alike:

    pairs -> Encoder -> hidden h -> wrapper -> latent z -> head -> potential U        (never sees the cell)
    support -> Estimator -> embedding e -> Modulator -> raw parameters -> Coupling.natural
    (U, z) x natural parameters x temperature T -> Coupling -> logit

Sizes: n pairs, B blocks (episodes) of m query rows, E cells or supports, k support rows, d latent, h hidden,
d_e embedding, P parameters of a coupling (with a temperature of the cell's own: the last one).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class PairInputs(NamedTuple):
    """What an encoder reads of n pairs; a field that its kind does not need, or the task lacks, is None.

    Attributes:
        features: (n, F + 1) float, scaled features and log10 distance last; NaN = unknown.
        enhancer, promoter: (n, L) uint8 codes A, C, G, T, N = 0..4.
    """

    features: Tensor | None
    enhancer: Tensor | None = None
    promoter: Tensor | None = None

    def take(self, rows: Tensor) -> PairInputs:
        """The pairs `rows`, in that order."""
        return PairInputs(*(None if value is None else value[rows] for value in self))

    def to(self, where: torch.device) -> PairInputs:
        """The same pairs on another device."""
        return PairInputs(*(None if value is None else value.to(where) for value in self))

    @property
    def n(self) -> int:
        """Number of pairs."""
        return next(int(value.shape[0]) for value in self if value is not None)


class Hidden(NamedTuple):
    """What an encoder makes of n pairs: hidden (n, h), and the scalar of its own auxiliary losses, if any."""

    hidden: Tensor
    penalty: Tensor | None = None


class Encoder(nn.Module, ABC):
    """From pairs to hidden vectors; it never sees the cell.

    Attributes:
        size: h.
    """

    size: int

    @abstractmethod
    def forward(self, inputs: PairInputs) -> Hidden:
        """n pairs -> (n, size)."""


class Encoded(NamedTuple):
    """What the pair side knows of pairs; shapes (n, ...) or, in training, (B, m, ...).

    Attributes:
        potential: (n,) U. latent: (n, d) z. hidden: (n, h), what a second branch reads.
        mean, log_variance: (n, d) of the information bottleneck, None without one.
        chromatin: (n, K) predicted chromatin features, None without the head.
        penalty: scalar of the encoder's auxiliary losses, None without.
    """

    potential: Tensor
    latent: Tensor
    hidden: Tensor
    mean: Tensor | None = None
    log_variance: Tensor | None = None
    chromatin: Tensor | None = None
    penalty: Tensor | None = None

    def apply(self, function: Callable[[Tensor], Tensor]) -> Encoded:
        """`function` of every tensor that is there, the scalar penalty excepted."""
        rows = [None if value is None else function(value) for value in self[:-1]]
        return Encoded._make([*rows, self.penalty])


class SupportRows(NamedTuple):
    """E supports of at most k rows; nothing in it has a graph that leads to the encoder.

    Attributes:
        potential: (E, k) U of the rows. latent: (E, k, d) z. hidden: (E, k, h).
        base: (E, k) logit of each row in a cell of which nothing is known.
        label: (E, k) 0/1, or None if unknown everywhere. labelled: (E,) bool; False hides that support's labels.
        present: (E, k) bool; False marks padding, and an all-False row is the empty support.
    """

    potential: Tensor
    latent: Tensor
    hidden: Tensor
    base: Tensor
    label: Tensor | None
    labelled: Tensor
    present: Tensor

    @property
    def known(self) -> Tensor:
        """(E, k) float, 1 where a label may be read."""
        if self.label is None:
            return torch.zeros_like(self.potential)
        return (self.labelled.unsqueeze(1) & self.present).to(self.potential.dtype)

    @property
    def residual(self) -> Tensor:
        """(E, k) y - sigma(base) where the label is known, else 0."""
        if self.label is None:
            return torch.zeros_like(self.potential)
        return self.known * (self.label.to(self.base.dtype) - torch.sigmoid(self.base))


class CellFacts(NamedTuple):
    """What is known of E cells beside their supports.

    Attributes:
        code: (E,) int64 code of the training cell, -1 = treated as unknown (always so for a held-out cell).
        observed: (E, V) statistics v_c of the cell's unlabelled chromatin features, None if nobody asks.
        hidden: (E,) code of the training cell that a pseudo-OOD episode pretends not to know, so that nothing which
            was learned of that very cell may be read; -1 = none. None, as at inference: none anywhere.
    """

    code: Tensor
    observed: Tensor | None = None
    hidden: Tensor | None = None


class Estimator(nn.Module, ABC):
    """From E supports or cells to embeddings; permutation invariant over support rows.

    Labelled, unlabelled and empty supports are all valid; an empty support (and nothing else known) gives 0.

    Attributes:
        size: d_e. reads_code: whether the cell's id is looked up.
    """

    size: int
    reads_code: ClassVar[bool] = False

    @abstractmethod
    def forward(self, support: SupportRows, facts: CellFacts) -> Tensor:
        """E supports -> (E, size)."""


class Environment(NamedTuple):
    """What the coupling is told of E cells: natural parameters (E, P) and embedding (E, d_e)."""

    parameters: Tensor
    embedding: Tensor


class Pairs(NamedTuple):
    """Pairs as a coupling sees them: U (n,) or (E, n); z (n, d) or (E, n, d); head z -> U for couplings that bend z."""

    potential: Tensor
    latent: Tensor
    head: Callable[[Tensor], Tensor]


class Canonical(NamedTuple):
    """A scalar coupling in canonical form: logit = slope U + offset, each (E,).

    For a coupling that is not affine in U: its statistical linearisation under U ~ N(0, 1), slope E[F'(U)] and
    offset E[F(U)].
    """

    slope: Tensor
    offset: Tensor


class Coupling(nn.Module, ABC):
    """How potential and environment form a logit.

    Attributes:
        n_raw: P without temperature. x_dependent: whether rankings inside a cell can change, or are those of U.
        names: of the P parameters.
    """

    x_dependent: ClassVar[bool]
    names: tuple[str, ...]

    @property
    def n_raw(self) -> int:
        """P, without a temperature of the cell's own."""
        return len(self.names)

    @abstractmethod
    def natural(self, raw: Tensor) -> Tensor:
        """(E, P) unconstrained -> (E, P) parameters in their ranges (R >= 0, M > 0, ...)."""

    @abstractmethod
    def neutral(self) -> Tensor:
        """(P,) natural parameters of no environment (R = 0, M = 1, B = 0), used while U is trained alone."""

    @abstractmethod
    def default(self) -> Tensor:
        """(P,) raw parameters that training starts from."""

    @abstractmethod
    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """Logits (E, n) of one set of n pairs for all cells, or of E sets; natural (E, P), temperature () or (E, 1)."""

    @abstractmethod
    def canonical(self, natural: Tensor, temperature: Tensor) -> Canonical:
        """a(c) and b(c) of the part that does not depend on z; natural (E, P), temperature () or (E, 1)."""


@dataclass(frozen=True)
class Step:
    """Everything one training step computed; what no active loss reads may be None.

    Attributes:
        logits: (B, m). label: (B, m) bool. potential: (B, m). latent: (B, m, d).
        cell: (B, m) int64 code of each query row's cell (also of pseudo-OOD episodes). known: (B,) bool, the
            teacher may speak.
        prevalence: (B,) natural share of positives that the query stands for.
        temperature: () or (B, 1).
        environment: the one used for `logits` (fused where known). student, teacher, opportunist: the single
            voices; teacher rows of unknown cells are meaningless (see `known`).
        student_logits, opportunist_logits: (B, m) under that voice alone.
        second: (B,) student's reading of a second, disjoint support of the same cells.
        support_cell: (B,) code of the cell each support was drawn from (-1 = mixed).
        branch: (B, k, d_e) environment features e of support rows. branch_present: (B, k) bool.
        mean, log_variance: (B, m, d). chromatin, chromatin_target: (B, m, K). penalty: scalar.
        swap: two (s, d) latents of the same enhancer-gene pairs in two cells.
        coupling: the live coupling.
        prototypes: (K, width of a row's features), the student's moving ones, by training cell.
        nodes: (K, d_e), the teacher's prototypes, joined by its graph.
    """

    logits: Tensor
    label: Tensor
    potential: Tensor
    latent: Tensor
    cell: Tensor
    known: Tensor
    prevalence: Tensor
    temperature: Tensor
    environment: Environment
    coupling: Coupling
    student: Environment | None = None
    teacher: Environment | None = None
    opportunist: Environment | None = None
    student_logits: Tensor | None = None
    opportunist_logits: Tensor | None = None
    second: Environment | None = None
    support_cell: Tensor | None = None
    branch: Tensor | None = None
    branch_present: Tensor | None = None
    mean: Tensor | None = None
    log_variance: Tensor | None = None
    chromatin: Tensor | None = None
    chromatin_target: Tensor | None = None
    penalty: Tensor | None = None
    swap: tuple[Tensor, Tensor] | None = None
    prototypes: Tensor | None = None
    nodes: Tensor | None = None

"""What an audit examines: a method fitted under observation, and the cell that it did not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...base import PairTable, Regime, Supports, TrainTable
from ..config import EnergyConfig
from ..method import EnergyMethod
from ..model import EnergyModel
from ..parts import CellFacts, Encoded, Pairs, SupportRows
from .held_out import HeldOut
from .monitor_table import Monitors
from .snapshot import Snapshot
from .watch import Watch


class Evaluation(NamedTuple):
    """One call of early stopping's score: the labels and cells it was given, and what it returned."""

    label: np.ndarray
    score: np.ndarray
    cell: np.ndarray
    value: float


@dataclass
class Subject:
    """All that checks may ask.

    Attributes:
        method: fitted on `train`. declared: its configuration before training. held: the cell it is asked about.
        watch: records of the training. seed, budget: of its context.
        monitors, snapshots: of the training. evaluations: of early stopping.
    """

    method: EnergyMethod
    declared: EnergyConfig
    train: TrainTable
    held: HeldOut
    watch: Watch
    seed: int
    budget: float = 1.0
    monitors: Monitors = field(default_factory=Monitors)
    snapshots: list[Snapshot] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)

    @property
    def model(self) -> EnergyModel:
        """The trained model."""
        return self.method.model

    @property
    def model_parameters(self) -> int:
        """Trained numbers of the model."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def last(self) -> Snapshot:
        """The trained model's snapshot."""
        return self.snapshots[-1]

    @property
    def regimes(self) -> Sequence[Regime]:
        """Those that the method serves, the most telling first."""
        order = (Regime.LABELLED, Regime.UNLABELLED, Regime.NONE)
        return [regime for regime in order if regime in self.method.regimes]

    @property
    def reads_support(self) -> bool:
        """Whether the method serves a regime with a support."""
        return self.regimes[0] is not Regime.NONE

    def score(self, supports: Supports, query: PairTable | None = None) -> np.ndarray:
        """(E, n) scores of the held-out cell, in float64."""
        found = self.method.score(supports, self.held.query if query is None else query, self.held.cell_table)
        return np.asarray(found, dtype=np.float64)

    def encoded(self, pairs: PairTable) -> Encoded:
        """The live encoder's word on pairs of the held-out cell."""
        with torch.no_grad():
            return self.method._encode(self.method._reader.of_cell(pairs, self.held.cell_table))

    def support_rows(self, supports: Supports) -> tuple[SupportRows, CellFacts]:
        """Supports of the held-out cell as a reader is given them, the cell unknown."""
        model, episodes = self.model, supports.n_episodes
        label = None if supports.label is None else torch.from_numpy(supports.label.astype(np.int64))
        rows = model.supports(
            self.encoded(supports.pool),
            torch.from_numpy(np.ascontiguousarray(supports.rows)),
            label,
            torch.full((episodes,), label is not None),
            torch.ones(supports.rows.shape, dtype=torch.bool),
        )
        return rows, CellFacts(torch.full((episodes,), -1), self._observed(episodes))

    def coupled(self, encoded: Encoded, natural: Tensor, temperature: Tensor) -> Tensor:
        """(E, n) logits by the live coupling, called directly."""
        model = self.model
        potential = encoded.potential if model.place is None else model.place(encoded.potential)
        logits: Tensor = model.coupling(Pairs(potential, encoded.latent, model.head), natural, temperature)
        return logits

    def _observed(self, episodes: int) -> Tensor | None:
        if not self.method._reads_cell or self.held.cell_table is None:
            return None
        from ..environments.cell_features import cell_statistics

        return torch.from_numpy(cell_statistics(self.held.cell_table.column("features"))).expand(episodes, -1)

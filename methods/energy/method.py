"""The energy method on the plugin contract: rows in, logits out; the presets only name a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...tasks.errors import MethodError
from ..base import FitContext, Method, PairTable, Reads, Regime, Supports, TrainTable
from ..features import FeatureMatrix, Scale
from .config import CouplingKind, EnergyConfig
from .environment import Environment
from .loci import locus_groups
from .model import Encoded, EnergyModel, as_float64, rows_of
from .training import Trained, TrainingRows, train_model

#: Rows encoded at a time when scoring.
_CHUNK = 8192


class CanonicalCoupling(NamedTuple):
    """Per support: logit = slope U + offset (scalar part); slope and offset (E,) float64."""

    slope: np.ndarray
    offset: np.ndarray


class EnergyMethod(Method):
    """Base of the energy presets: potential U of a pair against the resistance R of a cell.

    Reads per-cell ranked chromatin features and unranked log10 distance (hence transductive). Coordinates
    are read in training only, to keep the loci of a training episode's support and query apart.
    Keyword arguments are the fields of `EnergyConfig`; a preset fixes the coupling.

    Raises:
        MethodError: an unknown option or an impossible value.
    """

    reads = frozenset({Reads.FEATURES, Reads.DISTANCE, Reads.COORDINATES})
    regimes = frozenset(Regime)
    transductive = True
    logits = True
    coupling: ClassVar[CouplingKind]

    def __init__(self, **options: object) -> None:
        self._config = EnergyConfig.parse({"coupling": self.coupling, **options}, where=self.name)
        if self._config.coupling is not self.coupling:
            raise MethodError(
                f"Method {self.name!r} has the {self.coupling.value} coupling; "
                f"choose another preset for {self._config.coupling.value}."
            )
        self._matrix = FeatureMatrix(Scale.RANK)
        self._trained: Trained | None = None

    def config(self) -> Mapping[str, object]:
        """Every field of `EnergyConfig` as JSON values."""
        return self._config.model_dump(mode="json")

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Train on the training cells; see `train_model`."""
        rows = TrainingRows(
            inputs=self._matrix.of_train(train),
            label=train.label.astype(np.int64),
            cell=train.cell.astype(np.int64),
            loci=locus_groups(train.pairs),
        )
        trained = train_model(rows, train.n_cells, self._config, context)
        self._trained = trained._replace(model=as_float64(trained.model))

    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """(E, n) float64 logits; the query is encoded once, the coupling adds each support's environment."""
        with torch.no_grad():
            logits = self.model.logits(self._encode(query, cell_table), self._read(supports, cell_table))
        return logits.numpy()

    def potential(self, pairs: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """U of n pairs, (n,) float64, unbounded: a function of the pair, never of a support."""
        with torch.no_grad():
            return self._encode(pairs, cell_table).potential.numpy()

    def canonical(self, supports: Supports, cell_table: PairTable | None) -> CanonicalCoupling:
        """Slope a(c) and offset b(c) that each support leads to, for audits."""
        with torch.no_grad():
            slope, offset = self.model.canonical(self._read(supports, cell_table))
        return CanonicalCoupling(slope.numpy().copy(), offset.numpy())

    @property
    def model(self) -> EnergyModel:
        """The trained model in float64.

        Raises:
            MethodError: before `fit`.
        """
        if self._trained is None:
            raise MethodError(f"Method {self.name!r} was asked to score before it was fitted; call fit first.")
        return self._trained.model

    @property
    def training_losses(self) -> Mapping[str, float]:
        """Mean loss at the end of each training stage; empty before `fit`."""
        return {} if self._trained is None else self._trained.losses

    def n_parameters(self) -> int | None:
        """Number of trained parameters, None before `fit`."""
        return None if self._trained is None else sum(p.numel() for p in self._trained.model.parameters())

    def _encode(self, pairs: PairTable, cell_table: PairTable | None) -> Encoded:
        inputs = torch.from_numpy(self._matrix.of_cell(pairs, cell_table)).to(torch.float64)
        parts = [self.model.encode(part) for part in torch.split(inputs, _CHUNK)]
        return Encoded(torch.cat([p.potential for p in parts]), torch.cat([p.latent for p in parts]))

    def _read(self, supports: Supports, cell_table: PairTable | None) -> Environment:
        """The student's reading of E supports; the one rule for a cell that training has not seen."""
        rows = torch.from_numpy(np.ascontiguousarray(supports.rows))
        label: Tensor | None = None
        if supports.label is not None:
            label = torch.from_numpy(supports.label.astype(np.int64))
        labelled = torch.full((supports.n_episodes,), label is not None)
        present = torch.ones(rows.shape, dtype=torch.bool)
        encoded = self._encode(supports.pool, cell_table)
        return self.model.read(rows_of(encoded, rows, label, labelled, present))

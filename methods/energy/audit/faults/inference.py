"""Faults after training: how an unseen cell is scored, and how weights come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ....base import PairTable, Supports, TrainTable
from ... import method, weights
from ...method import EnergyMethod
from ...presets import EnergyAdditive, EnergyBilinear
from ..cell_monitors import average_precision
from .fault import Fault, swapped


def _branch_on_labels(train: TrainTable) -> AbstractContextManager[None]:
    """U or the energy under one of the supports, whichever ranks the cell best by labels that were kept aside."""
    features = train.pairs.column("features")
    kept = {row.tobytes(): int(label) for row, label in zip(features, train.label, strict=True)}
    real = EnergyMethod.score

    def score(self: EnergyMethod, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        energy = np.array(real(self, supports, query, cell_table))
        plain = self.potential(query, cell_table)
        label = np.array([kept.get(row.tobytes(), 0) for row in query.column("features")])
        branches = [plain, *energy]
        best = max(branches, key=lambda row: average_precision(label, row))
        return np.stack([best] * len(energy))

    return swapped(EnergyMethod, score=score)


def _partly_loaded(train: TrainTable) -> AbstractContextManager[None]:
    """What fits is loaded, what does not stays as it was initialised, and nobody is told."""

    def load(path: Path, build: Callable[[Any, Mapping[str, Any]], nn.Module], run: object) -> nn.Module:
        header, tensors = weights._read(path, weights=True)
        model = build(header.config, header.meta)
        saved = {name.removeprefix("weights/"): value for name, value in tensors.items() if "weights/" in name}
        model.load_state_dict({name: v for name, v in saved.items() if not name.startswith("head")}, strict=False)
        return model.eval()

    return swapped(method, load_weights=load)


def _other_temperature(train: TrainTable) -> AbstractContextManager[None]:
    real = EnergyMethod.score

    def score(self: EnergyMethod, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        return np.array(real(self, supports, query, cell_table)) / 1.5

    return swapped(EnergyMethod, score=score)


FAULTS = (
    Fault(
        "branch-on-test-labels",
        "a cell is scored by the branch with the highest test AUPR",
        ("one-energy", "J19-branch-choice"),
        _branch_on_labels,
        EnergyBilinear,
        budget=2.0,
    ),
    Fault(
        "checkpoint-partly-loaded",
        "weights that do not fit are left out without a word",
        ("checkpoint",),
        _partly_loaded,
    ),
    Fault(
        "another-energy-at-test",
        "scores are divided by a temperature that training does not have",
        ("one-energy",),
        _other_temperature,
        EnergyAdditive,
    ),
)

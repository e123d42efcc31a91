"""From tables of pairs to what an encoder reads, and nothing more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from ....tasks.errors import MethodError
from ...base import PairTable, Reads, TrainTable
from ...device import placed
from ...features import FeatureMatrix, Scale
from ..config import EncoderConfig, EnergyConfig, EstimatorKind
from ..parts import PairInputs


def reads(config: EnergyConfig) -> frozenset[Reads]:
    """What a method of this configuration must declare.

    Coordinates keep the loci of a training episode's support and query apart; no encoder sees them.
    """
    encoder, environment = config.encoder, config.environment
    wanted = {Reads.DISTANCE, Reads.COORDINATES, Reads.SEQUENCE if encoder.kind.reads_sequence else Reads.FEATURES}
    if encoder.chromatin or environment.student is EstimatorKind.CELL_FEATURES:
        wanted.add(Reads.FEATURES)
    return frozenset(wanted)


class InputReader:
    """Turns pairs into the inputs of one kind of encoder.

    Feature encoders get scaled features and log10 distance; sequence encoders get both sequences and, as the
    only column of `features`, log10 distance, even where the table holds features for somebody else.

    Args:
        config: of the encoder.
    """

    def __init__(self, config: EncoderConfig) -> None:
        self._sequences = config.kind.reads_sequence
        # Distance alone needs no ranks, and hence no cell table.
        self._matrix = FeatureMatrix(Scale.RAW if self._sequences else config.scale)

    def of_train(self, train: TrainTable) -> PairInputs:
        """Training rows, in their order; ranks are taken within each cell.

        Raises:
            MethodError: a sequence encoder and no sequences.
        """
        if self._sequences:
            train = replace(train, pairs=replace(train.pairs, features=None))
        return self._inputs(train.pairs, self._matrix.of_train(train))

    def of_cell(self, pairs: PairTable, cell_table: PairTable | None) -> PairInputs:
        """Pairs of the held-out cell; ranks are taken within `cell_table`.

        Raises:
            MethodError: a sequence encoder and no sequences, or rank scaling without a cell table.
        """
        if self._sequences:
            return self._inputs(pairs, self._matrix.of_cell(replace(pairs, features=None), None))
        return self._inputs(pairs, self._matrix.of_cell(pairs, cell_table))

    def _inputs(self, pairs: PairTable, matrix: np.ndarray) -> PairInputs:
        features = placed(matrix)
        if not self._sequences:
            return PairInputs(features)
        return PairInputs(features, _codes(pairs, "enhancer"), _codes(pairs, "promoter"))


def _codes(pairs: PairTable, side: str) -> Tensor:
    codes: np.ndarray | None = getattr(pairs, f"{side}_sequence")
    if codes is None:
        raise MethodError(f"This encoder reads DNA; this task has no {side} sequences. Use the features encoder.")
    return placed(np.ascontiguousarray(codes, dtype=np.uint8))


def chromatin_targets(train: TrainTable) -> np.ndarray:
    """What the chromatin head is to predict: features ranked within each training cell.

    Returns:
        (n, F) float32 in (0, 1], NaN where unknown.

    Raises:
        MethodError: the task has no chromatin features.
    """
    if train.pairs.features is None:
        raise MethodError("The chromatin head predicts chromatin features; this task has none.")
    return FeatureMatrix(Scale.RANK).of_train(train)[:, :-1]

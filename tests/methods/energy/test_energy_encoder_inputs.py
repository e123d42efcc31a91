"""What each kind of encoder is given, and what must be declared for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from epishot.methods.base import PairTable, Reads, TrainTable
from epishot.methods.energy.config import EncoderConfig, EncoderKind, EnergyConfig
from epishot.methods.energy.encoders.inputs import InputReader, chromatin_targets, reads
from epishot.methods.features import FeatureMatrix, Scale
from epishot.tasks.errors import MethodError


def _pairs(n: int = 12, *, sequences: bool = True, features: bool = True) -> PairTable:
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, size=(n, 3)).astype(np.float32)
    values[2, 1] = np.nan
    return PairTable(
        n=n,
        features=values if features else None,
        distance=rng.uniform(1e3, 1e6, n),
        enhancer_sequence=rng.integers(0, 5, (n, 8), dtype=np.uint8) if sequences else None,
        promoter_sequence=rng.integers(0, 5, (n, 9), dtype=np.uint8) if sequences else None,
    )


def _train(pairs: PairTable) -> TrainTable:
    return TrainTable(pairs, np.arange(pairs.n) % 2, np.arange(pairs.n) % 3, 3)


def test_feature_inputs_are_the_ranked_matrix():
    train = _train(_pairs())
    inputs = InputReader(EncoderConfig()).of_train(train)
    np.testing.assert_array_equal(inputs.features.numpy(), FeatureMatrix(Scale.RANK).of_train(train))
    assert inputs.enhancer is None
    raw = InputReader(EncoderConfig(scale=Scale.RAW)).of_cell(train.pairs, None)
    np.testing.assert_array_equal(raw.features[:, :3].numpy(), train.pairs.features)


@pytest.mark.parametrize("kind", [EncoderKind.KMER, EncoderKind.PRISM])
def test_sequence_inputs_hold_distance_alone_even_where_features_are_given(kind):
    pairs = _pairs()
    reader = InputReader(EncoderConfig(kind=kind))
    for inputs in (reader.of_train(_train(pairs)), reader.of_cell(pairs, None)):
        assert inputs.features.shape == (12, 1)
        np.testing.assert_allclose(inputs.features[:, 0].numpy(), np.log10(pairs.distance), rtol=1e-6)
        assert inputs.enhancer.dtype == torch.uint8
        np.testing.assert_array_equal(inputs.promoter.numpy(), pairs.promoter_sequence)


def test_missing_sequences_are_named():
    with pytest.raises(MethodError, match="no enhancer sequences"):
        InputReader(EncoderConfig(kind=EncoderKind.KMER)).of_cell(_pairs(sequences=False), None)


def test_rank_scaling_needs_the_cell_table():
    with pytest.raises(MethodError, match="cell table"):
        InputReader(EncoderConfig()).of_cell(_pairs(), None)


def test_chromatin_targets_are_ranks_in_the_own_cell_with_unknown_kept():
    train = _train(_pairs())
    targets = chromatin_targets(train)
    assert targets.shape == (12, 3)
    assert targets.dtype == np.float32
    assert np.isnan(targets[2, 1])
    assert np.isnan(targets).sum() == 1
    own = train.pairs.features[train.cell == 0, 0]
    np.testing.assert_allclose(targets[train.cell == 0, 0], (own[:, None] >= own).sum(1) / own.size)
    with pytest.raises(MethodError, match="this task has none"):
        chromatin_targets(_train(_pairs(features=False)))


def test_reads_follow_the_configuration():
    def of(**sections: object) -> frozenset[Reads]:
        return reads(EnergyConfig.parse(sections, where="test"))

    common = {Reads.DISTANCE, Reads.COORDINATES}
    assert of() == common | {Reads.FEATURES}
    assert of(encoder={"kind": "kmer"}) == common | {Reads.SEQUENCE}
    assert of(encoder={"kind": "prism", "chromatin": True}) == common | {Reads.SEQUENCE, Reads.FEATURES}
    observing = of(encoder={"kind": "prism"}, environment={"student": "cell_features"})
    assert observing == common | {Reads.SEQUENCE, Reads.FEATURES}

"""Faults of the pair side: encoder, bottleneck, what U sees."""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from ....base import PairTable, TrainTable
from ... import model as live_model
from ...config import EncoderConfig
from ...encoders.centre import CentredHead
from ...encoders.features import FeatureEncoder
from ...encoders.inputs import InputReader
from ...encoders.wrappers import Bottleneck, Latent, LatentMap, Wrapper
from ...forward import TrainingData
from ...method import EnergyMethod
from ...parts import Hidden, PairInputs
from ...presets import EnergyCmdn, EnergyInteraction, EnergyPseudoDecoupled
from .fault import Fault, swapped


def _without_bottleneck(train: TrainTable) -> AbstractContextManager[None]:
    def build(config: EncoderConfig, size: int) -> Wrapper:
        return LatentMap(size, config.latent)

    return swapped(live_model, build_wrapper=build)


def _silent_bottleneck(train: TrainTable) -> AbstractContextManager[None]:
    real = Bottleneck.forward

    def forward(self: Bottleneck, hidden: Tensor) -> Latent:
        _, mean, log_variance = real(self, hidden)
        assert mean is not None
        return Latent(mean, mean, log_variance)

    return swapped(Bottleneck, forward=forward)


def _code_in_features(train: TrainTable) -> AbstractContextManager[None]:
    return _data(lambda data: data.cell.float() * 2.0 - 3.0)


def _label_in_features(train: TrainTable) -> AbstractContextManager[None]:
    return _data(lambda data: data.label.float() * 4.0 - 2.0)


def _data(column: object) -> AbstractContextManager[None]:
    """The training rows' first feature column is something that an unseen cell does not have."""
    real = EnergyMethod._data

    def data(self: EnergyMethod, train: TrainTable) -> TrainingData:
        found = real(self, train)
        assert found.inputs.features is not None
        features = found.inputs.features.clone()
        features[:, 0] = column(found)  # type: ignore[operator]
        return found._replace(inputs=found.inputs._replace(features=features))

    return swapped(EnergyMethod, _data=data)


def _uneven(train: TrainTable) -> TrainTable:
    """Every other cell has lost all but fifteen of its positives."""
    keep = np.ones(train.label.size, dtype=bool)
    for code in range(0, train.n_cells, 2):
        keep[np.flatnonzero((train.cell == code) & (train.label == 1))[15:]] = False
    rows = np.flatnonzero(keep)
    return TrainTable(train.pairs.take(rows), train.label[rows], train.cell[rows], train.n_cells)


def _batch_statistics(train: TrainTable) -> AbstractContextManager[None]:
    real = FeatureEncoder.forward

    def forward(self: FeatureEncoder, inputs: PairInputs) -> Hidden:
        hidden, penalty = real(self, inputs)
        return Hidden(hidden - hidden.mean(0), penalty)

    return swapped(FeatureEncoder, forward=forward)


def _gene_lookup(train: TrainTable) -> AbstractContextManager[None]:
    """Every column is the positive rate of the pair's gene in training."""
    gene = train.pairs.column("gene")
    rate = np.full(int(gene.max()) + 1, train.prevalence, dtype=np.float32)
    count = np.bincount(gene, minlength=rate.size)
    rate = ((np.bincount(gene, train.label, minlength=rate.size) + 2 * train.prevalence) / (count + 2)).astype("f4")

    def looked_up(pairs: PairTable) -> PairInputs:
        genes = np.asarray(pairs.column("gene")).clip(0)
        value = np.where(genes < rate.size, rate[genes.clip(max=rate.size - 1)], train.prevalence).astype("f4")
        # Two columns, as if there were a feature and a distance.
        return PairInputs(torch.from_numpy(np.stack([value, value], axis=1)))

    def of_train(self: InputReader, train: TrainTable) -> PairInputs:
        return looked_up(train.pairs)

    def of_cell(self: InputReader, pairs: PairTable, cell_table: PairTable | None) -> PairInputs:
        return looked_up(pairs)

    return swapped(InputReader, of_train=of_train, of_cell=of_cell)


def _blind_encoder(train: TrainTable) -> AbstractContextManager[None]:
    real = FeatureEncoder.forward

    def forward(self: FeatureEncoder, inputs: PairInputs) -> Hidden:
        assert inputs.features is not None
        return real(self, inputs._replace(features=torch.full_like(inputs.features, torch.nan)))

    return swapped(FeatureEncoder, forward=forward)


def _shuffled_labels(train: TrainTable) -> AbstractContextManager[None]:
    real = EnergyMethod._data

    def data(self: EnergyMethod, train: TrainTable) -> TrainingData:
        found = real(self, train)
        order = torch.randperm(found.label.numel(), generator=torch.Generator().manual_seed(5))
        assert found.inputs.features is not None
        return found._replace(inputs=found.inputs._replace(features=found.inputs.features[order]))

    return swapped(EnergyMethod, _data=data)


def _drifting_centre(train: TrainTable) -> AbstractContextManager[None]:
    def follow(self: CentredHead, potential: Tensor) -> None:
        with torch.no_grad():
            self.centre -= 0.1

    return swapped(CentredHead, follow=follow)


FAULTS = (
    Fault(
        "bottleneck-removed",
        "the information bottleneck is a plain linear map",
        ("presence", "bottleneck"),
        _without_bottleneck,
        EnergyCmdn,
    ),
    Fault(
        "bottleneck-silent",
        "the bottleneck hands on its mean, in training too",
        ("bottleneck",),
        _silent_bottleneck,
        EnergyCmdn,
    ),
    Fault(
        "cell-in-encoder",
        "a feature column of the training rows holds the cell's code",
        ("cell-blind",),
        _code_in_features,
    ),
    Fault(
        "pseudo-decoupled",
        "U sees an id of the cell, prevalences differ, and unseen cells have no environment",
        ("J1-pseudo-decoupling", "J22-id-environment"),
        _code_in_features,
        EnergyPseudoDecoupled,
        table=_uneven,
        budget=4.0,
    ),
    Fault("batch-statistics", "the encoder centres hidden vectors over the batch", ("cell-blind",), _batch_statistics),
    Fault(
        "label-in-features",
        "a feature column of the training rows holds the label",
        ("J6-overfit",),
        _label_in_features,
        budget=2.0,
    ),
    Fault(
        "gene-lookup",
        "the encoder reads the positive rate of the pair's gene and nothing else",
        ("identity-blind", "J29-gene-prior"),
        _gene_lookup,
    ),
    Fault(
        "blind-encoder",
        "the encoder takes every feature for unknown",
        ("J5-collapse", "J21-weak-ranking"),
        _blind_encoder,
    ),
    Fault(
        "misaligned-rows",
        "features and labels of the training rows are out of step",
        ("J21-weak-ranking",),
        _shuffled_labels,
    ),
    Fault(
        "drifting-origin",
        "U is pushed up step by step and the offsets run after it",
        ("J4-translation-drift",),
        _drifting_centre,
        budget=4.0,
    ),
    Fault(
        "over-compressed",
        "the bottleneck costs ten nats a nat",
        ("J25-over-compression",),
        preset=EnergyCmdn,
        options={"losses": {"bottleneck": {"weight": 10.0}}},
        budget=4.0,
    ),
    Fault(
        "adversary-in-command",
        "gradient reversal weighs 10,000 times the preset's",
        ("J27-dominant-adversary",),
        preset=EnergyInteraction,
        options={"losses": {"domain": {"weight": 1000.0}}},
    ),
)

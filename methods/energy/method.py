"""The energy method on the plugin contract: rows in, logits out; a preset only names a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...tasks.errors import MethodError
from ..base import FitContext, Method, PairTable, Reads, Regime, Supports, TrainTable
from ..device import device, placed
from .config import DEFAULT_LOSSES, EnergyConfig, EstimatorKind
from .encoders.inputs import InputReader, chromatin_targets
from .encoders.inputs import reads as needed_reads
from .encoders.wrappers import ChromatinScale
from .environments.cell_features import CellFeatures, cell_statistics
from .forward import TrainingData
from .model import CHUNK, EnergyModel, as_float64
from .observing import Observer
from .parts import CellFacts, Encoded, Environment, PairInputs
from .samplers.base import UNKNOWN, TrainingLabels
from .samplers.loci import locus_groups
from .training import Trained, train_model
from .weights import load_weights, read_header, read_probe, save_weights

if TYPE_CHECKING:
    from ..audits.finding import Finding

#: Labelled rows of its own that a known cell is read from.
_KNOWN_SUPPORT = 128
#: Training pairs that saved weights are checked by.
_PROBE_ROWS = 32

_LOSSES = {name.value: loss.model_dump(mode="json") for name, loss in DEFAULT_LOSSES.items()}

FEATURE_READS = frozenset({Reads.FEATURES, Reads.DISTANCE, Reads.COORDINATES})
SEQUENCE_READS = frozenset({Reads.SEQUENCE, Reads.DISTANCE, Reads.COORDINATES})


class CanonicalCoupling(NamedTuple):
    """Per support: logit = slope U + offset (scalar part); slope and offset (E,) float64."""

    slope: np.ndarray
    offset: np.ndarray


class EnergyMethod(Method):
    """Base of the energy presets: one set of parts, put together by `EnergyConfig`.

    By default per-cell ranked chromatin features and unranked log10 distance are read (hence transductive).
    Coordinates and identities are read in training only, to keep the loci of a training episode's support and
    query apart and to find the same pair in two cells. Keyword arguments are the sections of `EnergyConfig`,
    merged into the preset's: `EnergyAdditive(encoder={"width": 64})`.

    Class attributes:
        preset: what this method changes of the default configuration.

    Raises:
        MethodError: an unknown option or an impossible value.
    """

    reads = FEATURE_READS
    regimes = frozenset(Regime)
    transductive = True
    logits = True
    version = "3"
    preset: ClassVar[Mapping[str, object]] = {}
    #: Watches the training of this object, for audits.
    observer: Observer | None = None

    def __init__(self, **options: object) -> None:
        self._config = EnergyConfig.parse(_merged({"losses": _LOSSES, **self.preset}, options), where=self.name)
        self._reader = InputReader(self._config.encoder)
        missing = sorted(needed_reads(self._config) - self.reads)
        if missing:
            raise MethodError(
                f"Method {self.name!r} does not read {', '.join(missing)}, which this configuration needs "
                f"(encoder {self._config.encoder.kind.value!r}); choose a preset that does."
            )
        self._trained: Trained | None = None
        self._probe: PairInputs
        self._sizes: Mapping[str, int]

    def config(self) -> Mapping[str, object]:
        """Every field of `EnergyConfig` as JSON values."""
        return self._config.model_dump(mode="json")

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Train on the training cells; see `train_model`."""
        labels = TrainingLabels(
            label=train.label.astype(np.int64),
            cell=train.cell.astype(np.int64),
            loci=locus_groups(train.pairs),
            identity=_identity(train.pairs),
        )
        data = self._data(train)
        self._probe = data.inputs.take(torch.arange(min(_PROBE_ROWS, train.pairs.n)))
        self._sizes = {
            "observed": 0 if data.observed is None else data.observed.shape[1],
            "chromatin": 0 if data.chromatin is None else data.chromatin.shape[1],
        }
        trained = train_model(data, labels, train.n_cells, self._config, context, self.observer)
        self._trained = trained._replace(model=as_float64(trained.model))

    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """(E, n) float64 logits; the query is encoded once, the coupling adds each support's environment."""
        if self._config.readout == "potential":
            return np.broadcast_to(self.potential(query, cell_table), (supports.n_episodes, query.n))
        with torch.no_grad():
            environment = self._read(supports, cell_table)
            encoded = self._encode(self._reader.of_cell(query, cell_table))
            return _coupled(self.model, encoded, environment).cpu().numpy()

    def potential(self, pairs: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """U of n pairs, (n,) float64, unbounded: a function of the pair, never of a support."""
        with torch.no_grad():
            return self._encode(self._reader.of_cell(pairs, cell_table)).potential.cpu().numpy()

    def canonical(self, supports: Supports, cell_table: PairTable | None) -> CanonicalCoupling:
        """Slope a(c) and offset b(c) that each support leads to, for audits."""
        with torch.no_grad():
            slope, offset = self.model.canonical(self._read(supports, cell_table))
        return CanonicalCoupling(slope.cpu().numpy().copy(), offset.cpu().numpy().copy())

    def score_training(self, train: TrainTable, seed: int = 0) -> np.ndarray:
        """(n,) float64 logits of training rows in their own, known cells: the same energy with the teacher's word.

        Each cell is read from 128 labelled rows of its own, drawn with `seed`; its id is known.
        """
        rng = np.random.default_rng(seed)
        data = self._data(train)
        out = np.empty(train.pairs.n)
        with torch.no_grad():
            for code in range(train.n_cells):
                rows = np.flatnonzero(train.cell == code)
                if not rows.size:
                    continue
                encoded = self._encode(data.inputs.take(placed(rows)))
                chosen = placed(rng.permutation(rows.size)[None, :_KNOWN_SUPPORT])
                label = placed(train.label[rows].astype(np.int64))[chosen]
                environment = self._known(encoded, chosen, label, code, data.observed)
                out[rows] = _coupled(self.model, encoded, environment)[0].cpu().numpy()
        return out

    def save(self, path: Path) -> None:
        """Write weights, configuration, and what the model makes of 32 training pairs, to one safetensors file.

        Raises:
            MethodError: before `fit`, or the file cannot be made.
        """
        model = self.model
        meta = {"method": self.name, "n_cells": model.n_cells, **self._sizes}
        probe = {name: value.contiguous() for name, value in self._probe._asdict().items() if value is not None}
        save_weights(path, model, self._config, meta, probe, _answer)

    def load(self, path: Path) -> None:
        """Take the weights of a file that a method of the same configuration wrote with `save`.

        Raises:
            MethodError: another method or configuration, tensors that do not fit (nothing is loaded then), or a
                model that no longer computes what it was saved with.
        """
        header = read_header(path)
        if header.config != self._config or header.meta.get("method") != self.name:
            raise MethodError(f"The weights in {path} belong to another method or configuration than {self.name!r}.")
        inputs = PairInputs(**{"features": None, **read_probe(path)})

        def build(config: EnergyConfig, meta: Mapping[str, Any]) -> EnergyModel:
            # Whatever it learns from these few rows is replaced by what the file holds.
            observed = torch.rand(meta["n_cells"], meta["observed"]) if meta["observed"] else None
            return as_float64(EnergyModel(config, inputs, meta["n_cells"], observed, meta["chromatin"]))

        model = load_weights(path, build, _answer)
        assert isinstance(model, EnergyModel)
        self._trained = Trained(model.to(device()), {}, {})

    def audit(
        self, train: TrainTable, context: FitContext, *, strict: bool = False, monitors: Path | None = None
    ) -> Sequence[Finding]:
        """Train another object of this configuration under observation; see `audit_energy`."""
        from .audit.audit import audit_energy

        return audit_energy(self, train, context, strict=strict, monitors=monitors)

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
    def training_losses(self) -> Mapping[str, Mapping[str, float]]:
        """Mean of each active loss at the end of each training stage; empty before `fit`."""
        return {} if self._trained is None else self._trained.losses

    @property
    def inactive_losses(self) -> Mapping[str, Mapping[str, str]]:
        """By training stage, configured losses that the training table left nothing to compare, and why."""
        return {} if self._trained is None else self._trained.inactive

    @property
    def reserved_rows(self) -> int | None:
        """How many training rows were kept for stages on reserved rows, None before `fit` and after `load`.

        0: too few positives to keep any apart, so every stage used all rows; the last stage then reads cells from rows
        on which U was trained.
        """
        return None if self._trained is None else self._trained.reserved_rows

    def n_parameters(self) -> int | None:
        """Number of trained parameters, None before `fit`."""
        return None if self._trained is None else sum(p.numel() for p in self._trained.model.parameters())

    def _data(self, train: TrainTable) -> TrainingData:
        chromatin = None
        if self._config.encoder.chromatin:
            targets = chromatin_targets(train)
            chromatin = placed(ChromatinScale(targets)(targets))
        return TrainingData(
            inputs=self._reader.of_train(train),
            label=placed(train.label.astype(bool)),
            cell=placed(train.cell.astype(np.int64)),
            observed=self._observed_training(train),
            chromatin=chromatin,
        )

    def _encode(self, inputs: PairInputs) -> Encoded:
        return self.model.encode_in_chunks(_exact(inputs))

    def _read(self, supports: Supports, cell_table: PairTable | None) -> Environment:
        """The student's reading of E supports; the one rule for a cell that training has not seen."""
        episodes = supports.n_episodes
        label = None if supports.label is None else placed(supports.label.astype(np.int64))
        rows = self.model.supports(
            self._encode(self._reader.of_cell(supports.pool, cell_table)),
            placed(np.ascontiguousarray(supports.rows)),
            label,
            torch.full((episodes,), label is not None, device=device()),
            torch.ones(supports.rows.shape, dtype=torch.bool, device=device()),
        )
        observed = None
        if self._reads_cell:
            if cell_table is None:
                raise MethodError(f"Method {self.name!r} reads the cell's chromatin, so it needs the cell table.")
            observed = placed(cell_statistics(cell_table.column("features"))).expand(episodes, -1)
        return self.model.read(rows, CellFacts(torch.full((episodes,), UNKNOWN, device=device()), observed))

    def _known(
        self, encoded: Encoded, chosen: Tensor, label: Tensor, code: int, observed: Tensor | None
    ) -> Environment:
        yes = torch.ones(1, dtype=torch.bool, device=device())
        rows = self.model.supports(encoded, chosen, label, yes, torch.ones_like(chosen, dtype=torch.bool))
        cell = placed(np.array([code]))
        facts = CellFacts(cell, None if observed is None else observed[cell].to(torch.float64))
        student = self.model.read(rows, facts)
        if self.model.teacher is None:
            return student
        return self.model.known(student, self.model.read_teacher(rows, facts), yes)

    @property
    def _reads_cell(self) -> bool:
        return self._config.environment.student is EstimatorKind.CELL_FEATURES

    def _observed_training(self, train: TrainTable) -> Tensor | None:
        if not self._reads_cell:
            return None
        features = train.pairs.column("features")
        cells = [cell_statistics(features[train.cell == code]) for code in range(train.n_cells)]
        return placed(np.stack(cells)).float()


def _answer(model: torch.nn.Module, probe: Mapping[str, Tensor]) -> Tensor:
    """What a model makes of a few pairs: U, and logits in a cell known by half of them with made-up labels."""
    assert isinstance(model, EnergyModel)
    inputs = PairInputs(**{"features": None, **probe})
    encoded = model.encode(_exact(inputs))
    k = inputs.n // 2
    yes = torch.ones(1, dtype=torch.bool, device=encoded.potential.device)
    rows = torch.arange(k, device=yes.device).unsqueeze(0)
    support = model.supports(encoded, rows, rows % 2, yes, torch.ones_like(rows, dtype=torch.bool))
    estimator = model.student.estimator
    observed = (estimator.mean + estimator.scale).unsqueeze(0) if isinstance(estimator, CellFeatures) else None
    facts = CellFacts(torch.zeros_like(rows[:, 0]), observed)
    logits = model.logits(encoded, model.read(support, facts))
    return torch.cat([encoded.potential, logits.ravel()])


def _exact(inputs: PairInputs) -> PairInputs:
    """Float columns in float64."""
    return inputs._replace(features=None if inputs.features is None else inputs.features.to(torch.float64))


def _coupled(model: EnergyModel, encoded: Encoded, environment: Environment) -> Tensor:
    """(E, n) logits, a chunk of pairs at a time.

    A chunk is CHUNK / E pairs, with E rounded up to a power of two: a coupling that runs the head for each of E
    supports stays in fast memory, and vector units see whole vectors, as in one chunk of CHUNK.
    """
    size = max(1, CHUNK // 2 ** (len(environment.parameters) - 1).bit_length())
    chunks = (torch.split(value, size) for value in (encoded.potential, encoded.latent, encoded.hidden))
    parts = [model.logits(Encoded(*chunk), environment) for chunk in zip(*chunks, strict=True)]
    return torch.cat(parts, dim=1)


def _identity(pairs: PairTable) -> np.ndarray | None:
    """(n,) one code for each enhancer-gene pair, shared over cells; None where the task has no identities."""
    if pairs.element is None or pairs.gene is None:
        return None
    # Identities are int32: side by side in 64 bits they sort much faster than as rows.
    both = pairs.element.astype(np.int64) * 2**32 + pairs.gene
    return np.unique(both, return_inverse=True)[1].astype(np.int64)


def _merged(preset: Mapping[str, object], options: Mapping[str, object]) -> dict[str, object]:
    """Options laid over a preset, section by section; a loss or list given anew replaces the old one."""
    out = dict(preset)
    for name, value in options.items():
        own = out.get(name)
        out[name] = _merged(own, value) if isinstance(own, Mapping) and isinstance(value, Mapping) else value
    return out

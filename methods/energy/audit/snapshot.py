"""The state of a model at one moment of training, on fixed rows: what the monitors of a cell are computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ....tasks.errors import MethodError
from ..model import EnergyModel
from ..parts import CellFacts, Encoded, PairInputs
from ..samplers.base import UNKNOWN

_EPISODES, _SHOTS = 6, 32
#: Code of the held-out cell among the watched ones.
HELD_OUT = -1


@dataclass(frozen=True)
class CellRows:
    """Fixed rows of one cell, as an encoder reads them.

    Attributes:
        code: training code, `HELD_OUT` for the cell that is not trained on. inputs: n pairs. label: (n,) 0/1.
        supports: (E, k) rows of supports. query: rows that are scored. observed: (V,) cell statistics or None.
    """

    code: int
    inputs: PairInputs
    label: np.ndarray
    supports: np.ndarray
    query: np.ndarray
    observed: Tensor | None = None

    @classmethod
    def drawn(
        cls, code: int, inputs: PairInputs, label: np.ndarray, rng: np.random.Generator, observed: Tensor | None = None
    ) -> CellRows:
        """Two fifths of the rows serve supports, the others are scored."""
        order = rng.permutation(label.size)
        cut = max(1, int(0.4 * label.size))
        pool = order[:cut]
        supports = np.stack([rng.permutation(pool)[: min(_SHOTS, pool.size)] for _ in range(_EPISODES)])
        return cls(code, inputs, label, supports, np.sort(order[cut:]), observed)


@dataclass(frozen=True)
class CellState:
    """What a model makes of one cell.

    Attributes:
        code: as of its rows. latent: (n, d) z. potential: (n,) U. label: (n,). parameters: (E, P) natural parameters
        by E labelled supports, and `unlabelled` by the same without labels; embedding: (E, d_e).
        teacher: (P,) the teacher's word, None without one or where the cell is unknown.
        logits: (E, m) of the query. query: its rows. temperature: mean T. slope, offset: (E,) canonical.
        log_variance: mean log variance of a bottleneck per dimension, mean: (n, d); None without.
    """

    code: int
    latent: np.ndarray
    potential: np.ndarray
    label: np.ndarray
    parameters: np.ndarray
    unlabelled: np.ndarray
    embedding: np.ndarray
    teacher: np.ndarray | None
    logits: np.ndarray
    query: np.ndarray
    temperature: float
    slope: np.ndarray
    offset: np.ndarray
    mean: np.ndarray | None = None
    log_variance: np.ndarray | None = None

    @property
    def probability(self) -> np.ndarray:
        """(E, m) of the query."""
        return 1.0 / (1.0 + np.exp(-np.clip(self.logits, -60, 60)))


@dataclass(frozen=True)
class Snapshot:
    """All watched cells after `step` steps; the held-out cell is the last one where there is one."""

    step: int
    stage: str
    cells: tuple[CellState, ...]
    neutral: np.ndarray
    names: tuple[str, ...]
    x_dependent: bool

    @property
    def training(self) -> tuple[CellState, ...]:
        """The cells that are trained on."""
        return tuple(cell for cell in self.cells if cell.code != HELD_OUT)

    @property
    def held_out(self) -> CellState | None:
        """The cell that is not."""
        return next((cell for cell in self.cells if cell.code == HELD_OUT), None)

    def stacked(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """z (n, d), U (n,), cell (n,) and label (n,) of the training cells together."""
        cells = self.training
        code = np.concatenate([np.full(cell.label.size, cell.code) for cell in cells])
        return (
            np.concatenate([cell.latent for cell in cells]),
            np.concatenate([cell.potential for cell in cells]),
            code,
            np.concatenate([cell.label for cell in cells]),
        )


def take(model: EnergyModel, cells: tuple[CellRows, ...], step: int, stage: str) -> Snapshot:
    """Read every watched cell by the student alone, as an unseen one would be."""
    with model.plain():
        states = tuple(_state(model, rows) for rows in cells)
        neutral = model.neutral(1).parameters[0].double().numpy()
    return Snapshot(step, stage, states, neutral, model.coupling.names, bool(model.coupling.x_dependent))


def _state(model: EnergyModel, rows: CellRows) -> CellState:
    dtype = model.student.modulator.default.dtype
    inputs = rows.inputs
    if inputs.features is not None:
        inputs = inputs._replace(features=inputs.features.to(dtype))
    encoded = model.encode(inputs)
    chosen = torch.from_numpy(rows.supports)
    episodes, k = rows.supports.shape
    label = torch.from_numpy(rows.label.astype(np.int64))[chosen]
    observed = None if rows.observed is None else rows.observed.to(dtype).expand(episodes, -1)
    facts = CellFacts(torch.full((episodes,), UNKNOWN), observed)
    present = torch.ones(episodes, k, dtype=torch.bool)
    read = []
    for known in (True, False):
        labelled = torch.full((episodes,), known)
        support = model.supports(encoded, chosen, label if known else None, labelled, present)
        try:
            read.append(model.read(support, facts))
        except MethodError:  # an id table has nothing to say of a cell that it is not told
            read.append(model.neutral(episodes))
    query = torch.from_numpy(rows.query)
    asked = Encoded(encoded.potential[query], encoded.latent[query], encoded.hidden[query])
    slope, offset = model.canonical(read[0])
    teacher = None
    if model.teacher is not None and rows.code != HELD_OUT:
        own = facts._replace(code=torch.full((episodes,), rows.code))
        teacher = _array(model.read_teacher(model.supports(encoded, chosen, label, labelled, present), own).parameters)
    return CellState(
        rows.code,
        _array(encoded.latent),
        _array(encoded.potential),
        rows.label,
        _array(read[0].parameters),
        _array(read[1].parameters),
        _array(read[0].embedding),
        None if teacher is None else teacher[0],
        _array(model.logits(asked, read[0])),
        rows.query,
        float(model.temperature_of(read[0]).mean()),
        _array(slope),
        _array(offset),
        None if encoded.mean is None else _array(encoded.mean),
        None if encoded.log_variance is None else _array(encoded.log_variance),
    )


def _array(value: Tensor) -> np.ndarray:
    found: np.ndarray = value.double().numpy().copy()
    return found

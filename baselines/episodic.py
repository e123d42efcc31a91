"""Learners that are trained on episodes and adapt by a closed form: the part that they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..methods.base import Balance, FitContext, Method, PairTable, Reads, Regime, Supports, TrainTable
from ..methods.device import placed
from .inputs import RankedInputs
from .meta_training import EpisodeSampler
from .networks import Parameters, count, optimise
from .training_rows import TrainingRows

# The settings of the prototypical network, not tuned again; twice its steps, as these learners have more to
# learn from episodes (the strength of the prior, how to read a support) and a step costs less.
_STEPS = 1000
_TASKS = 16
_QUERY = 64
#: k of the meta-training episodes; one is drawn per step.
_SHOTS = (0, 16, 32, 64, 128)
_BALANCED_SHARE = 0.25
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1.0
#: Logarithms of strengths (of a prior, of a penalty) are learned this many times faster than the weights;
#: they have a longer way to go.
STRENGTH_SPEED = 10.0
#: Query pairs that are scored together under all supports; bounds the memory of batched scoring.
_SCORE_ROWS = 2048


class EncodedSupport(NamedTuple):
    """T supports as the head of a learner sees them.

    Attributes:
        code: (T, k, H) encoded pairs. label: (T, k) 0/1. weight: (T, k), 0 = padding.
        balance: how the pairs were drawn. prevalence: share of positives of the training rows, in (0, 1).
    """

    code: Tensor
    label: Tensor
    weight: Tensor
    balance: Balance
    prevalence: float

    def natural_weight(self) -> Tensor:
        """(T, k): the weights, those of a balanced (case-control) draw times 2 p or 2 (1 - p) by label.

        These are the inverse sampling probabilities: weighted sums then estimate those of a natural draw of
        as many pairs.
        """
        if self.balance is not Balance.BALANCED:
            return self.weight
        return self.weight * 2 * (self.label * self.prevalence + (1 - self.label) * (1 - self.prevalence))

    def offset(self) -> float:
        """What a balanced (case-control) draw adds to the log odds of a label: minus the natural log odds."""
        return float(-np.log(self.prevalence / (1 - self.prevalence))) if self.balance is Balance.BALANCED else 0.0


class EpisodicLearner(Method):
    """Base of learners that encode pairs, adapt to T supports at once and predict, all of it differentiable.

    A subclass gives the start of its parameters and three pure functions; meta-training (support and query
    of one training cell on different chromosomes, k and balance drawn anew for each step, noise on the
    inputs, a fixed number of steps) and batched scoring are done here.
    """

    # 2: other draws of the training episodes.
    version = "2"
    reads = frozenset({Reads.FEATURES, Reads.DISTANCE, Reads.COORDINATES})
    regimes = frozenset({Regime.NONE, Regime.LABELLED})
    transductive = True
    logits = True

    #: Precision of `_adapt` and `_predict` at scoring; `_encode` runs in float32.
    _head_dtype: ClassVar[torch.dtype] = torch.float64

    _inputs: RankedInputs
    _parameters: dict[str, Tensor]
    _prevalence: float

    @abstractmethod
    def _start(self, width: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters before training; inputs have `width` columns. `_prevalence` is known."""

    @abstractmethod
    def _encode(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        """Codes (n, H) of inputs (n, width)."""

    @abstractmethod
    def _adapt(self, parameters: Parameters, support: EncodedSupport) -> tuple[Tensor, ...]:
        """What T supports (k = 0 and one class are valid) tell: tensors with a leading dimension T."""

    @abstractmethod
    def _predict(self, parameters: Parameters, state: tuple[Tensor, ...], query: Tensor) -> Tensor:
        """Logits (T, n) of codes (n, H) or (T, n, H), given what `_adapt` returned."""

    def _undecayed(self) -> set[str]:
        """Names of weight matrices without weight decay."""
        return set()

    def n_parameters(self) -> int | None:
        """All meta-learned scalars."""
        return count(self._parameters)

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Meta-train on episodes of the training cells."""
        rng = context.generator()
        data = TrainingRows(train, rng)
        self._inputs, self._prevalence = data.scale, data.prevalence
        sampler = EpisodeSampler(train, rng)

        def loss(parameters: dict[str, Tensor]) -> Tensor:
            balance = Balance.BALANCED if rng.random() < _BALANCED_SHARE else Balance.NATURAL
            batch = sampler.draw(_TASKS, int(rng.choice(_SHOTS)), _QUERY, balance)
            noisy = data.noisy(np.concatenate([batch.support.ravel(), batch.query.ravel()]))
            support, query = self._encode(parameters, noisy).split([batch.support.size, batch.query.size])
            encoded = EncodedSupport(
                support.unflatten(0, batch.support.shape),
                data.labels(batch.support),
                placed(batch.weight),
                balance,
                self._prevalence,
            )
            state = self._adapt(parameters, encoded)
            logit = self._predict(parameters, state, query.unflatten(0, batch.query.shape))
            return torch.nn.functional.binary_cross_entropy_with_logits(logit, data.labels(batch.query))

        self._parameters = optimise(
            self._start(data.width, data.noise),
            loss,
            steps=context.steps(_STEPS),
            learning_rate=_LEARNING_RATE,
            weight_decay=_WEIGHT_DECAY,
            undecayed=self._undecayed(),
        )

    @torch.no_grad()
    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """Logits (E, n) float64; the pool and the query are encoded once. See `Method.score`."""
        head = {name: tensor.to(self._head_dtype) for name, tensor in self._parameters.items()}
        labelled = supports.label is not None and supports.k > 0
        rows = supports.rows if labelled else np.empty((1, 0), dtype=np.int64)
        label = supports.label if supports.label is not None and labelled else np.empty((1, 0))
        pool = self._codes(supports.pool if labelled else query.take(np.empty(0, dtype=np.int64)), cell_table)
        target = torch.from_numpy(np.asarray(label)).to(pool)
        codes = pool[placed(rows)]
        encoded = EncodedSupport(codes, target, torch.ones_like(target), supports.balance, self._prevalence)
        state = self._adapt(head, encoded)
        codes = self._codes(query, cell_table)
        logit = torch.cat([self._predict(head, state, piece) for piece in codes.split(_SCORE_ROWS)], dim=-1)
        return np.broadcast_to(logit.double().cpu().numpy(), (supports.n_episodes, query.n))

    def _codes(self, pairs: PairTable, cell_table: PairTable | None) -> Tensor:
        inputs = self._inputs.of_cell(pairs, cell_table)
        # Pieces keep the hidden layers in the processor's cache.
        pieces = inputs.split(_SCORE_ROWS) if len(inputs) else (inputs,)
        return torch.cat([self._encode(self._parameters, piece) for piece in pieces]).to(self._head_dtype)


def part(parameters: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The parameters whose names start with `prefix.`, without it."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in parameters.items() if name.startswith(f"{prefix}.")}


def prefixed(prefix: str, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `part`."""
    return {f"{prefix}.{name}": tensor for name, tensor in parameters.items()}

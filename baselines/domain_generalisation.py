"""Domain generalisation: one pooled network, six ways to keep it from leaning on what differs between cells.

All share network, inputs, steps and minibatches (the same number of rows from every training cell, or, for plain
risk minimisation, rows of the pool as they are), so that rows of the table differ in the principle alone. They see no
support: what they promise is a better start in an unseen cell. The grids of `strength` lie in the ranges that DomainBed
(Gulrajani & Lopez-Paz 2021) draws from.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, silu

from ..methods.base import FitContext, Method, PairTable, Reads, Regime, Supports, TrainTable
from ..methods.device import device, placed
from ..tasks.errors import MethodError
from .inputs import RankedInputs
from .networks import Parameters, count, init_mlp, mlp, mlp_in_chunks, optimise
from .training_rows import TrainingRows

_STEPS = 600
_BATCH = 512
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1.0
#: Parameters whose names begin so belong to a critic, not to the network that scores.
_CRITIC = "critic."


class Minibatch(NamedTuple):
    """C cells x m rows, cell by cell.

    Attributes:
        inputs: (C * m, D). label: (C * m,) 0/1. cell: (C * m,) int64. progress: share of the steps done.
    """

    inputs: Tensor
    label: Tensor
    cell: Tensor
    progress: float


class DomainGeneralisation(Method):
    """Base: an MLP on per-cell ranked features and log10 distance, trained on the pooled rows of all cells.

    Args:
        hidden: units per layer. strength: weight of the method's own term, >= 0.

    Raises:
        MethodError: a negative strength.
    """

    reads = frozenset({Reads.FEATURES, Reads.DISTANCE})
    regimes = frozenset({Regime.NONE})
    transductive = True
    logits = True
    #: Whether every cell gives the same number of rows to a minibatch.
    equal_cells = True

    def __init__(self, hidden: tuple[int, ...] | list[int] = (64, 64), strength: float = 1.0) -> None:
        if strength < 0:
            raise MethodError(f"Method {self.name!r}: strength must be 0 or more, and is {strength}.")
        self._hidden = tuple(hidden)
        self._strength = strength
        self._inputs: RankedInputs
        self._network: dict[str, Tensor]

    def config(self) -> Mapping[str, object]:
        """Hidden units per layer and the weight of the method's own term."""
        return {"hidden": list(self._hidden), "strength": self._strength}

    def n_parameters(self) -> int | None:
        """Weights of the network that scores."""
        return count(self._network)

    def fit(self, train: TrainTable, context: FitContext) -> None:
        """Minimise `objective` over minibatches for a fixed number of steps."""
        rng = context.generator()
        data = TrainingRows(train, rng)
        self._inputs = data.scale
        cell = placed(train.cell.astype(np.int64))
        rows_of = [rows for code in range(train.n_cells) if (rows := np.flatnonzero(train.cell == code)).size]
        steps = context.steps(_STEPS)
        done = 0
        self.start(train.n_cells, rng)

        def loss(parameters: dict[str, Tensor]) -> Tensor:
            nonlocal done
            if self.equal_cells:
                each = max(2, _BATCH // len(rows_of))
                chosen = np.concatenate([rows[rng.integers(rows.size, size=each)] for rows in rows_of])
            else:
                chosen = rng.integers(len(data), size=_BATCH)
            batch = Minibatch(data.noisy(chosen), data.labels(chosen), cell[placed(chosen)], done / steps)
            done += 1
            return self.objective(parameters, batch)

        start = init_mlp([data.width, *self._hidden, 1], data.noise)
        critic = {_CRITIC + name: value for name, value in self.critic(train.n_cells, data.noise).items()}
        trained = optimise(start | critic, loss, steps=steps, learning_rate=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        self._network = _network(trained)

    def score(self, supports: Supports, query: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """Logits (E, n) float64, the same for every support."""
        logit = mlp_in_chunks(self._network, self._inputs.of_cell(query, cell_table)).squeeze(-1)
        return np.broadcast_to(logit.double().cpu().numpy(), (supports.n_episodes, query.n))

    @abstractmethod
    def objective(self, parameters: Parameters, batch: Minibatch) -> Tensor:
        """The loss of one minibatch, a scalar."""

    def start(self, n_cells: int, rng: np.random.Generator) -> None:
        """Prepare what a fit needs beside parameters; nothing by default."""

    def critic(self, n_cells: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters that are trained beside the network and thrown away; none by default."""
        return {}


class Erm(DomainGeneralisation):
    """Empirical risk minimisation: cross entropy over the pool of all cells' rows, as they come.

    Vapnik 1998; the strong plain baseline of Gulrajani & Lopez-Paz 2021, "In Search of Lost Domain
    Generalization", ICLR. `strength` has no effect.
    """

    name = "erm"
    summary = "pooled MLP by empirical risk minimisation"
    paper = "Gulrajani & Lopez-Paz 2021, ICLR"
    settings: ClassVar = ({"hidden": [64, 64]}, {"hidden": [32]}, {"hidden": [128, 128]}, {"hidden": [64, 64, 64]})
    equal_cells = False

    def objective(self, parameters: Parameters, batch: Minibatch) -> Tensor:
        """Mean cross entropy."""
        return _bce(mlp(_network(parameters), batch.inputs).squeeze(-1), batch.label)


class Coral(DomainGeneralisation):
    """Deep CORAL: hidden features of any two training cells should have equal means and covariances.

    Sun & Saenko 2016, "Deep CORAL", ECCV workshops, equation 1. What differs: every pair of training cells is
    aligned instead of source and target, and first moments are aligned as well (as in DomainBed).
    """

    name = "coral"
    summary = "pooled MLP with equal feature means and covariances across cells (Deep CORAL)"
    paper = "Sun & Saenko 2016, ECCV-W, equation 1"
    settings: ClassVar = ({"strength": 1.0}, {"strength": 0.1}, {"strength": 10.0})

    def objective(self, parameters: Parameters, batch: Minibatch) -> Tensor:
        """Cross entropy plus `strength` times the mean squared difference of moments over pairs of cells."""
        features, logit = _features(parameters, batch.inputs)
        cells = [features[batch.cell == code] for code in batch.cell.unique()]
        means = torch.stack([own.mean(0) for own in cells])
        covariances = torch.stack([torch.cov(own.T) for own in cells])
        penalty = _pairwise(means) + _pairwise(covariances.flatten(1))
        return _bce(logit, batch.label) + self._strength * penalty


class Dann(DomainGeneralisation):
    """Domain-adversarial training: features from which a critic cannot tell the cell.

    Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks", JMLR 17, equation 9 with the schedule of
    section 5.2.2. What differs: domains are the training cells, and the held-out cell's pairs are not seen.
    """

    name = "dann"
    summary = "pooled MLP whose features hide the cell from a critic (DANN)"
    paper = "Ganin et al. 2016, JMLR, equation 9"
    settings: ClassVar = ({"strength": 0.1}, {"strength": 0.01}, {"strength": 1.0})

    def __init__(self, hidden: tuple[int, ...] | list[int] = (64, 64), strength: float = 0.1) -> None:
        super().__init__(hidden, strength)

    def critic(self, n_cells: int, generator: torch.Generator) -> dict[str, Tensor]:
        """A network with one hidden layer, features to cell."""
        return init_mlp([self._hidden[-1], 64, n_cells], generator)

    def objective(self, parameters: Parameters, batch: Minibatch) -> Tensor:
        """Cross entropy of the label, and of the cell behind a reversed gradient."""
        features, logit = _features(parameters, batch.inputs)
        critic = {name.removeprefix(_CRITIC): value for name, value in parameters.items() if name.startswith(_CRITIC)}
        rise = 2.0 / (1.0 + float(np.exp(-10.0 * batch.progress))) - 1.0
        # Forward the features, backward -rise * strength times the gradient.
        factor = rise * self._strength
        reversed_features = features.detach() * (1 + factor) - factor * features
        told = cross_entropy(mlp(critic, reversed_features), batch.cell)
        return _bce(logit, batch.label) + told


class GroupDro(DomainGeneralisation):
    """Group distributionally robust optimisation: the training cells with the highest loss weigh most.

    Sagawa et al. 2020, "Distributionally Robust Neural Networks for Group Shifts", ICLR, Algorithm 1; groups are
    cells. `strength` is the step size eta_q of the group weights. What differs: losses are taken relative to the
    entropy of the cell's label, since a cell with more positives has a higher loss whatever the model.
    """

    name = "groupdro"
    summary = "pooled MLP on the worst training cells (GroupDRO)"
    paper = "Sagawa et al. 2020, ICLR, Algorithm 1"
    settings: ClassVar = ({"strength": 0.03}, {"strength": 0.003}, {"strength": 0.1})

    def __init__(self, hidden: tuple[int, ...] | list[int] = (64, 64), strength: float = 0.03) -> None:
        super().__init__(hidden, strength)

    def start(self, n_cells: int, rng: np.random.Generator) -> None:
        """Equal weights."""
        self._weight = torch.full((n_cells,), 1.0 / n_cells, device=device())

    def objective(self, parameters: Parameters, batch: Minibatch) -> Tensor:
        """Cross entropy of the cells, weighted."""
        logit = mlp(_network(parameters), batch.inputs).squeeze(-1)
        codes = batch.cell.unique()
        losses = torch.stack([_bce(logit[batch.cell == code], batch.label[batch.cell == code]) for code in codes])
        entropy = torch.stack([_entropy(batch.label[batch.cell == code].mean()) for code in codes])
        with torch.no_grad():
            self._weight[codes] *= torch.exp(self._strength * (losses - entropy))
            self._weight /= self._weight.sum()
        return (self._weight[codes] * losses).sum() / self._weight[codes].sum()


class Irm(DomainGeneralisation):
    """Invariant risk minimisation: one output scale that is optimal in every training cell at once.

    Arjovsky et al. 2019, "Invariant Risk Minimization", arXiv 1907.02893, objective IRMv1; the penalty is switched
    on after a third of the steps, as the authors do.
    """

    name = "irm"
    summary = "pooled MLP with an output scale optimal in every cell (IRMv1)"
    paper = "Arjovsky et al. 2019, IRMv1"
    settings: ClassVar = ({"strength": 1.0}, {"strength": 0.1}, {"strength": 10.0}, {"strength": 100.0})

    def objective(self, parameters: Parameters, batch: Minibatch) -> Tensor:
        """Mean over cells of cross entropy plus `strength` times the squared gradient by the output scale."""
        logit = mlp(_network(parameters), batch.inputs).squeeze(-1)
        weight = self._strength if batch.progress >= 1 / 3 else 0.0
        total = logit.new_zeros(())
        codes = batch.cell.unique()
        for code in codes:
            own, label = logit[batch.cell == code], batch.label[batch.cell == code]
            # d/dw BCE(w l, y) at w = 1, in closed form.
            slope = ((torch.sigmoid(own) - label) * own).mean()
            total = total + _bce(own, label) + weight * slope.square()
        return total / len(codes)


class Mixup(DomainGeneralisation):
    """Mixup between cells: rows and labels of any two training cells are blended.

    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", ICLR, equation 2, with the partner drawn from
    all cells (Yan et al. 2020, inter-domain mixup). `strength` is alpha of Beta(alpha, alpha); 0 is no mixing.
    """

    name = "mixup"
    summary = "pooled MLP on blends of pairs of rows from all cells (mixup)"
    paper = "Zhang et al. 2018, ICLR, equation 2"
    settings: ClassVar = ({"strength": 0.2}, {"strength": 1.0}, {"strength": 5.0})

    def __init__(self, hidden: tuple[int, ...] | list[int] = (64, 64), strength: float = 0.2) -> None:
        super().__init__(hidden, strength)

    def start(self, n_cells: int, rng: np.random.Generator) -> None:
        """A stream of its own for the blends."""
        self._rng = np.random.default_rng(rng.integers(2**62))

    def objective(self, parameters: Parameters, batch: Minibatch) -> Tensor:
        """Cross entropy on blended rows against both labels."""
        n = batch.label.numel()
        share = self._rng.beta(self._strength, self._strength, n) if self._strength else np.ones(n)
        own = placed(share.astype(np.float32))
        other = placed(self._rng.permutation(n))
        blended = own[:, None] * batch.inputs + (1 - own)[:, None] * batch.inputs[other]
        label = own * batch.label + (1 - own) * batch.label[other]
        return _bce(mlp(_network(parameters), blended).squeeze(-1), label)


def _network(parameters: Parameters) -> dict[str, Tensor]:
    return {name: value for name, value in parameters.items() if not name.startswith(_CRITIC)}


def _features(parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Last hidden layer (n, H) and logit (n,)."""
    network = _network(parameters)
    last = len(network) // 2 - 1
    body = {name: value for name, value in network.items() if name not in {f"weight{last}", f"bias{last}"}}
    features = silu(mlp(body, inputs))
    return features, (features @ network[f"weight{last}"] + network[f"bias{last}"]).squeeze(-1)


def _pairwise(moments: Tensor) -> Tensor:
    """Mean squared difference of (C, M) moments over pairs of cells; 0 for one cell."""
    cells = len(moments)
    if cells < 2:
        return moments.new_zeros(())
    spread = (moments - moments.mean(0)).square().mean(1).sum()
    return 2.0 * spread / (cells - 1)


def _bce(logit: Tensor, label: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logit, label)


def _entropy(share: Tensor) -> Tensor:
    """Binary entropy in nats."""
    return binary_cross_entropy_with_logits(torch.logit(share.clamp(1e-6, 1 - 1e-6)), share)

"""Hill occupancy: a bounded, thresholded response to a positive potential."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..parts import Canonical, Coupling, Pairs
from .linearise import linearise
from .ranges import Bounded, Positive, inverse_softplus

_HALF_POINT = 1.2
#: Below this softplus(U) is exp(U) to the last bit of float64, and its logarithm is U.
_FLOOR = -40.0


def log_softplus(potential: Tensor) -> Tensor:
    """log softplus(U) without underflow, for any U."""
    bulk = potential.clamp_min(_FLOOR)
    return softplus(bulk, threshold=-_FLOOR).log() + (potential - bulk)


def occupancy(potential: Tensor, half_point: Tensor, power: Tensor) -> Tensor:
    """h = U+^n / (U+^n + K^n) with U+ = softplus(U), in (0, 1); n = 1 is Michaelis-Menten, n -> inf a step at K."""
    return torch.sigmoid(power * (log_softplus(potential) - half_point.log()))


class Hill(Coupling):
    """s (h - h0) / T with h = U+^n / (U+^n + K^n), U+ = softplus(U).

    The half point K > 0 belongs to the cell. The power n in (1, 4), the height s > 0 and the threshold h0 in
    (0, 1) are shared. Logits are bounded on both sides; more occupancy at higher U keeps the ranking.
    """

    x_dependent = False
    names = ("K",)

    def __init__(self) -> None:
        super().__init__()
        self.power = Bounded(1.0, 4.0, 2.5)
        self.height = Positive(6.0)
        self.threshold = Bounded(0.0, 1.0, 0.5)

    def natural(self, raw: Tensor) -> Tensor:
        """K = softplus, kept away from 0 where its logarithm ends."""
        return softplus(raw).clamp_min(1e-12)

    def neutral(self) -> Tensor:
        """The half point that training starts from; no K gives U itself."""
        return torch.tensor([_HALF_POINT])

    def default(self) -> Tensor:
        """See `Coupling.default`."""
        return torch.tensor([inverse_softplus(_HALF_POINT)])

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        return self._logit(pairs.potential, natural, temperature)

    def canonical(self, natural: Tensor, temperature: Tensor) -> Canonical:
        """By statistical linearisation."""
        return linearise(lambda potential: self._logit(potential, natural, temperature), natural)

    def _logit(self, potential: Tensor, half_point: Tensor, temperature: Tensor) -> Tensor:
        occupied = occupancy(potential, half_point, self.power())
        return self.height() * (occupied - self.threshold()) / temperature

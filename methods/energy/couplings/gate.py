"""Gates: the resistance decides how much of the potential passes."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..parts import Canonical, Coupling, Pairs
from .linearise import line, linearise
from .ranges import Bounded, Positive

Form = Literal["blocking", "literal", "tanh", "hard"]

#: A gate is open (or closed) at this resistance: 1 - sigma is below the last bit of float64.
_WIDE = 40.0
_START = 1.5


class Gate(Coupling):
    """A sigmoid gate with a real-valued R, in one of four forms.

    - "blocking": (softplus(U) sigma(w R) - b) / T. The gated quantity is positive, so a closed gate means "no".
    - "literal": U sigma(w R + b) / T, which is a temperature of the cell's own: a closed gate means p = 1/2.
    - "tanh": U (1 + a tanh(U) sigma(R)) / T with a in (0, 1); increasing in U while a sigma(R) <= 0.8336.
    - "hard": U times 1 where R > 0 and beta elsewhere, beta in (0, 1), with the gradient of the sigmoid between
      the two levels (straight-through, Bengio et al. 2013).

    w > 0 (start 1), b, a and beta are shared by all cells; w needs no sign, since R has one.
    """

    x_dependent = False
    names = ("R",)

    def __init__(self, form: Form = "blocking") -> None:
        super().__init__()
        self.form: Form = form
        if form in ("blocking", "literal"):
            self.steepness = Positive(1.0)
            self.bias = nn.Parameter(torch.tensor(2.0 if form == "blocking" else 0.0))
        else:
            self.share = Bounded(0.0, 1.0, 0.5)

    def natural(self, raw: Tensor) -> Tensor:
        """See `Coupling.natural`."""
        return raw

    def neutral(self) -> Tensor:
        """Nothing gated: U / T, in the blocking form (softplus(U) - b) / T."""
        return torch.tensor([-_WIDE if self.form == "tanh" else _WIDE])

    def default(self) -> Tensor:
        """A third open in the literal form, so that a cell can be steeper; mostly open where the gate blocks."""
        return torch.tensor([{"literal": -math.log(2.0), "tanh": 0.0}.get(self.form, _START)])

    def forward(self, pairs: Pairs, natural: Tensor, temperature: Tensor) -> Tensor:
        """See `Coupling.forward`."""
        return self._logit(pairs.potential, natural, temperature)

    def canonical(self, natural: Tensor, temperature: Tensor) -> Canonical:
        """Exact for the two forms that multiply U, by statistical linearisation for the others."""
        if self.form in ("blocking", "tanh"):
            return linearise(lambda potential: self._logit(potential, natural, temperature), natural)
        slope = self._passed(natural)[:, 0]
        return line(slope, torch.zeros_like(slope), temperature)

    def _passed(self, natural: Tensor) -> Tensor:
        """Share of the potential that passes, (E, 1)."""
        if self.form == "literal":
            return torch.sigmoid(self.steepness() * natural + self.bias)
        if self.form == "blocking":
            return torch.sigmoid(self.steepness() * natural)
        if self.form == "tanh":
            return torch.sigmoid(natural)
        closed, soft = self.share(), torch.sigmoid(natural)
        # The value is that of the step, the derivative in R that of the sigmoid: the step has none of its own.
        step = soft + ((natural > 0).to(soft.dtype) - soft).detach()
        return closed + (1 - closed) * step

    def _logit(self, potential: Tensor, natural: Tensor, temperature: Tensor) -> Tensor:
        passed = self._passed(natural)
        if self.form == "blocking":
            return (softplus(potential, threshold=_WIDE) * passed - self.bias) / temperature
        if self.form == "tanh":
            return potential * (1 + self.share() * torch.tanh(potential) * passed) / temperature
        return potential * passed / temperature

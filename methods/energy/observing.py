"""The hook by which a training can be watched; without an observer nothing is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from .forward import Forward
    from .names import LossName
    from .routing import Weighted
    from .training import _Training


class Observer(Protocol):
    """Is shown every step; must leave the training's state, gradients and random streams as they are."""

    def computed(self, training: _Training, number: int, made: Forward, weighted: Mapping[LossName, Weighted]) -> None:
        """Losses of a step of stage `number` are computed, no gradient is taken yet."""

    def routed(self, training: _Training, number: int, optimiser: Optimizer) -> None:
        """Gradients of the step stand in `.grad`, unclipped; no parameter has moved yet."""

"""What every loss declares: what it reads, whom it may reach, and what a step must hold for it to mean anything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from ..names import Group, LossName
from ..parts import Step


class Loss(nn.Module, ABC):
    """A scalar of one training step; its options are keyword arguments of the constructor.

    Its own parameters (a discriminator) belong to the group DISCRIMINATOR. A loss never detaches for routing's
    sake: gradients are cut by `reach`, in `routing`.

    Class attributes:
        name: of the loss. reads: fields of `Step` beside the ones that are always there.
        reach: groups that receive its gradient. small: those of them that receive a scaled-down one.
        cells: distinct cells a step needs, else the loss is identically zero or degenerate.
        labels: whether it needs labels of query rows. nonnegative: whether it can never be below zero.
    """

    name: ClassVar[LossName]
    reads: ClassVar[frozenset[str]] = frozenset()
    reach: ClassVar[frozenset[Group]]
    small: ClassVar[frozenset[Group]] = frozenset()
    cells: ClassVar[int] = 1
    labels: ClassVar[bool] = False
    nonnegative: ClassVar[bool] = True

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """The unweighted loss, a scalar."""

"""What every loss declares: what it reads, whom it may reach, and what a step must hold for it to mean anything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple, TypeVar

from pydantic import ValidationError
from torch import Tensor, nn

from ....tasks.errors import MethodError
from ..config import Section
from ..names import Group, LossName
from ..parts import Step


class Sizes(NamedTuple):
    """Sizes of the model that a loss may need for parameters and state of its own.

    Attributes:
        latent: d. embedding: d_e. n_cells: training cells. chromatin: K targets, 0 without the head.
    """

    latent: int
    embedding: int
    n_cells: int
    chromatin: int = 0


class NoOptions(Section):
    """The options of a loss that has none."""


OptionsT = TypeVar("OptionsT", bound=Section)


def parse_options(name: LossName, kind: type[OptionsT], options: Mapping[str, object]) -> OptionsT:
    """Validate the options given to the loss `name`.

    Raises:
        MethodError: an unknown option or an impossible value; the text names loss and option.
    """
    try:
        return kind.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(kind.model_fields)
            remedy = f"choose from {known}" if known else "it has none"
            raise MethodError(f"The loss {name.value!r} has no option {option!r}; {remedy}.") from None
        raise MethodError(
            f"The loss {name.value!r}, option {option!r}: {first['msg']}, not {first['input']!r}."
        ) from None


class Loss(nn.Module, ABC):
    """A scalar of one training step; its options are keyword arguments of the constructor.

    Its own parameters (a discriminator) belong to the group DISCRIMINATOR. A loss never detaches for routing's
    sake: gradients are cut by `reach`, in `routing`. Where a step holds nothing to compute it from, it is zero.

    Class attributes:
        name: of the loss. reads: fields of `Step` beside the ones that are always there.
        reach: groups that receive its gradient. small: those of them that receive a scaled-down one.
        cells: distinct cells a step needs, else the loss is identically zero or degenerate.
        labels: whether it needs labels of query rows. nonnegative: whether it can never be below zero.

    Args:
        sizes: of the model. options: of this loss.

    Raises:
        MethodError: an option is unknown or impossible.
    """

    name: ClassVar[LossName]
    reads: ClassVar[frozenset[str]] = frozenset()
    reach: ClassVar[frozenset[Group]]
    small: ClassVar[frozenset[Group]] = frozenset()
    cells: ClassVar[int] = 1
    labels: ClassVar[bool] = False
    nonnegative: ClassVar[bool] = True

    def __init__(self, sizes: Sizes, **options: object) -> None:
        super().__init__()
        parse_options(self.name, NoOptions, options)

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """The unweighted loss, a scalar."""

"""What a planted fault is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from ....base import TrainTable
from ...method import EnergyMethod
from ...presets import EnergyAdditive

#: Breaks the code while it is entered; is told the table, for faults that smuggle labels.
Plant = Callable[[TrainTable], AbstractContextManager[None]]


def nothing(train: TrainTable) -> AbstractContextManager[None]:
    """No change of code: the fault lies in the options or in the table."""
    return nullcontext()


@dataclass(frozen=True)
class Fault:
    """A planted fault.

    Attributes:
        what: one line. expected: checks that must fail, all of them. preset, options: the method that is broken.
        plant: breaks the code. table: breaks the training table. budget: factor on the table's training budget.
    """

    name: str
    what: str
    expected: tuple[str, ...]
    plant: Plant = nothing
    preset: type[EnergyMethod] = EnergyAdditive
    options: Mapping[str, object] = field(default_factory=dict)
    table: Callable[[TrainTable], TrainTable] = lambda train: train
    budget: float = 1.0


@contextmanager
def swapped(owner: object, **values: object) -> Iterator[None]:
    """Attributes of a module, class or object are others while this lasts."""
    before = {name: vars(owner)[name] for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)

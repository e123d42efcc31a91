"""What to run: conditions, methods, suite parts, fits and runs, as frozen objects validated on construction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ..methods.base import Balance, Regime
from ..tasks.errors import EpishotError

#: Protocol names of `tasks.splits.Protocol`; kept as text here so that specs import nothing heavy.
PROTOCOLS = ("cell", "cell+chrom")


@dataclass(frozen=True, order=True)
class Condition:
    """One (k, regime, balance).

    Raises:
        EpishotError: the combination does not exist under protocol v1.
    """

    k: int
    regime: Regime
    balance: Balance

    def __post_init__(self) -> None:
        if self.k < 0:
            raise EpishotError(f"A support cannot have {self.k} pairs; give shots of 0 or more.")
        if (self.k == 0) != (self.regime is Regime.NONE):
            raise EpishotError(
                f"Regime {self.regime.value!r} and k = {self.k} exclude each other; regime 'none' means k = 0."
            )
        if self.balance is Balance.BALANCED:
            if self.regime is not Regime.LABELLED:
                raise EpishotError(
                    f"Balanced supports need labels, so regime {self.regime.value!r} cannot be balanced; "
                    "use --regime labelled or --balance natural."
                )
            if self.k % 2:
                raise EpishotError(f"Balanced supports need an even k, not {self.k}; give even shots.")

    @property
    def label(self) -> str:
        """Short text, e.g. `labelled natural k=16`."""
        return f"{self.regime.value} {self.balance.value} k={self.k}"


@dataclass(frozen=True)
class MethodSpec:
    """A method as somebody asked for it.

    Attributes:
        reference: a registered name or `path/to/file.py:ClassName`.
        overrides: JSON object of constructor arguments that differ from the defaults.
        seeds: fits of this method, where it is not deterministic; None = as many as the suite part says.

    Raises:
        EpishotError: `overrides` is not a JSON object, or there are no seeds.
    """

    reference: str
    overrides: str = "{}"
    seeds: int | None = None

    def __post_init__(self) -> None:
        if self.seeds is not None and self.seeds < 1:
            raise EpishotError(f"{self.seeds} seeds of {self.reference!r} make no run; give at least 1.")
        try:
            if isinstance(json.loads(self.overrides), dict):
                return
        except json.JSONDecodeError:
            pass
        raise EpishotError(f"The configuration of {self.reference!r} is not a JSON object: {self.overrides}")

    @property
    def arguments(self) -> dict[str, object]:
        """The constructor arguments."""
        return json.loads(self.overrides)


@dataclass(frozen=True)
class SuitePart:
    """One task under one protocol, with everything that is scored on it.

    Attributes:
        task: task reference. cells: held-out cells to score; None = all of the card.
        shots, regimes, balances: their product gives the conditions (k = 0 always means regime `none`).
        draws: supports per (cell, fold, condition with k > 0). seeds: fits per non-deterministic method that
            does not say another number; rows of fewer seeds than others say so on the board.
        budget: factor on every method's default number of training steps.
        tune: whether methods that declare a grid get one setting of it per held-out cell, chosen on an inner
            training cell. A method with options of its own (`overrides`) runs with those.

    Raises:
        EpishotError: an empty or impossible part.
    """

    task: str
    protocol: str
    methods: tuple[MethodSpec, ...]
    shots: tuple[int, ...]
    regimes: tuple[Regime, ...] = (Regime.LABELLED,)
    balances: tuple[Balance, ...] = (Balance.NATURAL,)
    draws: int = 10
    seeds: int = 3
    budget: float = 1.0
    cells: tuple[str, ...] | None = None
    tune: bool = False

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise EpishotError(f"There is no protocol {self.protocol!r}; choose {' or '.join(PROTOCOLS)}.")
        for what, values in (
            ("methods", [(method.reference, method.overrides) for method in self.methods]),
            ("shots", self.shots),
            ("regimes", self.regimes),
            ("balances", self.balances),
        ):
            if not values:
                raise EpishotError(f"No {what} were given; name at least one.")
            _refuse_repeats(what, values)
        if min(self.shots) < 0:
            raise EpishotError(f"A support cannot have {min(self.shots)} pairs; give shots of 0 or more.")
        for what, number in (("draws", self.draws), ("seeds", self.seeds)):
            if number < 1:
                raise EpishotError(f"{number} {what} make no run; give at least 1.")
        if not self.budget > 0 or self.budget == float("inf"):
            raise EpishotError(f"The budget must be a positive number, not {self.budget}.")
        if self.cells is not None:
            _refuse_repeats("cells", self.cells)
        if set(self.regimes) == {Regime.NONE} and any(self.shots):
            raise EpishotError(
                "Regime 'none' looks at no support, so its only shot number is 0; use --shots 0 or --regime labelled."
            )
        if Balance.BALANCED in self.balances and Regime.LABELLED not in self.regimes:
            raise EpishotError("Balanced supports need labels; use --regime labelled or --balance natural.")
        if not self.conditions:
            raise EpishotError("These shots, regimes and balances leave nothing to score.")

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Every condition of this part, ordered by k. Unlabelled supports are never balanced."""
        found = []
        for k in sorted(self.shots):
            if k == 0:
                found.append(Condition(0, Regime.NONE, Balance.NATURAL))
                continue
            for regime in self.regimes:
                if regime is Regime.NONE:
                    continue
                for balance in self.balances:
                    if regime is Regime.UNLABELLED and balance is Balance.BALANCED:
                        continue
                    found.append(Condition(k, regime, balance))
        return tuple(found)

    @property
    def episode_shots(self) -> tuple[int, ...]:
        """Shots of the episode set: those asked for and 0, under which zero-shot methods are scored."""
        return tuple(sorted({0, *self.shots}))

    def conditions_for(self, regimes: frozenset[Regime]) -> tuple[Condition, ...]:
        """The conditions that a method serving `regimes` is scored under; zero-shot methods always k = 0."""
        if regimes == {Regime.NONE}:
            return (Condition(0, Regime.NONE, Balance.NATURAL),)
        return tuple(c for c in self.conditions if c.regime in regimes)


@dataclass(frozen=True)
class Suite:
    """A named, versioned list of parts."""

    name: str
    version: str
    parts: tuple[SuitePart, ...]


@dataclass(frozen=True)
class FitSpec:
    """Method x cell split x seed; knows neither k nor regime.

    Attributes:
        method: name of the method. fold: 0..4 under `cell+chrom`, 0 under `cell`.
    """

    task: str
    protocol: str
    cell: str
    fold: int
    method: str
    seed: int

    def __post_init__(self) -> None:
        if self.protocol == "cell" and self.fold != 0:
            raise ValueError(f"Protocol 'cell' has no fold {self.fold}.")


@dataclass(frozen=True)
class RunSpec:
    """One fit scored under one condition over `draws` supports."""

    fit: FitSpec
    condition: Condition
    draws: int

    def __post_init__(self) -> None:
        if self.draws < 1 or (self.condition.k == 0 and self.draws != 1):
            raise ValueError(f"{self.draws} draws do not fit k = {self.condition.k}.")


def _refuse_repeats(what: str, values: Sequence[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            shown = value[0] if isinstance(value, tuple) else getattr(value, "value", value)
            raise EpishotError(f"{shown!r} is given twice among the {what}; name it once.")
        seen.add(value)

"""What a tuned row's configuration says of its settings: one chosen for each held-out cell, and by which scores.

The configuration of a tuned row is that of the method's defaults with one section more, so whoever has the row has
the choice: it is part of the identity of every run, and a run again needs no choosing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ..tasks.errors import EpishotError

#: Name of the section. No constructor argument, and so no method's own configuration, can be called that.
_SECTION = "tuned per held-out cell"
#: Decimals of the inner scores, kept and compared: beyond, processors disagree.
SCORE_DECIMALS = 6


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Choice(_Frozen):
    """What is used for one held-out cell.

    Attributes:
        setting: constructor arguments. inner: the training cell whose scores decided, None if none did.
        scores: its chance-corrected AUPR under each setting of the grid, in -inf..1; None for one that failed.
        why: why the default is used although nothing decided; None where scores did.
    """

    setting: dict[str, Any]
    inner: str | None = None
    scores: tuple[float | None, ...] = ()
    why: str | None = None


class Tuned(_Frozen):
    """A grid and what was chosen from it.

    Attributes:
        settings: the grid, default first. cells: by held-out cell.

    Raises:
        ValueError: a choice is not the one that its scores give.
    """

    settings: tuple[dict[str, Any], ...]
    cells: dict[str, Choice] = {}

    @model_validator(mode="after")
    def _chosen_by_scores(self) -> Tuned:
        for cell, choice in self.cells.items():
            best = best_setting(choice.scores)
            if choice.scores and len(choice.scores) != len(self.settings):
                raise ValueError(f"{cell} has {len(choice.scores)} scores of {len(self.settings)} settings")
            if not self.settings or choice.setting != self.settings[best or 0] or (best is None) != bool(choice.why):
                raise ValueError(f"the setting of {cell} is not the one that its scores give")
        return self

    def of_cell(self, cell: str) -> Tuned:
        """The grid, and what was chosen for one held-out cell."""
        return Tuned(settings=self.settings, cells={cell: self.cells[cell]} if cell in self.cells else {})


def best_setting(scores: Sequence[float | None]) -> int | None:
    """Place of the highest score, the earliest in ties; None if there is no score."""
    known = [(-score, place) for place, score in enumerate(scores) if score is not None]
    return min(known)[1] if known else None


def with_tuned(config: str, tuned: Tuned) -> str:
    """A configuration (JSON) with the section `tuned`, in place of an earlier one."""
    return json.dumps({**json.loads(config), _SECTION: tuned.model_dump(mode="json")}, sort_keys=True)


def tuned_in(config: str) -> Tuned | None:
    """The tuned section of a configuration (JSON); None if it has none.

    Raises:
        EpishotError: there is one, and it contradicts itself.
    """
    try:
        found = json.loads(config)
    except ValueError:
        return None
    if not isinstance(found, Mapping) or _SECTION not in found:
        return None
    try:
        return Tuned.model_validate(found[_SECTION])
    except ValidationError as error:
        raise EpishotError(f"What was chosen by tuning cannot be read: {error.errors()[0]['msg']}.") from error


def config_of_cell(config: str, cell: str) -> str:
    """The configuration that runs in one held-out cell have: of all choices, that of this cell alone.

    So a run stays what it is when its row gains other cells.

    Raises:
        EpishotError: the tuned section contradicts itself.
    """
    tuned = tuned_in(config)
    return config if tuned is None else with_tuned(config, tuned.of_cell(cell))


def setting_text(setting: Mapping[str, object]) -> str:
    """`C=0.1`, `hidden=[32, 32], steps=2`, or `default`."""
    parts = [f"{name}={f'{v:g}' if isinstance(v, float) else json.dumps(v)}" for name, v in setting.items()]
    return ", ".join(parts) or "default"

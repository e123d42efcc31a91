"""The grid of settings that a method may be tuned over: what a class may declare."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping

from ..tasks.errors import MethodError
from .base import Method

#: Settings that are tried for a method at most: as many for every method, so that none is tuned harder than others.
MAX_SETTINGS = 4


def check_grid(cls: type[Method]) -> None:
    """Make sure that `cls.settings` is at most 4 mappings of arguments that its constructor has; nothing is built.

    Raises:
        MethodError: it is not, with what to change.
    """
    label, settings = cls.__qualname__, cls.settings
    if not isinstance(settings, tuple) or not all(isinstance(one, Mapping) for one in settings):
        raise MethodError(f"{label}.settings must be a tuple of mappings of constructor arguments, default first.")
    if len(settings) > MAX_SETTINGS:
        raise MethodError(
            f"{label}.settings has {len(settings)} settings, and at most {MAX_SETTINGS} are tried of any method; "
            "leave some out."
        )
    parameters = inspect.signature(cls).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return
    known = [one.name for one in parameters]
    for place, setting in enumerate(settings):
        if unknown := [name for name in setting if name not in known]:
            raise MethodError(
                f"{label}.settings[{place}] = {dict(setting)} cannot be used: the constructor has no argument "
                f"{unknown[0]!r}, only {', '.join(known) or 'none'}."
            )


def check_settings(cls: type[Method]) -> None:
    """Make sure that `cls.settings` is a grid: at most 4 different settings that its constructor takes, default first.

    Every setting is built, so this may import what the class needs. A class that cannot be built at all here (its
    library is missing) is checked no further than by `check_grid`.

    Raises:
        MethodError: it is not, with what to change.
    """
    check_grid(cls)
    label, settings = cls.__qualname__, cls.settings
    if not settings:
        return
    try:
        default = _config(cls, {})
    except Exception:  # whoever builds it is told why
        return
    seen: dict[str, int] = {}
    for place, setting in enumerate(settings):
        where = f"{label}.settings[{place}] = {dict(setting)}"
        try:
            json.dumps(dict(setting), allow_nan=False)
            config = _config(cls, setting)
        except Exception as error:
            raise MethodError(f"{where} cannot be used: {error}") from error
        if place == 0 and config != default:
            raise MethodError(f"{where} is not the default: the first setting must be what the constructor gives.")
        if config in seen:
            raise MethodError(
                f"{where} has the same config() as settings[{seen[config]}]: leave one of them out, or let config() "
                "return what they differ in."
            )
        seen[config] = place


def _config(cls: type[Method], arguments: Mapping[str, object]) -> str:
    return json.dumps(dict(cls(**arguments).config()), sort_keys=True, allow_nan=False)

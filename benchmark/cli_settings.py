"""`--set METHOD.option=value`: options of methods given on the command line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence

from ..tasks.errors import EpishotError
from .overrides import option_value, put

SET_HELP = "An option of a method: METHOD.option=value, nested METHOD.section.option=value; may be repeated."


def settings_by_method(settings: Sequence[str], references: Sequence[str]) -> dict[str, str]:
    """Constructor arguments (JSON) of the methods that `settings` name.

    Values are JSON, or text where they are not: `energy-cmdn.encoder.width=64`, `maml.order=first`.

    Args:
        settings: each `METHOD.path=value`. references: the methods to run, by registered name or plugin reference.

    Raises:
        EpishotError: another form, a method that is not among them, or an option that is set twice.
    """
    names = _names(references)
    found: dict[str, dict[str, object]] = {}
    paths: dict[str, list[list[str]]] = {}
    for text in settings:
        target, equals, value = text.partition("=")
        name = max((name for name in names if target.startswith(f"{name}.")), key=len, default=None)
        path = target.removeprefix(f"{name}.").split(".")
        if not equals or not target.partition(".")[2] or (name and not all(path)):
            raise EpishotError(f"--set {text!r} is not of the form METHOD.option=value, e.g. maml.inner_steps=3.")
        if name is None:
            raise EpishotError(_unknown(text, names))
        reference = names[name]
        for other in paths.setdefault(reference, []):
            both = min(len(path), len(other))
            if path[:both] == other[:both]:
                raise EpishotError(f"--set gives {'.'.join(path[:both])!r} of {name!r} twice; give it once.")
        paths[reference].append(path)
        put(found.setdefault(reference, {}), path, option_value(value))
    return {reference: json.dumps(options, sort_keys=True) for reference, options in found.items()}


def _names(references: Sequence[str]) -> dict[str, str]:
    """What each method may be called: its reference, and of plugins the `name` of the class too."""
    from ..methods.registry import find_method

    names = {reference: reference for reference in references}
    return {find_method(one).name: one for one in references if ":" in one} | names


def _unknown(text: str, names: dict[str, str]) -> str:
    near = difflib.get_close_matches(text.partition(".")[0], names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"--set {text!r} names none of the methods to run.{hint} These are {', '.join(names)}."

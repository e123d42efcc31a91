"""Options of a method that differ from its defaults: how they are written in a row's name, and read back from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping

from ..tasks.errors import EpishotError

#: What a name may show of an option; names become names of files.
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")
_LONGEST = 120


def configured_name(name: str, arguments: Mapping[str, object]) -> str:
    """The name of the row of `name` built with `arguments`: two configurations of one method are two rows.

    Nested options are dotted paths: `energy-cmdn[encoder.width=64]`. What cannot be shown as it is (text that
    reads as a number, lists, odd characters, more than 120 characters) is told apart by a digest at the end.
    """
    if not arguments:
        return name
    parts, exact = [], True
    for path, value in _flat(arguments):
        text = value if isinstance(value, str) else json.dumps(value)
        keys, shown = ".".join(_UNSAFE.sub("", key) for key in path), _UNSAFE.sub("", text)
        exact &= shown == text and keys.split(".") == list(path)
        exact &= not (isinstance(value, str) and (not value or option_value(value) != value))
        parts.append(f"{keys}={shown}")
    label = ",".join(parts)
    if not exact or len(label) > _LONGEST:
        canonical = json.dumps(arguments, sort_keys=True)
        label = f"{label[:_LONGEST]},+{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"
    return f"{name}[{label}]"


def arguments_in(name: str, config: str) -> str:
    """Constructor arguments (JSON) of a row called `method[path=value,...]`: those parts of its configuration.

    Args:
        name: the row's name. config: the row's configuration as JSON.

    Raises:
        EpishotError: the configuration has no such option.
    """
    label = name.partition("[")[2].removesuffix("]")
    found: dict[str, object] = {}
    for part in label.split(",") if label else ():
        if part.startswith("+"):
            continue
        path, equals, _ = part.partition("=")
        value: object = json.loads(config)
        for key in path.split("."):
            if not equals or not isinstance(value, dict) or key not in value:
                raise EpishotError(f"The configuration of {name!r} does not say how to build it again.")
            value = value[key]
        put(found, path.split("."), value)
    return json.dumps(found, sort_keys=True)


def put(options: dict[str, object], path: list[str], value: object) -> None:
    """Set a nested option, making the sections on the way to it."""
    *sections, last = path
    for key in sections:
        inner = options.setdefault(key, {})
        assert isinstance(inner, dict), "no option is set below another one"
        options = inner
    options[last] = value


def option_value(text: str) -> object:
    """JSON where the text is that, else the text itself."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def _flat(options: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in sorted(options.items()):
        if isinstance(value, Mapping) and value:
            yield from _flat(value, (*above, key))
        else:
            yield (*above, key), value

"""The registry of methods, and how a method class is found again in another process."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TypeVar

from ..tasks.errors import EpishotError, MethodError
from ..tasks.registry import Registry, load_reference
from .base import Method, Reads, Regime
from .settings import check_grid, check_settings

M = TypeVar("M", bound=type[Method])

#: Names end up in file names, in URLs and behind `--methods a,b`.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def check_method_class(candidate: object) -> type[Method]:
    """Return `candidate` if it is a complete method class.

    Raises:
        MethodError: it is not a `Method`, is abstract, or a declaration is missing or of the wrong kind (a grid of
            settings included, see `check_grid`).
    """
    label = getattr(candidate, "__qualname__", repr(candidate))
    if not (isinstance(candidate, type) and issubclass(candidate, Method)):
        raise MethodError(f"{label} is not a subclass of epishot.methods.Method.")
    if inspect.isabstract(candidate):
        missing = ", ".join(sorted(getattr(candidate, "__abstractmethods__", ())))
        raise MethodError(f"{label} does not implement {missing}.")
    for attribute in ("name", "summary", "reads", "regimes"):
        if not hasattr(candidate, attribute):
            raise MethodError(f"{label} does not declare `{attribute}`.")
    if not (isinstance(candidate.name, str) and _NAME.fullmatch(candidate.name)):
        raise MethodError(f"{label}.name is {candidate.name!r}; use lower-case letters, digits, '.', '_' and '-' only.")
    for attribute, kind in (("reads", Reads), ("regimes", Regime)):
        try:
            {kind(value) for value in getattr(candidate, attribute)}
        except (TypeError, ValueError):
            allowed = ", ".join(member.value for member in kind)
            raise MethodError(f"{label}.{attribute} must be a set of {allowed}.") from None
    if not candidate.regimes:
        raise MethodError(f"{label}.regimes is empty; declare at least one regime.")
    required = [
        parameter.name
        for parameter in list(inspect.signature(candidate.__init__).parameters.values())[1:]
        if parameter.default is parameter.empty and parameter.kind not in _VARIADIC
    ]
    if required:
        raise MethodError(f"{label}.__init__ has no default for {', '.join(required)}; give every one a default.")
    check_grid(candidate)
    return candidate


METHODS: Registry[type[Method]] = Registry("method", group="epishot.methods", check=check_method_class)


def register_method(cls: M) -> M:
    """Class decorator: add a method to the registry under `cls.name`.

    Raises:
        MethodError: the class is incomplete, or its constructor refuses one of its `settings`.
        DuplicateNameError: the name is taken.
    """
    check_settings(check_method_class(cls))
    METHODS.add(cls.name, cls)
    return cls


def find_method(reference: str) -> type[Method]:
    """Return the class that `reference` names: a registered name or `path/to/file.py:ClassName`.

    Raises:
        UnknownNameError: no such name. EpishotError: the file or class cannot be loaded.
    """
    if ":" in reference:
        return check_method_class(load_reference(reference))
    return METHODS.get(reference)


def method_address(cls: type[Method]) -> str:
    """A `module:Class` or `file.py:Class` reference from which a fresh process loads the class again.

    Raises:
        EpishotError: the class was made inside a function or an interactive session.
    """
    module = sys.modules.get(cls.__module__)
    # A class made by `SklearnMethod.of` is found by the variable it was assigned to.
    attribute = next((name for name, value in vars(module).items() if value is cls), None) if module else None
    if attribute is None:
        raise EpishotError(
            f"{cls.__qualname__} is not a top-level name of {cls.__module__}, so that no other process can "
            "import it; move it to the top of a module or file."
        )
    if cls.__module__ == "__main__" or cls.__module__.startswith("epishot_file_"):
        file = getattr(module, "__file__", None)
        if file is None:
            raise EpishotError(f"{cls.__qualname__} lives in an interactive session; save it to a file first.")
        return f"{Path(file).resolve()}:{attribute}"
    return f"{cls.__module__}:{attribute}"

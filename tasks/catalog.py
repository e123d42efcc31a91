"""The catalog of tasks: registered factories, files that hold one, and folders of EP data.

Names are listed without building anything; a task is built on first use and kept for the process.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .errors import EpishotError, UnknownNameError
from .registry import Registry, load_reference

if TYPE_CHECKING:
    from .task import Task

F = TypeVar("F", bound=Callable[..., "Task"])


def check_factory(candidate: object) -> Callable[..., Task]:
    """Return `candidate` if it can be called without arguments.

    Raises:
        EpishotError: it is not callable, or needs arguments.
    """
    label = getattr(candidate, "__qualname__", repr(candidate))
    if not callable(candidate):
        raise EpishotError(f"{label} is not a task factory: register a function that returns a Task.")
    needed = [
        parameter.name
        for parameter in inspect.signature(candidate).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        raise EpishotError(f"The task factory {label} needs {', '.join(needed)}; give every parameter a default.")
    return candidate


TASKS: Registry[Callable[..., Task]] = Registry("task", group="epishot.tasks", check=check_factory)

_built: dict[object, Task] = {}


def register_task(name: str) -> Callable[[F], F]:
    """Decorator: add a task factory to the catalog.

    The factory takes keyword arguments with defaults (int, float or str) and returns a `Task`; the first
    line of its docstring is its summary.

    Raises:
        DuplicateNameError: the name is taken. EpishotError: the factory needs arguments, or the name is malformed.
    """

    def add(factory: F) -> F:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise EpishotError(f"{name!r} is not a task name: use letters, digits, '.', '_' and '-'.")
        check_factory(factory)
        TASKS.add(name, factory)
        return factory

    return add


def forget_tasks() -> None:
    """Let go of the tasks that were built; the next use builds them again."""
    _built.clear()


@dataclass(frozen=True)
class TaskInfo:
    """One line of `epishot tasks`: name, what it is, where it comes from."""

    name: str
    summary: str
    origin: str


@dataclass(frozen=True)
class Catalog:
    """All tasks that can be named, and why the others cannot (name -> cause)."""

    tasks: tuple[TaskInfo, ...]
    failures: dict[str, str]


def describe() -> Catalog:
    """The registered tasks with their one-line summaries; nothing is built or downloaded."""
    # The origin of an entry is lost once it is loaded, hence the order.
    origins = {name: TASKS.origin(name) for name in TASKS.names()}
    tasks = tuple(
        TaskInfo(name=name, summary=_summary(factory), origin=origins[name]) for name, factory in TASKS.load_all()
    )
    return Catalog(tasks=tasks, failures=TASKS.failures())


def load_task(reference: str) -> Task:
    """The task that `reference` names, built once per process.

    Args:
        reference: a registered name (`bengi`); a name with factory arguments (`synthetic@seed=2,cells=24`);
            `path/to/file.py:factory`, with or without arguments; or a folder with `card.json` and
            `pairs.tsv`, `.csv` or `.parquet`. A registered name wins over a folder of that name: write `./name`.

    Raises:
        UnknownNameError: nothing of that name; near names are suggested.
        TableError: the rows are not a valid EP table.
        SourceError: source data is missing or not the pinned bytes.
        EpishotError: anything else the user can mend.
    """
    base, arguments = _split_reference(reference)
    if ".py:" in base:
        key = (str(Path(base).expanduser().absolute()), *sorted(arguments.items()))
        return _once(key, lambda: _call(check_factory(load_reference(base)), base, arguments))
    if base in TASKS:
        return _once((base, *sorted(arguments.items())), lambda: _call(TASKS.get(base), base, arguments))
    folder = Path(base).expanduser()
    if folder.is_dir() and not arguments:
        from .folder import CARD_FILE, PAIR_FILES, load_folder

        # A folder changes while its owner works on it; a kept task may not outlive the files it was read from.
        files = [folder / name for name in (CARD_FILE, *PAIR_FILES) if (folder / name).is_file()]
        stamps = tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        return _once((str(folder.resolve()), stamps), lambda: load_folder(folder))
    if re.search(r"[\\/]", base):
        raise UnknownNameError(f"There is no folder {base}: give a folder that holds card.json and a pairs file.")
    TASKS.get(base)  # raises, with near names
    raise UnknownNameError(f"There is no task named {base!r}.")


def _once(key: object, make: Callable[[], Task]) -> Task:
    if key not in _built:
        _built[key] = make()
    return _built[key]


def _split_reference(reference: str) -> tuple[str, dict[str, int | float | str]]:
    match = re.fullmatch(r"(?P<base>.*?)@(?P<arguments>[^@/\\]*)", reference)
    if match is None:
        return reference, {}
    arguments: dict[str, int | float | str] = {}
    for part in match["arguments"].split(","):
        name, equals, value = (text.strip() for text in part.partition("="))
        if not equals or not name.isidentifier() or not value or name in arguments:
            raise EpishotError(f"{reference!r}: write arguments as name@key=value,key=value, each key once.")
        arguments[name] = _value(value)
    return match["base"], arguments


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _call(factory: Callable[..., Task], name: str, arguments: dict[str, int | float | str]) -> Task:
    """Call a factory with arguments from the command line, in words a user can act on."""
    import difflib

    from .task import Task

    parameters = inspect.signature(factory).parameters
    for key, value in arguments.items():
        if key not in parameters:
            near = difflib.get_close_matches(key, parameters, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(parameters) or "no arguments"
            raise EpishotError(f"Task {name!r} has no argument {key!r}.{hint} It takes {known}.")
        default = parameters[key].default
        wanted = {int: (int,), float: (int, float), str: (int, float, str)}.get(type(default))
        if wanted is not None and not isinstance(value, wanted):
            kind = "a whole number" if wanted == (int,) else "a number"
            raise EpishotError(f"Task {name!r}: {key}={value} must be {kind}.")
        if isinstance(default, str):
            arguments = {**arguments, key: str(value)}
    try:
        task = factory(**arguments)
    except EpishotError:
        raise
    except Exception as error:
        raise EpishotError(f"Building task {name!r} failed: {type(error).__name__}: {error}") from error
    if not isinstance(task, Task):
        raise EpishotError(f"The factory of task {name!r} returned {type(task).__name__}, not a Task.")
    return task


def _summary(factory: Callable[..., Task]) -> str:
    text = inspect.getdoc(factory) or ""
    return text.splitlines()[0] if text else ""

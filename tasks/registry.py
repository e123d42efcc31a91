"""One small generic registry, reused for tasks, methods and every other named part.

An entry is an object or a lazy `"module:attribute"` reference, so that listing names imports nothing.
Third-party packages add entries through an entry-point group; one that fails to load is named in
`failures()` and never breaks the rest.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Generic, TypeVar

from .errors import DuplicateNameError, EpishotError, UnknownNameError

T = TypeVar("T")


def load_reference(reference: str) -> object:
    """Return what `package.module:attribute` or `path/to/file.py:attribute` names.

    Raises:
        EpishotError: the file, module or attribute does not exist, or importing it fails.
    """
    target, colon, attribute = reference.rpartition(":")
    if not colon or not target or not attribute:
        raise EpishotError(f"{reference!r} is not of the form path/to/file.py:Name or package.module:Name.")
    try:
        module = _load_file(Path(target)) if target.endswith(".py") else importlib.import_module(target)
    except EpishotError:
        raise
    except (Exception, SystemExit) as error:  # a plugin that exits on import may not end the program
        raise EpishotError(f"Importing {target!r} failed: {type(error).__name__}: {error}") from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        near = difflib.get_close_matches(attribute, dir(module), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise EpishotError(f"{target!r} has no {attribute!r}.{hint}") from None


def _load_file(path: Path) -> object:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise EpishotError(f"There is no file {path}.")
    # One module per path, so that the class is the same object wherever it is asked for.
    name = f"epishot_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise EpishotError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an installed package"


class Registry(Generic[T]):
    """Names of one kind of thing ("task", "method", ...) and how to get each.

    Args:
        kind: the word used in error texts.
        group: entry-point group scanned for third-party entries; None for none.
        check: called with every loaded object; raises `EpishotError` if it is not acceptable.
    """

    def __init__(self, kind: str, group: str | None = None, check: Callable[[object], T] | None = None) -> None:
        self.kind = kind
        self.group = group
        self._check = check
        self._entries: dict[str, T | str | EntryPoint] = {}
        self._failures: dict[str, str] = {}
        self._clashes: dict[str, str] = {}
        self._scanned = group is None

    def add(self, name: str, target: T | str) -> None:
        """Register an object or a lazy `"module:attribute"` reference under `name`.

        Raises:
            DuplicateNameError: the name is taken by something else.
        """
        self._scan()
        taken = self._entries.get(name)
        if taken is not None and taken is not target and not self._same(taken, target):
            raise DuplicateNameError(
                f"The {self.kind} name {name!r} is already taken by {self.origin(name)}; choose another name."
            )
        self._entries[name] = target

    @staticmethod
    def _same(taken: object, target: object) -> bool:
        """A module loaded twice (reload, entry point plus decorator) registers the same thing again."""

        def key(thing: object) -> str:
            if isinstance(thing, str):
                return thing
            if isinstance(thing, EntryPoint):
                return thing.value
            return f"{getattr(thing, '__module__', '?')}:{getattr(thing, '__qualname__', id(thing))}"

        return key(taken) == key(target)

    def names(self) -> list[str]:
        """All registered names, sorted; nothing is imported for it."""
        self._scan()
        return sorted(self._entries)

    def __contains__(self, name: str) -> bool:
        self._scan()
        return name in self._entries

    def failures(self) -> dict[str, str]:
        """Entries that could not be registered, or not be loaded so far: name -> one-line cause."""
        self._scan()
        return {**self._clashes, **self._failures}

    def origin(self, name: str) -> str:
        """Where an entry comes from, for humans."""
        self._scan()
        entry = self._entries.get(name)
        if isinstance(entry, EntryPoint):
            return f"{_package(entry)} ({entry.value})"
        if isinstance(entry, str):
            return entry
        return f"{getattr(entry, '__module__', '?')}:{getattr(entry, '__qualname__', type(entry).__name__)}"

    def reference(self, name: str) -> str | None:
        """The `module:attribute` of an entry that is not loaded yet; None if it is loaded or unknown."""
        self._scan()
        entry = self._entries.get(name)
        if isinstance(entry, EntryPoint):
            return entry.value
        return entry if isinstance(entry, str) else None

    def get(self, name: str) -> T:
        """Return the entry, importing it if need be.

        Raises:
            UnknownNameError: nobody registered the name; near names are suggested.
            EpishotError: importing the entry failed; the text names it and its package.
        """
        self._scan()
        if name not in self._entries:
            near = difflib.get_close_matches(name, self._entries, n=3)
            hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
            raise UnknownNameError(
                f"There is no {self.kind} named {name!r}.{hint} Known: {', '.join(self.names()) or 'none'}."
            )
        entry = self._entries[name]
        if not isinstance(entry, str | EntryPoint):
            return entry
        origin = self.origin(name)
        try:
            loaded = entry.load() if isinstance(entry, EntryPoint) else load_reference(entry)
            checked = self._check(loaded) if self._check else loaded
        except (Exception, SystemExit) as error:
            cause = f"{type(error).__name__}: {error}"
            self._failures[name] = cause
            raise EpishotError(f"The {self.kind} {name!r} from {origin} cannot be loaded: {cause}") from error
        self._failures.pop(name, None)
        self._entries[name] = checked  # type: ignore[assignment]
        return checked  # type: ignore[return-value]

    def load_all(self) -> Iterable[tuple[str, T]]:
        """Yield every entry that loads; the others end up in `failures()`."""
        for name in self.names():
            try:
                yield name, self.get(name)
            except EpishotError:
                continue

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        # The package's own names come first, so that no other package can take one over.
        own = __name__.partition(".")[0]
        points = sorted(
            entry_points(group=self.group or ""), key=lambda point: (point.value.partition(".")[0] != own, point.value)
        )
        for point in points:
            if point.name in self._entries and not self._same(self._entries[point.name], point):
                self._clashes[point.name] = (
                    f"{point.value} claims a name that is already taken by {self.origin(point.name)}"
                )
                continue
            self._entries.setdefault(point.name, point)

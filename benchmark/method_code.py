"""A digest of the source that defines a method, so that editing it, and only it, invalidates its runs.

Covered are what hands it its tables, the method's own module and, transitively, what it imports from
`epishot.methods`, from `epishot.baselines` and, for a plugin given as a file, from below the file's folder.
Of a plugin in a package of its own, every module of that package is covered, however it is imported.
Nothing is imported to find them. Other packages count by their versions, not by their source.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..tasks.errors import EpishotError

_PACKAGE = __name__.split(".")[0]
#: Parts of this package that hold methods; the rest has its own versions in a run's identity.
_OWN = (f"{_PACKAGE}.methods", f"{_PACKAGE}.baselines")


#: What a method is given, and how it is called, is part of what it scores.
_HANDED_OVER = (f"{_PACKAGE}.methods.tables", f"{_PACKAGE}.benchmark.prepare", f"{_PACKAGE}.benchmark.worker")


#: Audits look at a method and are no part of what it scores: a better audit invalidates no run.
_AUDITS = re.compile(rf"{_PACKAGE}\.methods\.(\w+\.)*audits?(\.\w+)*")

#: Folders of other people's code, which may lie below a plugin's folder (a virtual environment does).
_INSTALLED = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True)
class _Module:
    name: str
    path: Path

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def method_code(address: str) -> str:
    """sha256 (hex) over the sources behind `module:Class` or `file.py:Class`.

    Raises:
        EpishotError: the module or file does not exist.
    """
    target = address.rpartition(":")[0]
    path = Path(target).expanduser().resolve() if target.endswith(".py") else None
    start = _Module(path.stem, path) if path else _find(target)
    if start is None or not start.path.is_file():
        raise EpishotError(f"There is no source file for {target!r}.")
    waiting = [start, *(module for name in _HANDED_OVER if (module := _find(name)) is not None)]
    folder = None
    if path is None and start.package:
        waiting.extend(() if start.package.split(".")[0] == _PACKAGE else _whole_package(start))
    elif start.path.parent.name not in _INSTALLED:
        # A file, or a module in no package: what it needs lies beside it.
        folder = start.path.parent.resolve()
    seen: dict[Path, _Module] = {}
    while waiting:
        module = waiting.pop()
        source = module.path.resolve()
        if source not in seen:
            seen[source] = module
            waiting.extend(_imported(module, folder))
    digest = hashlib.sha256()
    for module in sorted(seen.values(), key=lambda module: (module.name, str(module.path))):
        digest.update(f"{module.name}\n".encode())
        digest.update(hashlib.sha256(module.path.read_bytes()).digest())
    return digest.hexdigest()


def _whole_package(module: _Module) -> Iterator[_Module]:
    """Every module of a module's own top-level package (below a namespace, which others share)."""
    names = module.package.split(".")
    folders = [module.path.parents[len(names) - 1 - depth] for depth in range(len(names))]
    depth = next((d for d, folder in enumerate(folders) if (folder / "__init__.py").is_file()), len(names) - 1)
    for parent, inner, files in os.walk(folders[depth]):
        inner[:] = sorted(name for name in inner if not _foreign(Path(parent, name)))
        below = Path(parent).relative_to(folders[depth]).parts
        for file in sorted(name for name in files if name.endswith(".py")):
            last = () if file == "__init__.py" else (file.removesuffix(".py"),)
            yield _Module(".".join((*names[: depth + 1], *below, *last)), Path(parent, file))


def _foreign(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _INSTALLED or (folder / "pyvenv.cfg").is_file()


def _imported(module: _Module, folder: Path | None) -> Iterator[_Module]:
    if module.path.name == "__init__.py" and module.package in _OWN:
        return  # a face that names everything; `_behind` finds the one module that is meant
    for target, names in _import_statements(module):
        if _AUDITS.fullmatch(target):
            continue
        if any(target == root or target.startswith(root + ".") for root in _OWN):
            for name in names or [""]:
                found = _behind(target, name)
                if found is not None:
                    yield found
        elif folder is not None and target.partition(".")[0] != _PACKAGE:
            for name in names or [""]:
                yield from _beside(f"{target}.{name}" if name else target, folder)


def _beside(target: str, folder: Path) -> Iterator[_Module]:
    """The modules below `folder` that importing `target` executes, packages on the way to it included."""
    parts = target.split(".")
    if not parts[0] or parts[0] in sys.stdlib_module_names:
        return
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        found = _below(folder, parts[:depth]) or _find(name)
        if found is None:
            continue
        lexical = found.path.is_relative_to(folder)
        path = found.path if lexical else found.path.resolve()
        if path.is_relative_to(folder) and not _INSTALLED & set(path.relative_to(folder).parts):
            yield _Module(name, path)


def _import_statements(module: _Module) -> Iterator[tuple[str, list[str]]]:
    """(absolute module, names taken from it) of every import statement, also those inside functions."""
    try:
        tree = ast.parse(module.path.read_bytes())
    except (SyntaxError, ValueError):  # whoever imports it is told
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, []
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if node.level == 0:
                yield node.module or "", names
            else:
                base = ".".join(module.package.split(".")[: len(module.package.split(".")) - node.level + 1])
                yield ".".join(part for part in (base, node.module) if part), names


def _behind(target: str, name: str) -> _Module | None:
    """The module that `from target import name` executes code of."""
    if name and (submodule := _find(f"{target}.{name}")) is not None:
        return submodule
    module = _find(target)
    if module is None or target not in _OWN or not name:
        return module
    for source, names in _import_statements(module):
        if name in names:
            return _find(source)
    return module


def _below(folder: Path, parts: Sequence[str]) -> _Module | None:
    """The module `parts` seen from a folder: a package's `__init__.py`, else a file."""
    path = folder.joinpath(*parts)
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return _Module(".".join(parts), file)
    return None


@cache
def _find(name: str) -> _Module | None:
    """Locate a module by walking its package's folders, which unlike `find_spec` imports no parent."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        path = Path(spec.origin) if spec.origin else None
        return _Module(name, path) if path is not None and path.suffix == ".py" else None
    for folder in spec.submodule_search_locations or ():
        if (found := _below(Path(folder), rest)) is not None:
            return _Module(name, found.path)
    return None

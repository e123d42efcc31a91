"""A digest of the source that defines a method, so that editing it, and only it, invalidates its runs.

Covered are what hands it its tables, the method's own module and, transitively, the modules it imports from
`epishot.methods`, from `epishot.baselines`, or from the method's own package or folder. Nothing is imported
to find them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..tasks.errors import EpishotError

_PACKAGE = __name__.split(".")[0]
#: Parts of this package that hold methods; the rest has its own versions in a run's identity.
_OWN = (f"{_PACKAGE}.methods", f"{_PACKAGE}.baselines")


#: What a method is given, and how it is called, is part of what it scores.
_HANDED_OVER = (f"{_PACKAGE}.methods.tables", f"{_PACKAGE}.benchmark.prepare", f"{_PACKAGE}.benchmark.worker")


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
    folder = Path(target).expanduser().resolve().parent if target.endswith(".py") else None
    start = _Module(Path(target).stem, folder / Path(target).name) if folder else _find(target)
    if start is None or not start.path.is_file():
        raise EpishotError(f"There is no source file for {target!r}.")
    roots = _OWN if folder or start.name.startswith(_PACKAGE + ".") else (*_OWN, start.name.split(".")[0])
    seen: dict[str, _Module] = {}
    waiting = [start, *(module for name in _HANDED_OVER if (module := _find(name)) is not None)]
    while waiting:
        module = waiting.pop()
        if module.name in seen:
            continue
        seen[module.name] = module
        waiting.extend(_imported(module, roots, folder))
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(f"{name}\n".encode())
        digest.update(hashlib.sha256(seen[name].path.read_bytes()).digest())
    return digest.hexdigest()


def _imported(module: _Module, roots: tuple[str, ...], folder: Path | None) -> Iterator[_Module]:
    if module.path.name == "__init__.py" and module.package in _OWN:
        return  # a face that names everything; `_behind` finds the one module that is meant
    for target, names in _import_statements(module):
        if folder is not None and "." not in target and (folder / f"{target}.py").is_file():
            yield _Module(target, folder / f"{target}.py")
        elif target == _PACKAGE:
            continue
        elif any(target == root or target.startswith(root + ".") for root in roots):
            for name in names or [""]:
                found = _behind(target, name)
                if found is not None:
                    yield found


def _import_statements(module: _Module) -> Iterator[tuple[str, list[str]]]:
    """(absolute module, names taken from it) of every import statement, also those inside functions."""
    for node in ast.walk(ast.parse(module.path.read_text(encoding="utf-8"))):
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


@cache
def _find(name: str) -> _Module | None:
    """Locate a module by walking its package's folders, which unlike `find_spec` imports no parent."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    for part in rest:
        if path.name != "__init__.py":
            return None
        folder = path.parent / part
        path = folder / "__init__.py" if (folder / "__init__.py").is_file() else folder.with_suffix(".py")
        if not path.is_file():
            return None
    return _Module(name, path) if path.suffix == ".py" else None

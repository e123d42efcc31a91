"""What a method class declares, read from its source, so that a list of methods imports no neural library.

Only the declarations of `Method` are looked at, and only in this package's own modules; whoever cannot be read that
way is imported.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

from ..methods.base import Capabilities
from ..methods.registry import METHODS

_PACKAGE = __name__.split(".")[0]
_ROOT = Path(__file__).resolve().parents[1]


class Declared:
    """What a method declares.

    Attributes:
        name: registry name. summary: one line. capabilities: as `Method.capabilities` gives them.
        unavailable: why the method cannot run here and how to change that, or None. A class that needs an
            optional library says so by two attributes: `requires`, a module, and `install`, a command.
    """

    def __init__(self, name: str, attribute: Callable[[str], object]) -> None:
        self.name = name
        self.summary = str(attribute("summary"))
        self.capabilities = Capabilities(
            reads=frozenset(attribute("reads")),  # type: ignore[call-overload]
            regimes=frozenset(attribute("regimes")),  # type: ignore[call-overload]
            transductive=bool(attribute("transductive")),
            deterministic=bool(attribute("deterministic")),
            logits=bool(attribute("logits")),
            control=bool(attribute("control")),
        )
        self.unavailable: str | None = None
        try:
            requires = str(attribute("requires"))
        except AttributeError:
            return
        if find_spec(requires) is None:
            self.unavailable = f"{requires} is not installed; install it with: {attribute('install')}"


def declared(name: str) -> Declared:
    """What the registered method `name` declares.

    Raises:
        EpishotError: it is not registered, or had to be imported and cannot be.
    """
    address = METHODS.reference(name) or ""
    if address.partition(".")[0] == _PACKAGE:
        module, _, attribute = address.partition(":")
        try:
            written = _source(module).value(attribute)
            if isinstance(written, _Class):
                return Declared(name, written.attribute)
            if isinstance(written, type):  # named by a package, and already loaded from the module behind it
                return Declared(name, partial(getattr, written))
        except (_NotWrittenError, AttributeError):
            pass  # whoever imports it is told what is missing
    cls = METHODS.get(name)
    return Declared(name, lambda attribute: getattr(cls, attribute))


class _NotWrittenError(Exception):
    """A value is computed in a way that is not followed here."""


class _Source:
    """A module as it is written."""

    def __init__(self, name: str, path: Path) -> None:
        self.package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.body = ast.parse(path.read_bytes()).body

    def value(self, name: str) -> object:
        """The value, or the `_Class`, that a name of the module stands for."""
        for statement in reversed(self.body):
            if isinstance(statement, ast.ClassDef) and statement.name == name:
                return _Class(self, statement)
            if (assigned := _assigned(statement, name)) is not None:
                return self.evaluate(assigned)
            if isinstance(statement, ast.ImportFrom):
                for alias in statement.names:
                    if (alias.asname or alias.name) == name:
                        return self._imported(statement, alias.name)
        raise _NotWrittenError(name)

    def _imported(self, statement: ast.ImportFrom, name: str) -> object:
        parents = self.package.split(".")
        base = parents[: len(parents) + 1 - statement.level] if statement.level else []
        module = ".".join([*base, *([statement.module] if statement.module else [])])
        if module in sys.modules:
            return getattr(sys.modules[module], name)
        return _source(module).value(name)

    def evaluate(self, expression: ast.expr) -> object:
        """The value of constants, names, attributes, sets and their unions."""
        match expression:
            case ast.Constant(value):
                return value
            case ast.Name(name):
                return self.value(name)
            case ast.Attribute(owner, name):
                found = self.evaluate(owner)
                return found.attribute(name) if isinstance(found, _Class) else getattr(found, name)
            case ast.Set(elements) | ast.Tuple(elements) | ast.List(elements):
                return frozenset(self.evaluate(element) for element in elements)
            case ast.Call(ast.Name("frozenset"), arguments, []):
                return frozenset(*(self.evaluate(argument) for argument in arguments))
            case ast.BinOp(left, ast.BitOr(), right):
                return self.evaluate(left) | self.evaluate(right)  # type: ignore[operator]
        raise _NotWrittenError(ast.dump(expression))


class _Class:
    """A class as it is written."""

    def __init__(self, source: _Source, node: ast.ClassDef) -> None:
        self._source, self._node = source, node
        hooks = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init_subclass__"]
        if node.decorator_list or node.keywords or hooks:
            raise _NotWrittenError(node.name)  # it, or its subclasses, may be changed when they are made

    def attribute(self, name: str) -> object:
        """An attribute of the class or, first come first, of its bases."""
        for statement in reversed(self._node.body):
            if (assigned := _assigned(statement, name)) is not None:
                return self._source.evaluate(assigned)
        for expression in self._node.bases:
            base = self._source.evaluate(expression)
            if hasattr(getattr(base, "__init_subclass__", None), "__func__"):
                raise _NotWrittenError(self._node.name)
            try:
                return base.attribute(name) if isinstance(base, _Class) else getattr(base, name)
            except AttributeError:
                continue
        raise AttributeError(name)


def _assigned(statement: ast.stmt, name: str) -> ast.expr | None:
    match statement:
        case ast.Assign([ast.Name(target)], value) if target == name:
            return value
        case ast.AnnAssign(ast.Name(target), _, ast.expr() as value) if target == name:
            return value
    return None


@cache
def _source(module: str) -> _Source:
    below = _ROOT.joinpath(*module.split(".")[1:])
    for path in (below.with_suffix(".py"), below / "__init__.py"):
        if module.split(".")[0] == _PACKAGE and path.is_file():
            return _Source(module, path)
    raise _NotWrittenError(module)

"""What the runner must know of a method before it runs, learnt without importing the method here.

Importing one neural method costs seconds; the fork server has it loaded anyway. So a class is described
in a child process, and the description is kept in the run store under the digest of its source.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from ..methods.base import CONTRACT_VERSION, Method, Reads, Regime
from ..methods.registry import METHODS, find_method, method_address
from ..methods.settings import check_settings
from ..tasks.errors import DuplicateNameError, MethodError
from .method_code import method_code
from .overrides import configured_name
from .provenance import versions
from .records import MethodFacts
from .specs import MethodSpec
from .tuned import Tuned, config_of_cell, with_tuned

if TYPE_CHECKING:
    from .executor import Executor
    from .store import RunStore


class Description(BaseModel):
    """A described method.

    Attributes:
        address: where a fresh process finds the class. code: digest of its source (see `method_code`).
        arguments: constructor arguments as JSON. transductive: whether it is given the cell table.
        settings: the grid that the class declares, each setting as JSON. tuned: what was chosen from it, None for a
            row of one setting; `facts.config` then says it too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    code: str
    arguments: str
    facts: MethodFacts
    transductive: bool
    settings: tuple[str, ...] = ()
    tuned: Tuned | None = None

    def arguments_for(self, cell: str) -> dict[str, object]:
        """Constructor arguments with which the fits for a held-out cell are made."""
        chosen = self.tuned.cells.get(cell) if self.tuned else None
        return {**json.loads(self.arguments), **(chosen.setting if chosen else {})}

    def config_for(self, cell: str) -> str:
        """The configuration (JSON) that identifies the runs of a held-out cell."""
        return config_of_cell(self.facts.config, cell)

    def as_tuned(self, tuned: Tuned) -> Description:
        """The same method with settings chosen for held-out cells.

        Raises:
            MethodError: they were chosen from another grid than the one that the class declares.
        """
        if list(tuned.settings) != [json.loads(setting) for setting in self.settings]:
            raise MethodError(f"Method {self.name!r} does not declare the grid that its settings were chosen from.")
        facts = self.facts.model_copy(update={"config": with_tuned(self.facts.config, tuned)})
        return self.model_copy(update={"tuned": tuned, "facts": facts})

    @property
    def name(self) -> str:
        """The method's name on the leaderboard."""
        return self.facts.name

    @property
    def reads(self) -> frozenset[Reads]:
        """The declared columns."""
        return frozenset(Reads(value) for value in self.facts.reads)

    @property
    def regimes(self) -> frozenset[Regime]:
        """The declared regimes."""
        return frozenset(Regime(value) for value in self.facts.regimes)

    @property
    def deterministic(self) -> bool:
        """Whether one seed is enough."""
        return self.facts.deterministic


@dataclass(frozen=True)
class Located:
    """A method that was found but not yet imported."""

    spec: MethodSpec
    address: str
    code: str


def locate(spec: MethodSpec) -> Located:
    """Find a method's source without importing it, where that is possible.

    Raises:
        UnknownNameError: no such method. EpishotError: no such file or class.
    """
    reference = spec.reference
    if ":" not in reference:
        address = METHODS.reference(reference) or method_address(METHODS.get(reference))
    elif reference.rpartition(":")[0].endswith(".py"):
        # Loaded here and now, so that a typing error in the file is told before anything runs.
        address = method_address(find_method(reference))
    else:
        address = reference
    return Located(spec, address, method_code(address))


def describe(located: Located) -> Description:
    """Import the class, build it with its arguments and write down what it declares.

    Raises:
        MethodError: the constructor refuses the arguments or one of the declared settings, or its configuration is
            not JSON.
    """
    cls = find_method(located.address)
    check_settings(cls)
    _refuse_unknown_options(cls, located.spec.arguments)
    try:
        method = cls(**located.spec.arguments)
    except MethodError:
        raise
    except Exception as error:
        raise MethodError(
            f"{cls.__qualname__} cannot be built with {located.spec.overrides}: {type(error).__name__}: {error}"
        ) from error
    try:
        config = json.dumps(dict(method.config()), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MethodError(f"{cls.__qualname__}.config() must return JSON values only: {error}") from error
    return Description(
        address=located.address,
        code=located.code,
        arguments=located.spec.overrides,
        facts=_facts(cls, config, located.spec),
        transductive=cls.transductive,
        settings=tuple(json.dumps(dict(setting), allow_nan=False) for setting in cls.settings),
    )


def _refuse_unknown_options(cls: type[Method], arguments: Mapping[str, object]) -> None:
    """Make sure that the constructor takes these arguments, so that a slip is named for what it is.

    Raises:
        MethodError: it does not.
    """
    parameters = inspect.signature(cls).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    unknown = sorted(set(arguments) - set(parameters))
    if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
        known = [name for name, one in parameters.items() if one.kind is not inspect.Parameter.VAR_POSITIONAL]
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise MethodError(
            f"Method {cls.name!r} has no option {unknown[0]!r}.{hint} Its options: {', '.join(known) or 'none'}."
        )


def _facts(cls: type[Method], config: str, spec: MethodSpec) -> MethodFacts:
    able = cls.capabilities()
    return MethodFacts(
        name=configured_name(cls.name, spec.arguments),
        summary=cls.summary,
        version=cls.version,
        kind="control" if able.control else "method",
        marks=able.marks,
        reads=tuple(sorted(read.value for read in able.reads)),
        regimes=tuple(regime.value for regime in Regime if regime in able.regimes),
        deterministic=able.deterministic,
        logits=able.logits,
        config=config,
    )


def describe_methods(specs: Sequence[MethodSpec], store: RunStore, executor: Executor) -> list[Description]:
    """Describe methods, from the store where their source and arguments are known there.

    Raises:
        EpishotError: a method cannot be found, imported or built. DuplicateNameError: a plugin goes by the
            name of a registered method.
    """
    located = [locate(spec) for spec in specs]
    keys = [_key(one) for one in located]
    known = {key: found for key in keys if (found := store.description(key)) is not None}
    new = [(key, one) for key, one in zip(keys, located, strict=True) if key not in known]
    if new:
        described = executor.call(_describe_all, [one for _, one in new])
        for (key, _), description in zip(new, described, strict=True):
            store.keep_description(key, description)
            known[key] = description
    descriptions = [known[key] for key in keys]
    for one, description in zip(located, descriptions, strict=True):
        if ":" in one.spec.reference:
            _refuse_taken_name(description)
    return descriptions


def _refuse_taken_name(plugin: Description) -> None:
    """Make sure that a plugin does not go by the name of another, registered method.

    Raises:
        DuplicateNameError: it does.
    """
    name = plugin.name.partition("[")[0]
    if name not in METHODS or METHODS.reference(name) == plugin.address:
        return
    if not _same_class(METHODS.get(name), find_method(plugin.address)):
        raise DuplicateNameError(
            f"The method name {name!r} is already taken by {METHODS.origin(name)}; give the class in "
            f"{_short(plugin.address)} another `name`."
        )


def _same_class(one: type[Method], other: type[Method]) -> bool:
    """A file that is also an installed module gives two class objects of one source."""
    if one is other:
        return True
    try:
        files = [inspect.getsourcefile(cls) for cls in (one, other)]
    except TypeError:  # made in an interactive session
        return False
    return one.__qualname__ == other.__qualname__ and files[0] is not None and files[0] == files[1]


def _short(address: str) -> str:
    return address.replace("\\", "/").rpartition("/")[2]


def _describe_all(located: Sequence[Located]) -> list[Description]:
    return [describe(one) for one in located]


def _key(located: Located) -> str:
    parts = [located.address, located.code, located.spec.overrides, CONTRACT_VERSION, *versions().values()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()

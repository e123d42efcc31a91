"""`epishot methods` and `epishot check`: what methods exist, what each declares, and whether one keeps the contract."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_settings import SET_HELP, settings_by_method

if TYPE_CHECKING:
    from ..methods.base import Reads, Regime

app = typer.Typer(help="Methods: list, show.", invoke_without_command=True)


#: Columns from which a list shows more than names and summaries.
_WIDE = 100


@app.callback()
def list_methods(context: typer.Context) -> None:
    """List the registered methods, one line each."""
    if context.invoked_subcommand is not None:
        return
    from rich.markup import escape
    from rich.table import Table

    from ..methods.registry import METHODS
    from ..tasks.errors import EpishotError
    from .cli_console import stdout_console
    from .declared import declared

    console = stdout_console()
    wide = console.width >= _WIDE
    rows, unavailable = [], []
    for name in METHODS.names():
        try:
            one = declared(name)
        except EpishotError:
            continue  # it is among the failures
        able = one.capabilities
        marks = " ".join(word for word in (able.marks, "control" * able.control) if word)
        if one.unavailable:
            unavailable.append(f"The method {name!r} is unavailable: {one.unavailable}")
        facts = (marks, _letters(able.reads), _supports(able.regimes)) if wide else ()
        rows.append((name, *facts, "(unavailable) " * bool(one.unavailable) + one.summary))
    headings = ("method", *(("marks", "reads", "support") if wide else ()), "summary")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    *widths, longest = (max(map(len, cells)) for cells in zip(headings, *rows, strict=True))
    # What does not fit is cut off the summary, never off a name.
    widths.append(max(20, min(longest, console.width - sum(widths) - 2 * len(widths))))
    for heading, width in zip(headings, widths, strict=True):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
    if wide:
        console.print(
            "marks: T transductive (reads the held-out cell's pairs), C reads the candidate-list context\n"
            "reads: F features, S sequence, D distance, P positions and identities, C candidate list\n"
            "support: which pairs of the new cell a method makes use of",
            highlight=False,
        )
    console.print("`epishot methods show NAME` tells everything about one.", highlight=False)
    for line in unavailable:
        typer.echo(line, err=True)
    for name, cause in METHODS.failures().items():
        typer.echo(f"The method {name!r} cannot be loaded: {cause}", err=True)


def _letters(reads: frozenset[Reads]) -> str:
    from ..methods.base import Reads

    letters = {
        Reads.FEATURES: "F",
        Reads.SEQUENCE: "S",
        Reads.DISTANCE: "D",
        Reads.COORDINATES: "P",
        Reads.CONTEXT: "C",
    }
    return "".join(letter for read, letter in letters.items() if read in reads)


def _supports(regimes: frozenset[Regime]) -> str:
    from ..methods.base import Regime

    known = [regime.value for regime in (Regime.UNLABELLED, Regime.LABELLED) if regime in regimes]
    return "both" if len(known) == 2 else (known or ["none"])[0]


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Method name or file.py:ClassName.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help=SET_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show what a method declares, and its live configuration with the sha256 of it."""
    import json

    from rich.markup import escape
    from rich.table import Table

    from ..methods.registry import find_method
    from .cli_console import stdout_console
    from .described import describe, locate
    from .specs import MethodSpec
    from .tuned import setting_text

    changed = settings_by_method(settings or (), [name]).get(name, "{}")
    described = describe(locate(MethodSpec(name, changed)))
    facts, cls = described.facts, find_method(name)
    config = json.loads(facts.config)
    digest = hashlib.sha256(facts.config.encode()).hexdigest()
    if as_json:
        shown = facts.model_dump() | {
            "paper": cls.paper,
            "transductive": described.transductive,
            "class": _class_of(described.address),
            "config": config,
            "config_sha256": digest,
            "settings": [json.loads(setting) for setting in described.settings],
        }
        typer.echo(json.dumps(shown, indent=1, allow_nan=False))
        return
    table = Table(show_header=False, box=None)
    for key, value in (
        ("method", f"{facts.name} version {facts.version}"),
        ("summary", facts.summary),
        ("paper", cls.paper or "none"),
        ("kind", facts.kind),
        ("reads", ", ".join(facts.reads) or "nothing"),
        ("regimes", ", ".join(sorted(facts.regimes))),
        ("transductive", "yes" if described.transductive else "no"),
        ("deterministic", "yes" if facts.deterministic else "no"),
        ("scores", "logits" if facts.logits else "ranks only"),
        ("tuned over", "; ".join(setting_text(json.loads(one)) for one in described.settings) or "nothing"),
        ("class", _class_of(described.address)),
    ):
        table.add_row(key, escape(value))
    console = stdout_console()
    console.print(table, highlight=False)
    for line in ("", " configuration", f" sha256 {digest}", *(outline(config, "   ") if config else ["   no options"])):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _class_of(address: str) -> str:
    return address.replace("\\", "/").rpartition("/")[2]


def outline(config: Mapping[str, object], indent: str = "", *, nested: bool = False) -> Iterator[str]:
    """Lines of a configuration: sections indented, those within sections on one line each, values as JSON."""
    import json

    plain = [key for key, value in config.items() if not _is_section(value)]
    width = max(map(len, plain), default=0)
    for key in [*plain, *(key for key in config if key not in plain)]:
        value = config[key]
        if isinstance(value, Mapping) and value:
            within = [one for one in config if _is_section(config[one])]
            if nested and not any(map(_is_section, value.values())):
                values = "  ".join(f"{name}={json.dumps(one)}" for name, one in value.items())
                yield f"{indent}{key:<{max(map(len, within))}}  {values}"
                continue
            yield f"{indent}{key}"
            yield from outline(value, f"{indent}  ", nested=True)
        elif isinstance(value, list) and _is_section(value):
            for number, one in enumerate(value):
                yield f"{indent}{key}[{number}]"
                yield from outline(one, f"{indent}  ")
        else:
            yield f"{indent}{key:<{width}} = {json.dumps(value)}"


def _is_section(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, Mapping) and one for one in value)
    return isinstance(value, Mapping) and bool(value)


def check(
    method: Annotated[str, typer.Argument(help="Method name or file.py:ClassName.")],
    only: Annotated[str | None, typer.Option(help="Names of checks, comma-separated; default all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the check data and of the method.")] = 0,
) -> int:
    """Check that a method keeps the plugin contract; exit code 1 if it does not."""
    from ..methods.check import print_checks, run_checks
    from ..methods.registry import find_method
    from .cli_console import stdout_console
    from .cli_values import words

    results = run_checks(find_method(method), words(only) or None, seed)
    return 0 if print_checks(results, stdout_console()) else 1

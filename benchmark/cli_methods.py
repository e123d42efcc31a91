"""`epishot methods` and `epishot check`: what methods exist, what each declares, and whether one keeps the contract."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Methods: list, show.", invoke_without_command=True)


@app.callback()
def list_methods(context: typer.Context) -> None:
    """List the registered methods."""
    if context.invoked_subcommand is not None:
        return
    from rich.markup import escape
    from rich.table import Table

    from ..methods.registry import METHODS
    from .cli_console import stdout_console

    table = Table("method", "kind", "marks", "regimes", "reads", "summary")
    table.columns[0].no_wrap = True
    for name, cls in METHODS.load_all():
        able = cls.capabilities()
        table.add_row(
            escape(name),
            "control" if able.control else "method",
            able.marks,
            ", ".join(sorted(regime.value for regime in able.regimes)),
            ", ".join(sorted(read.value for read in able.reads)) or "nothing",
            escape(cls.summary),
        )
    console = stdout_console()
    console.print(table)
    console.print("T: transductive (reads the held-out cell's pairs). C: reads the candidate-list context.")
    for name, cause in METHODS.failures().items():
        typer.echo(f"The method {name!r} cannot be loaded: {cause}", err=True)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Method name or file.py:ClassName.")]) -> None:
    """Show what a method declares, and its configuration."""
    import json

    from rich.markup import escape
    from rich.table import Table

    from ..methods.registry import find_method, method_address
    from .cli_console import stdout_console

    cls = find_method(name)
    able = cls.capabilities()
    table = Table(show_header=False, box=None)
    for key, value in (
        ("method", f"{cls.name} version {cls.version}"),
        ("summary", cls.summary),
        ("paper", cls.paper or "none"),
        ("kind", "control" if able.control else "method"),
        ("reads", ", ".join(sorted(read.value for read in able.reads)) or "nothing"),
        ("regimes", ", ".join(sorted(regime.value for regime in able.regimes))),
        ("transductive", "yes" if able.transductive else "no"),
        ("deterministic", "yes" if able.deterministic else "no"),
        ("scores", "logits" if able.logits else "ranks only"),
        ("configuration", json.dumps(dict(cls().config()), indent=1, sort_keys=True)),
        ("class", method_address(cls).replace("\\", "/").rpartition("/")[2]),
    ):
        table.add_row(key, escape(value))
    stdout_console().print(table)


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

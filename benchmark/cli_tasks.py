"""`epishot tasks`: list tasks, show a card, print the feasibility table, validate one's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="EP tasks: list, show, feasibility, validate.", invoke_without_command=True)


@app.callback()
def list_tasks(context: typer.Context) -> None:
    """List the registered tasks."""
    if context.invoked_subcommand is not None:
        return
    from rich.markup import escape
    from rich.table import Table

    from ..tasks.catalog import describe
    from .cli_console import stdout_console

    catalog = describe()
    table = Table("task", "summary", "from")
    table.columns[0].no_wrap = True
    for task in catalog.tasks:
        table.add_row(escape(task.name), escape(task.summary), escape(task.origin))
    stdout_console().print(table)
    for name, cause in catalog.failures.items():
        typer.echo(f"The task {name!r} cannot be loaded: {cause}", err=True)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Task name, folder or file.py:factory.")]) -> None:
    """Show a task's card and its cells."""
    import numpy as np
    from rich.markup import escape
    from rich.table import Table

    from ..tasks.catalog import load_task
    from .cli_console import stdout_console

    task = load_task(name)
    card, columns = task.card, task.columns
    facts = Table(show_header=False, box=None)
    for key, value in (
        ("task", f"{card.name} version {card.version}"),
        ("summary", card.summary),
        ("source", f"{card.source.repository} @ {card.source.revision}"),
        ("genome build", card.genome_build),
        ("licence", card.licence),
        ("citation", card.citation),
        ("label 1 means", card.label_meaning),
        ("families", "; ".join(" + ".join(family) for family in card.families) or "none"),
        ("support pool (protocol cell)", "chromosomes " + ", ".join(card.support_pool_chromosomes)),
        ("features", ", ".join(f"{f.name} [{f.unit}]" for f in card.features) or "none"),
        ("sequences", "yes" if card.sequence_length else "no sequences"),
        ("notes", " ".join(card.notes) or "none"),
        ("content hash", task.content_hash),
    ):
        facts.add_row(key, escape(value))
    cells = Table("cell", "rows", "labelled", "positives", "prevalence")
    for code, cell in enumerate(card.cells):
        label = columns.label[columns.cell == code]
        labelled, positives = int(np.sum(label >= 0)), int(np.sum(label == 1))
        share = f"{positives / labelled:.4f}" if labelled else "n/a"
        cells.add_row(escape(cell), f"{label.size:,}", f"{labelled:,}", f"{positives:,}", share)
    console = stdout_console()
    console.print(facts)
    console.print(cells)


@app.command()
def feasibility(
    name: Annotated[str, typer.Argument(help="Task name, folder or file.py:factory.")],
    protocol: Annotated[str, typer.Option(help="cell or cell+chrom.")] = "cell+chrom",
    shots: Annotated[str, typer.Option(help="Support sizes k.")] = "0,8,16,32,64,128",
) -> None:
    """Show which (cell, k, balance) exist, and what they can resolve."""
    from ..tasks.catalog import load_task
    from ..tasks.feasibility import feasibility as table_rows
    from ..tasks.feasibility import feasibility_table
    from .cli_console import stdout_console
    from .cli_values import integers

    task = load_task(name)
    rows = table_rows(task, protocol, integers(shots, "--shots"))
    stdout_console().print(feasibility_table(rows, f"{task.card.name}, protocol {protocol}"))


@app.command()
def validate(folder: Annotated[Path, typer.Argument(help="Folder with card.json and a pairs file.")]) -> None:
    """Check your own EP data: every problem with file, row, column and value."""
    from ..tasks.errors import EpishotError
    from ..tasks.folder import load_folder

    if not folder.is_dir():
        raise EpishotError(f"There is no folder {folder}; give a folder that holds card.json and a pairs file.")
    task = load_folder(folder)
    positives = int((task.columns.label == 1).sum())
    typer.echo(
        f"{task.card.name}: {len(task):,} EP pairs in {len(task.card.cells)} cells, {positives:,} positives, "
        f"{len(task.card.features)} features: valid. Run it with `epishot run --task {folder} --methods all`."
    )

"""`epishot episodes`: build, list and show episode sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Episode sets: build, list, show.", no_args_is_help=True)

_STORE_HELP = "Folder of the run store."


@app.command()
def build(
    task: Annotated[str, typer.Argument(help="Task name, folder or file.py:factory.")],
    protocol: Annotated[str, typer.Option(help="cell or cell+chrom.")] = "cell+chrom",
    shots: Annotated[str, typer.Option(help="Support sizes k.")] = "0,16,64",
    draws: Annotated[int, typer.Option(help="Supports per condition.")] = 10,
    store: Annotated[Path, typer.Option(help=_STORE_HELP)] = Path("runs"),
) -> None:
    """Draw all episodes of a task and save them in the run store."""
    from ..tasks.catalog import load_task
    from ..tasks.episodes import EpisodeSet
    from .cli_values import integers
    from .store import RunStore

    episodes = EpisodeSet.build(load_task(task), protocol, integers(shots, "--shots"), draws)
    folder = RunStore(store).episodes(episodes.hash)
    episodes.save(folder)
    typer.echo(f"{episodes.hash}  {len(episodes.splits)} queries in {folder}")


@app.command("list")
def list_sets(store: Annotated[Path, typer.Option(help=_STORE_HELP)] = Path("runs")) -> None:
    """List the episode sets of a run store."""
    from rich.table import Table

    from ..tasks.episode_files import list_episode_sets
    from .cli_console import stdout_console

    table = Table("hash", "task", "version", "protocol", "shots", "draws", "queries", "episodes")
    for facts in list_episode_sets(store / "episodes"):
        if facts.problem is not None:
            typer.echo(f"{facts.folder.name}: {facts.problem}", err=True)
            continue
        shots = ",".join(map(str, facts.shots))
        numbers = (str(facts.draws), str(facts.queries), str(facts.episodes))
        table.add_row(facts.hash[:12], facts.task, facts.task_version, facts.protocol, shots, *numbers)
    stdout_console().print(table)


@app.command()
def show(
    episode_set: Annotated[str, typer.Argument(help="Hash of the set, or its first characters.")],
    store: Annotated[Path, typer.Option(help=_STORE_HELP)] = Path("runs"),
) -> None:
    """Show the splits of an episode set and what is infeasible. Its content hash is verified."""
    from rich.table import Table

    from ..tasks.episodes import EpisodeSet
    from ..tasks.errors import EpishotError
    from .cli_console import stdout_console

    folder = store / "episodes"
    folders = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    found = sorted(path for path in folders if path.name.startswith(episode_set))
    if len(found) != 1:
        raise EpishotError(
            f"{len(found)} episode sets in {folder} start with {episode_set!r}; `epishot episodes list` shows them all."
        )
    episodes = EpisodeSet.load(found[0])
    console = stdout_console()
    console.print(
        f"{episodes.task_name} version {episodes.task_version}, protocol {episodes.protocol.value}, shots "
        f"{', '.join(map(str, episodes.shots))}, {episodes.draws} draws\nhash {episodes.hash}",
        highlight=False,
    )
    table = Table("held-out cell", "fold", "training rows", "pool rows", "query rows")
    for split in episodes.splits:
        sizes = (split.train_rows.size, split.pool_rows.size, split.query_rows.size)
        table.add_row(split.cell, str(split.fold), *(f"{size:,}" for size in sizes))
    console.print(table)
    for gap, reason in episodes.gaps.items():
        console.print(f"infeasible: {gap.cell} {gap.balance.value} k = {gap.k}: {reason}", highlight=False)

"""`epishot audit-faults` and `epishot audit-monitors`: does the audit of the energy family find what is planted?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_settings import SET_HELP, settings_by_method

if TYPE_CHECKING:
    from ..methods.energy.audit.faults.trial import Trial


def audit_faults(
    seeds: Annotated[str, typer.Option(help="Seeds, comma-separated; default those of the published table.")] = "",
    only: Annotated[str | None, typer.Option(help="Names of faults or presets, comma-separated; default all.")] = None,
    write: Annotated[Path | None, typer.Option(help="Markdown file whose generated section is replaced.")] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Print what healthy presets show on the calibration seeds instead.")
    ] = False,
) -> int:
    """Break the energy family in known ways, audit it, and print which checks find what; exit code 1 if one is missed.

    Healthy presets are audited too, and must pass. About six minutes of one core per seed.
    """
    from ..methods.energy.audit.faults.catalog import FAULTS, HEALTHY, NEGATIVE
    from ..methods.energy.audit.faults.report import markdown, merged, write_section
    from ..methods.energy.audit.faults.trial import try_fault, try_preset
    from ..methods.energy.audit.thresholds import CALIBRATION_SEEDS, TABLE_SEEDS
    from ..tasks.errors import UnknownNameError
    from .cli_console import stdout_console
    from .cli_values import words

    wanted = words(only)
    names = {*(fault.name for fault in FAULTS), *(p.name for p in HEALTHY), *(p.name for p, _ in NEGATIVE)}
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise UnknownNameError(f"There is no fault or preset named {unknown[0]!r}. Known: {', '.join(sorted(names))}.")
    chosen = [int(seed) for seed in words(seeds)] or list(CALIBRATION_SEEDS if calibrate else TABLE_SEEDS)
    presets = [preset for preset in HEALTHY if not wanted or preset.name in wanted]
    wrong_by_design = [(preset, checks) for preset, checks in NEGATIVE if not wanted or preset.name in wanted]
    broken = [fault for fault in FAULTS if not wanted or fault.name in wanted]
    healthy = [_told(try_preset(preset, (), seed), seed) for seed in chosen for preset in presets]
    if calibrate:
        _print_spans(healthy)
        return 0
    controls = [_told(try_preset(*control, seed), seed) for seed in chosen for control in wrong_by_design]
    faults = [_told(try_fault(fault, seed), seed) for seed in chosen for fault in broken]
    every = merged(faults), merged(healthy), merged(controls)
    if write is not None:
        write_section(write, markdown(*every, ", ".join(map(str, chosen))))
    whole = [trial for part in every for trial in part]
    wrong = [trial.name for trial in whole if not trial.right]
    console = stdout_console()
    caught = sum(trial.right for trial in every[0])
    console.print(f"{caught} of {len(every[0])} faults caught; {len(wrong)} of {len(whole)} audits wrong.")
    return 1 if wrong else 0


def audit_monitors(
    method: Annotated[str, typer.Argument(help="Energy preset, or file.py:ClassName of an energy method.")],
    task: Annotated[str, typer.Option(help="Task.")] = "synthetic",
    out: Annotated[Path, typer.Option(help="Folder for monitors.parquet and monitors.svg.")] = Path("."),
    budget: Annotated[float, typer.Option(help="Factor on the method's training steps.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    settings: Annotated[list[str] | None, typer.Option("--set", help=SET_HELP)] = None,
) -> None:
    """Train an energy method under observation with a live table; write its monitors and draw them."""
    import numpy as np

    from ..methods.energy.audit.audit import audit_energy
    from ..methods.energy.audit.figure import draw_monitors
    from ..methods.energy.audit.progress import ProgressTable
    from ..methods.energy.method import EnergyMethod
    from ..methods.registry import find_method
    from ..methods.tables import fit_context, train_table
    from ..tasks.catalog import load_task
    from ..tasks.errors import MethodError
    from .cli_console import stdout_console

    kind = find_method(method)
    if not issubclass(kind, EnergyMethod):
        raise MethodError(f"Method {kind.name!r} is not of the energy family, whose monitors these are.")
    made = kind(**json.loads(settings_by_method(settings or [], [kind.name]).get(kind.name, "{}")))
    loaded = load_task(task)
    train = train_table(loaded, np.flatnonzero(loaded.columns.label >= 0), kind.reads)
    out.mkdir(parents=True, exist_ok=True)
    parquet = out / "monitors.parquet"
    with ProgressTable(stdout_console()) as progress:
        context = fit_context(loaded, seed=seed, budget=budget)
        audit_energy(made, train, context, monitors=parquet, listener=progress)
    typer.echo(parquet)
    typer.echo(draw_monitors(parquet, out / "monitors.svg"))


def _told(trial: Trial, seed: int) -> Trial:
    """Print the line of a trial as soon as it is there."""
    from ..methods.energy.audit.faults.report import cells

    name, right, expected, more = cells(trial)
    typer.echo(f"{name:26} seed {seed:<4} right: {right:4}  must fail: {expected}  fails too: {more}")
    return trial


def _print_spans(trials: list[Trial]) -> None:
    from rich.table import Table

    from ..methods.energy.audit.faults.calibration import spans
    from .cli_console import stdout_console

    table = Table()
    for heading in ("verdict", "figure", "healthy, lowest", "healthy, highest", "threshold"):
        table.add_column(heading, justify="left" if heading in ("verdict", "figure") else "right")
    for span in spans(trials):
        table.add_row(span.check, span.figure, *(f"{value:.3g}" for value in span[2:]))
    stdout_console().print(table)

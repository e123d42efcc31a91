"""`epishot run`: a named suite, or a grid given by options."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ..tasks.errors import EpishotError
from .cli_settings import SET_HELP, settings_by_method

if TYPE_CHECKING:
    from rich.console import Console

    from .plan import PartPlan
    from .runner import PartResult
    from .specs import Suite

T = TypeVar("T")

#: Options that describe a grid, and so have no place beside --suite.
_GRID = (
    "task",
    "protocol",
    "methods",
    "method",
    "settings",
    "shots",
    "regime",
    "balance",
    "draws",
    "seeds",
    "cells",
    "budget",
    "no_tune",
)
_DEFAULT_SHOTS, _DEFAULT_DRAWS, _DEFAULT_SEEDS = "0,16,64", 10, 3


def run(
    suite: Annotated[str | None, typer.Option(help="A named suite: baselines, demo, energy, v1.")] = None,
    task: Annotated[str | None, typer.Option(help="A task: name, name@key=value, folder, or file.py:factory.")] = None,
    protocol: Annotated[str | None, typer.Option(help="cell or cell+chrom (the default).")] = None,
    methods: Annotated[str | None, typer.Option(help="Registered methods, comma-separated, or all.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="A plugin: path/to/file.py:ClassName; may be repeated.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help=SET_HELP)] = None,
    shots: Annotated[str | None, typer.Option(help=f"Support sizes k; default {_DEFAULT_SHOTS}.")] = None,
    regime: Annotated[
        str | None, typer.Option(help="none, unlabelled, labelled (the default); k = 0 is always none.")
    ] = None,
    balance: Annotated[str | None, typer.Option(help="natural (the default), balanced.")] = None,
    draws: Annotated[int | None, typer.Option(help=f"Supports per condition; default {_DEFAULT_DRAWS}.")] = None,
    seeds: Annotated[
        int | None, typer.Option(help=f"Fits per non-deterministic method; default {_DEFAULT_SEEDS}.")
    ] = None,
    cells: Annotated[str | None, typer.Option(help="Held-out cells to score; default all.")] = None,
    budget: Annotated[float | None, typer.Option(help="Factor on training steps; default 1.0.")] = None,
    no_tune: Annotated[
        bool, typer.Option("--no-tune", help="Default settings, also where a method declares several to choose from.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(help="Fits at a time; default 2 or the number of cores.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Wall seconds a fit may take; default no limit.")] = None,
    store: Annotated[Path, typer.Option(help="Folder of the run store.")] = Path("runs"),
    board: Annotated[Path | None, typer.Option(help="Board folder; default STORE/board.")] = None,
    audit: Annotated[bool, typer.Option("--audit", help="Audit the methods as well, briefly, after the runs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the grid and its cost, run nothing.")] = False,
) -> int:
    """Run methods on a task and print the leaderboard. Finished runs are kept and never run twice.

    The exit code is 1 if any run failed.
    """
    options = dict(locals())
    given = {name for name in _GRID if options[name] not in (None, False)}
    wanted = _named_suite(suite, given) if suite is not None else _ad_hoc_suite(options)
    if jobs is not None and jobs < 1:
        raise EpishotError(f"--jobs {jobs} runs nothing; give at least 1.")
    if timeout is not None and not timeout > 0:
        raise EpishotError(f"--timeout {timeout} gives a fit no time; give a positive number of seconds.")
    from .cli_console import stdout_console

    console = stdout_console()
    if dry_run:
        return _dry_run(wanted, store, jobs, console)
    return _run(wanted, store, board, jobs, timeout, console, audit=audit)


def _run(
    suite: Suite,
    store: Path,
    board: Path | None,
    jobs: int | None,
    timeout: float | None,
    console: Console,
    *,
    audit: bool,
) -> int:
    from . import provenance
    from .runner import Interrupted, RunOptions, run_suite

    options = RunOptions(
        jobs=jobs or default_jobs(), timeout_s=timeout, command=provenance.printable_command(sys.argv[1:])
    )
    try:
        results = run_suite(suite, store, board, options, console)
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        return 130
    for result in results:
        _report(result, console)
    if audit:
        from .cli_audit import audit_results

        audit_results(results, store, board, console)
    from .cli_leaderboard import show

    show(board or store / "board", board or store / "board", console)
    return 1 if any(result.failed for result in results) else 0


def _named_suite(name: str, given: set[str]) -> Suite:
    from .suites import find_suite

    if given:
        options = ", ".join(f"--{option}" for option in sorted(_option(name) for name in given))
        raise EpishotError(f"A suite fixes its own grid: leave out {options}, or leave out --suite.")
    return find_suite(name)


def _ad_hoc_suite(options: dict) -> Suite:
    from ..methods.base import Balance, Regime
    from ..methods.registry import METHODS
    from .cli_values import integers, members, words
    from .specs import MethodSpec, Suite, SuitePart

    if options["task"] is None:
        raise EpishotError("Say what to run: --suite demo, or --task NAME --methods NAME,NAME.")
    listed = words(options["methods"])
    if listed == ["all"]:
        listed = METHODS.names()
    plugins = options["method"] or []
    for plugin in plugins:
        if ":" not in plugin:
            raise EpishotError(f"--method {plugin!r} is not of the form path/to/file.py:ClassName.")
    if not listed and not plugins:
        raise EpishotError("No methods were given; use --methods NAME,NAME (or all) or --method file.py:Class.")
    changed = settings_by_method(options["settings"] or [], [*listed, *plugins])
    part = SuitePart(
        task=options["task"],
        protocol=options["protocol"] or "cell+chrom",
        methods=tuple(MethodSpec(reference, changed.get(reference, "{}")) for reference in (*listed, *plugins)),
        shots=integers(options["shots"] or _DEFAULT_SHOTS, "--shots"),
        regimes=members(Regime, options["regime"] or "labelled", "--regime"),
        balances=members(Balance, options["balance"] or "natural", "--balance"),
        draws=_given(options["draws"], _DEFAULT_DRAWS),
        seeds=_given(options["seeds"], _DEFAULT_SEEDS),
        budget=_given(options["budget"], 1.0),
        cells=tuple(words(options["cells"])) or None,
        tune=not options["no_tune"],
    )
    return Suite("ad-hoc", "1", (part,))


def _option(parameter: str) -> str:
    return "set" if parameter == "settings" else parameter.replace("_", "-")


def default_jobs() -> int:
    """Two fits at a time, or one on a single core."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(2, available)


def _given(value: T | None, default: T) -> T:
    return default if value is None else value


def _dry_run(suite: Suite, store: Path, jobs: int | None, console: Console) -> int:
    from .grid import print_grid
    from .runner import RunOptions, make_executor, prepare_part
    from .store import RunStore

    run_store = RunStore(store)
    executor = make_executor(RunOptions(jobs=jobs or default_jobs()))
    print_grid([prepare_part(part, run_store, executor) for part in suite.parts], console)
    return 0


def _report(result: PartResult, console: Console) -> None:
    plan: PartPlan = result.plan
    if result.tuning_fits:
        console.print(
            f"{plan.task.card.name} {plan.part.protocol}: {result.tuning_fits} fits chose settings on inner training "
            "cells",
            highlight=False,
        )
    failed = f", [red]{len(result.failed)} failed[/red]" if result.failed else ""
    console.print(
        f"{plan.task.card.name} {plan.part.protocol}: {result.computed} runs computed, {result.cached} from the "
        f"store{failed}",
        highlight=False,
    )
    for run, cause in result.failed[:10]:
        fit = run.spec.fit
        console.print(
            f"  {fit.method} {fit.cell} fold {fit.fold} seed {fit.seed}, {run.spec.condition.label}: {cause}",
            markup=False,
            highlight=False,
        )

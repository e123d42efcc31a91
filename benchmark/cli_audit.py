"""`epishot audit`: evidence that a method does what it claims, kept beside its runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tasks.errors import EpishotError
from .cli_settings import SET_HELP, settings_by_method

if TYPE_CHECKING:
    from rich.console import Console

    from .runner import PartResult


BUDGET_HELP = "Factor on training steps; default 0.1, and 1 where the method's own audit trains."


def audit(
    method: Annotated[str | None, typer.Argument(help="Method name or file.py:ClassName.")] = None,
    plugin: Annotated[str | None, typer.Option("--method", help="A plugin: path/to/file.py:ClassName.")] = None,
    task: Annotated[str, typer.Option(help="Task name, name@key=value, folder, or file.py:factory.")] = "synthetic",
    settings: Annotated[list[str] | None, typer.Option("--set", help=SET_HELP)] = None,
    budget: Annotated[float | None, typer.Option(help=BUDGET_HELP)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the rows that are taken and of the fits.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first failure and name its place.")] = False,
    monitors: Annotated[Path | None, typer.Option(help="Parquet file for what the method's own audit logs.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the audit to this JSON file.")] = None,
    store: Annotated[Path, typer.Option(help="Folder of the run store, which keeps the audit.")] = Path("runs"),
) -> int:
    """Train a method briefly and check that it does what it claims; exit code 1 if a check fails.

    The audit is kept in the run store and shown beside every row of the same code and configuration.
    """
    if (method is None) == (plugin is None):
        raise EpishotError("Name one method to audit: epishot audit NAME, or epishot audit --method file.py:ClassName.")
    if out is not None and out.is_dir():
        raise EpishotError(f"--out {out} is a folder; give a file, e.g. --out {out / 'audit.json'}.")
    from ..tasks.catalog import load_task
    from . import provenance
    from .atomic import write_bytes
    from .audit import AUDIT_BUDGET, OWN_BUDGET, AuditOptions, audit_method
    from .audit_report import print_audit
    from .audit_store import attach_audits, audit_json, audit_of, keep_audit
    from .cli_console import stdout_console
    from .described import describe_methods
    from .runner import RunOptions, make_executor
    from .specs import MethodSpec
    from .store import RunStore

    reference = method or plugin or ""
    command = provenance.printable_command(sys.argv[1:])
    budgets = (AUDIT_BUDGET, OWN_BUDGET) if budget is None else (budget, budget)
    options = AuditOptions(budgets[0], seed, strict, monitors, command, budgets[1])
    changed = settings_by_method(settings or (), [reference]).get(reference, "{}")
    run_store = RunStore(store)
    executor = make_executor(RunOptions())
    (described,) = describe_methods([MethodSpec(reference, changed)], run_store, executor)
    record = audit_method(described, load_task(task), options, executor)
    keep_audit(run_store, record)
    attach_audits(run_store, run_store.board)
    if out is not None:
        try:
            write_bytes(out, audit_json(record))
        except OSError as error:
            raise EpishotError(f"{out} cannot be written to ({error.strerror}); choose another --out.") from error
    print_audit(record, stdout_console())
    return 1 if audit_of(record).failed else 0


def audit_results(results: list[PartResult], store: Path, board: Path | None, console: Console) -> None:
    """Audit the methods of finished runs on the task they ran on, if the store has no such audit, and show them.

    Args:
        results: what was run. store: the run store. board: whose rows get the audits; default the store's own.
    """
    from ..tasks.errors import EpishotError
    from . import provenance
    from .audit import AuditOptions, audit_method
    from .audit_store import attach_audits, audit_of, audits_of, keep_audit
    from .runner import RunOptions, make_executor
    from .store import RunStore

    run_store, executor = RunStore(store), make_executor(RunOptions())
    options = AuditOptions(command=provenance.printable_command(sys.argv[1:]))
    for result in results:
        task = result.plan.task
        for method in result.plan.methods:
            if method.facts.kind not in ("method", "control"):
                continue
            wanted = (method.code, method.facts.config, task.content_hash)
            known = audits_of(run_store, method.name)
            record = next((one for one in known if (one.method_code, one.config, one.task_hash) == wanted), None)
            if record is None:
                try:
                    record = audit_method(method, task, options, executor)
                except EpishotError as error:
                    text = f"audit of {method.name} on {task.card.name}: not possible: {error}"
                    console.print(text, markup=False, highlight=False)
                    continue
                keep_audit(run_store, record)
            text = f"audit of {method.name} on {task.card.name}: {audit_of(record).verdict}"
            console.print(text, markup=False, highlight=False)
    attach_audits(run_store, board or run_store.board)

"""The command line: `epishot`. Commands import what they need when they run, so that `--help` is instant."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from . import (
    cli_anchors,
    cli_audit,
    cli_audit_faults,
    cli_episodes,
    cli_figures,
    cli_leaderboard,
    cli_methods,
    cli_publish,
    cli_run,
    cli_scale,
    cli_score,
    cli_select,
    cli_tasks,
)

app = typer.Typer(
    name="epishot",
    help="Leave-cell-out few-shot benchmark for enhancer-promoter interaction models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(cli_run.run)
app.add_typer(cli_tasks.app, name="tasks")
app.add_typer(cli_methods.app, name="methods")
app.command("check")(cli_methods.check)
app.command("audit")(cli_audit.audit)
app.command("audit-faults")(cli_audit_faults.audit_faults)
app.command("audit-monitors")(cli_audit_faults.audit_monitors)
app.add_typer(cli_episodes.app, name="episodes")
cli_leaderboard.app.command("figures")(cli_figures.figures)
cli_leaderboard.app.command("anchors")(cli_anchors.anchors)
app.add_typer(cli_leaderboard.app, name="leaderboard")
app.command("publish")(cli_publish.publish)
app.command("verify")(cli_publish.verify)
app.command("select")(cli_select.select)
app.command("score")(cli_score.score)
app.command("scale")(cli_scale.scale)

#: Exit codes: a mistake the user can mend, and Ctrl-C.
EXIT_USER_ERROR, EXIT_INTERRUPTED = 2, 130


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"epishot {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Hold the options of `epishot` itself."""


def main() -> None:
    """Run the command line: user errors are one sentence on stderr and exit code 2, without a traceback."""
    sys.exit(run_app(sys.argv[1:]))


def run_app(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    from ..tasks.errors import EpishotError

    try:
        result = app(args=arguments, prog_name="epishot", standalone_mode=False)
    except EpishotError as error:
        return _complain(str(error), EXIT_USER_ERROR)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("Interrupted; finished runs are kept, and the same command goes on.", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader (`| head`) has left; keep Python from complaining again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # typer's usage errors; their class moved between typer versions, their interface did not.
        if not hasattr(error, "format_message"):
            raise
        context = getattr(error, "ctx", None)
        where = f" See `{context.command_path} --help`." if context is not None else ""
        return _complain(f"{error.format_message().rstrip('.')}.{where}", EXIT_USER_ERROR)
    return result if isinstance(result, int) else 0


def _complain(text: str, code: int) -> int:
    print(f"Error: {text}" if code == EXIT_USER_ERROR else text, file=sys.stderr)
    return code

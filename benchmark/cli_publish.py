"""`epishot publish` and `epishot verify`: rows into a published board, and every published number computed again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tasks.errors import EpishotError

if TYPE_CHECKING:
    from .executor import Executor

_TASK_HELP = "A task of your own: folder or file.py:factory; may be repeated. Registered tasks are found by name."
_ARCHIVE_NAME = "archive"


def publish(
    runs: Annotated[Path, typer.Argument(help="A run store, or a folder with records/ and archive/.")],
    to: Annotated[Path, typer.Option("--to", help="Board folder to publish to.")],
    archive: Annotated[
        Path | None, typer.Option(help="Folder that keeps the full scores; default RUNS/archive.")
    ] = None,
    methods: Annotated[str | None, typer.Option(help="Rows to publish, comma-separated; default all.")] = None,
    task: Annotated[list[str] | None, typer.Option(help=_TASK_HELP)] = None,
    to_hub: Annotated[str | None, typer.Option(help="Also push to this Hugging Face dataset repository.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes; default 2 or the number of cores.")] = None,
) -> None:
    """Merge rows into a published board: checked first, then all files at once, or nothing.

    To send rows as a pull request, publish them to a new folder: --to FOLDER --archive FOLDER/archive.
    """
    from ..leaderboard.publish import publish as publish_rows
    from .cli_console import stdout_console
    from .cli_values import words
    from .verify_tasks import LocalTasks

    _existing(runs)
    if to_hub is not None:
        from ..leaderboard.hub import hub_token, push_to_hub

        hub_token()
    console = stdout_console()
    scores = archive or runs / _ARCHIVE_NAME
    done = publish_rows(
        runs, to, scores, LocalTasks(task or ()), _executor(jobs), console, methods=tuple(words(methods))
    )
    for what in ("added", "replaced", "unchanged"):
        for name in getattr(done, what):
            console.print(f"{what}: {name}", markup=False, highlight=False)
    for one in done.open_ends:
        console.print(f"not verified here: {one.subject}: {one.text}", markup=False, highlight=False)
    if done.files and (to / "figures").is_dir():
        text = "The figures still show the earlier board; `epishot leaderboard figures` draws them again."
        console.print(text, markup=False, highlight=False)
    console.print(f"{len(done.files)} files changed; full scores in {scores}.", markup=False, highlight=False)
    if to_hub is not None:
        rows = ", ".join((*done.added, *done.replaced)) or "no new rows"
        console.print(push_to_hub(to, scores, to_hub, f"Publish {rows}"[:200]), markup=False)


def verify(
    board: Annotated[
        Path | None, typer.Argument(help="Board folder; default leaderboard/ if it has records, else runs/board/.")
    ] = None,
    archive: Annotated[Path | None, typer.Option(help="Folder of full scores; default BOARD/archive.")] = None,
    rerun: Annotated[
        str | None, typer.Option(help="Run a sample of this method's runs again: name, or file.py:ClassName.")
    ] = None,
    sample: Annotated[int, typer.Option(help="Runs to run again, per task and protocol.")] = 3,
    task: Annotated[list[str] | None, typer.Option(help=_TASK_HELP)] = None,
    details: Annotated[bool, typer.Option("--details", help="Also list what was verified.")] = False,
    jobs: Annotated[int | None, typer.Option(help="Processes; default 2 or the number of cores.")] = None,
) -> int:
    """Compute every published number again; exit code 1 if any is not what it should be.

    Reads JSON and Parquet only; never runs code of a submission.
    """
    from ..leaderboard.board import Loaded
    from ..leaderboard.rebuild import check_files
    from .cli_console import stdout_console
    from .cli_leaderboard import board_folder
    from .findings import failed, print_findings
    from .verify import verify_records
    from .verify_rerun import method_spec
    from .verify_rerun import rerun as run_again
    from .verify_tasks import LocalTasks

    if sample < 1:
        raise EpishotError(f"--sample {sample} runs nothing again; give at least 1.")
    folder = _existing(board_folder(board))
    scores = _existing(archive) if archive else folder / _ARCHIVE_NAME
    at_hand = scores if scores.is_dir() else None
    tasks, executor, console = LocalTasks(task or ()), _executor(jobs), stdout_console()
    verified = verify_records(folder, at_hand, tasks, executor, console)
    findings = [*verified.findings]
    whole = [Loaded(one.record, one.replicates) for one in verified.published if one.replicates is not None]
    findings += check_files(folder, whole)
    if rerun is not None:
        spec, records = method_spec(rerun, verified.sound)
        findings += run_again(spec, records, at_hand, sample, tasks, executor)
    print_findings(findings, console, details=details)
    return 1 if failed(findings) else 0


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise EpishotError(f"There is no folder {folder}.")
    return folder


def _executor(jobs: int | None) -> Executor:
    from .cli_run import default_jobs
    from .runner import RunOptions, make_executor

    if jobs is not None and jobs < 1:
        raise EpishotError(f"--jobs {jobs} computes nothing; give at least 1.")
    return make_executor(RunOptions(jobs=jobs or default_jobs()))

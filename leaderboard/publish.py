"""Publish rows: stage the whole new board in a temporary folder, check it, then replace all files in one step."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..benchmark.archive import archive_path
from ..benchmark.atomic import writable_folder
from ..benchmark.compact import record_path, write_compact
from ..benchmark.findings import Finding, Status, failed
from ..benchmark.published import Published, read_published, subject
from ..benchmark.replace_files import exclusively, replace_files
from ..benchmark.verify import verify_records
from ..tasks.errors import EpishotError
from .board import Loaded
from .rebuild import rebuild
from .submission import Candidate, read_submission

if TYPE_CHECKING:
    from rich.console import Console

    from ..benchmark.executor import Executor
    from ..benchmark.verify_tasks import LocalTasks

#: Generated files are made again after a merge, so lines of both sides may stand in them meanwhile.
_GIT_ATTRIBUTES = "*.md merge=union\nleaderboard.* merge=union\n*.parquet binary\n"
_SHARED = {"task_hash": "task rows", "episode_set": "episodes", "budget": "budget", "evaluator": "evaluator"}


class PublishRefusedError(EpishotError):
    """Nothing was published; the text lists every reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("Nothing was published:\n" + "\n".join(f"  - {problem}" for problem in problems))


class Publication(NamedTuple):
    """What became of each row (`task protocol method`), and which files changed.

    Attributes:
        open_ends: what could not be verified here before publishing.
    """

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    unchanged: tuple[str, ...]
    files: tuple[Path, ...]
    open_ends: tuple[Finding, ...]


def publish(
    source: Path,
    board: Path,
    archive: Path,
    tasks: LocalTasks,
    executor: Executor,
    console: Console,
    *,
    methods: Sequence[str] = (),
) -> Publication:
    """Merge the rows of a run store or submission into a board folder, all or nothing; again, it changes nothing.

    Args:
        source: run store, or folder with `records/` and `archive/`. board: folder to publish to, made if need be.
        archive: folder that receives the full scores. tasks: the tasks at hand, to check the rows with.
        executor: gives the processes that compute. console: for the progress line. methods: rows wanted, default all.

    Raises:
        PublishRefusedError: a row is incomplete, contradicts its scores, or cannot stand beside the others.
        EpishotError: there is nothing to publish, or a folder cannot be written to.
    """
    for folder, option in ((board, "--to"), (archive, "--archive")):
        writable_folder(folder, option)
    with exclusively(board), tempfile.TemporaryDirectory() as temporary:
        stage = Path(temporary)
        submission = read_submission(source, stage / "archive", methods)
        standing, findings = read_published(board)
        problems = [
            *submission.problems,
            *(f"the board's own {f.subject}: {f.text}" for f in failed(findings)),
            *_cannot_stand_beside(submission.candidates, standing),
        ]
        if problems:
            raise PublishRefusedError(problems)
        checked = _check(submission.candidates, stage, tasks, executor, console)
        contents = _stage_board(submission.candidates, standing, board, archive, stage)
        try:
            files = replace_files(board, contents)
        except OSError as error:
            raise EpishotError(
                f"Nothing was published: {error.filename} cannot be written ({error.strerror})."
            ) from error
    return _publication(submission.candidates, standing, files, board, archive, checked)


def _cannot_stand_beside(candidates: Sequence[Candidate], standing: Sequence[Published]) -> list[str]:
    """Rows of one task and protocol share task rows, episodes, budget and evaluator; replaced rows do not count."""
    new = {subject(one.record) for one in candidates}
    stay = [one.record for one in standing if one.subject not in new]
    problems = []
    for number, candidate in enumerate(candidates):
        record = candidate.record
        for other in (*stay, *(one.record for one in candidates[:number])):
            if (other.task, other.protocol) != (record.task, record.protocol):
                continue
            odd = [words for name, words in _SHARED.items() if getattr(other, name) != getattr(record, name)]
            if odd:
                text = f"not made with the {' and '.join(odd)} of the row {other.method.name!r}"
                problems.append(f"{subject(record)}: {text}")
                break
    return problems


def _check(
    candidates: Sequence[Candidate], stage: Path, tasks: LocalTasks, executor: Executor, console: Console
) -> tuple[Finding, ...]:
    """Compute the candidates' numbers again from their scores.

    Raises:
        PublishRefusedError: they are others.
    """
    new = stage / "new"
    for one in candidates:
        write_compact(new, one.record, one.replicates)
        if one.scores is not None:
            record = one.record
            place = archive_path(stage / "archive", record.task, record.protocol, record.method.name)
            if place != one.scores:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(one.scores.read_bytes())
    found = verify_records(new, stage / "archive", tasks, executor, console).findings
    wrong = failed(found)
    if wrong:
        raise PublishRefusedError([f"{one.subject}: {one.check}: {one.text}" for one in wrong])
    return tuple(one for one in found if one.status is Status.COULD_NOT)


def _stage_board(
    candidates: Sequence[Candidate], standing: Sequence[Published], board: Path, archive: Path, stage: Path
) -> dict[Path, Path]:
    """Target -> staged file, for every file of the new board and archive."""
    contents: dict[Path, Path] = {}
    loaded = {one.subject: Loaded(one.record, one.replicates) for one in standing if one.replicates is not None}
    for one in candidates:
        record = one.record
        loaded[subject(record)] = Loaded(record, one.replicates)
        staged = record_path(stage / "new", record)
        for path in (staged, staged.with_name(f"{staged.stem}.replicates.parquet")):
            contents[board / path.relative_to(stage / "new")] = path
        if one.scores is not None:
            contents[archive_path(archive, record.task, record.protocol, record.method.name)] = one.scores
    for path in rebuild(loaded.values(), board, stage / "files"):
        contents[board / path.name] = path
    attributes = stage / "gitattributes"
    attributes.write_text(_GIT_ATTRIBUTES, encoding="utf-8")
    if not (board / ".gitattributes").exists():
        contents[board / ".gitattributes"] = attributes
    return contents


def _publication(
    candidates: Sequence[Candidate],
    standing: Sequence[Published],
    files: Sequence[Path],
    board: Path,
    archive: Path,
    checked: tuple[Finding, ...],
) -> Publication:
    before = {one.subject for one in standing}
    changed = set(files)
    groups: dict[str, list[str]] = {"added": [], "replaced": [], "unchanged": []}
    for one in candidates:
        name, record = subject(one.record), one.record
        scores = archive_path(archive, record.task, record.protocol, record.method.name)
        touched = {record_path(board, record), scores} & changed
        groups["added" if name not in before else "replaced" if touched else "unchanged"].append(name)
    added, replaced, unchanged = (tuple(names) for names in groups.values())
    return Publication(added, replaced, unchanged, tuple(files), checked)

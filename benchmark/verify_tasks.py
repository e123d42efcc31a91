"""Tasks and episode sets for verification, made here from local data: nothing of them is taken from the records."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..tasks.errors import EpishotError
from .findings import Finding, Status
from .records import CompactRecord

if TYPE_CHECKING:
    from ..tasks.episodes import EpisodeSet
    from ..tasks.task import Task

#: Row numbers of supports that a record may ask to be drawn again; the largest real suites need 10,000.
_MOST_SUPPORT_ROWS = 10_000_000


class LocalTasks:
    """Tasks by the name on their card.

    Args:
        references: task references of the user's own (folders, `file.py:factory`), beside the registered tasks.

    Raises:
        EpishotError: a reference does not load.
    """

    def __init__(self, references: Sequence[str] = ()) -> None:
        from ..tasks.catalog import load_task

        self._own: dict[str, Task] = {}
        for reference in references:
            task = load_task(reference)
            self._own[task.card.name] = task
        self._found: dict[str, Task | EpishotError] = dict(self._own)
        self._episodes: dict[tuple[str, str, tuple[int, ...], int], EpisodeSet] = {}

    def find(self, name: str) -> Task:
        """The task whose card has this name.

        Raises:
            EpishotError: no task of that name is registered here or was given, or its data are not at hand.
        """
        if name not in self._found:
            try:
                self._found[name] = self._load(name)
            except EpishotError as error:
                self._found[name] = error
        found = self._found[name]
        if isinstance(found, EpishotError):
            raise found
        return found

    @staticmethod
    def _load(name: str) -> Task:
        from ..tasks.catalog import load_task

        reference = reference_of(name)
        if reference is None:
            raise EpishotError(f"no task {name!r} is registered here; name its folder or file with --task")
        task = load_task(reference)
        if task.card.name != name:
            raise EpishotError(f"no task {name!r} is registered here ({reference!r} makes {task.card.name!r})")
        return task

    def episodes(self, record: CompactRecord) -> EpisodeSet:
        """The episode set of a record, drawn from the task at hand and the recorded protocol, shots and draws.

        Raises:
            EpishotError: there is no such episode set.
        """
        from ..tasks.episodes import EpisodeSet

        key = (record.task, record.protocol, record.shots, record.draws)
        if key not in self._episodes:
            if record.draws * sum(k for k in record.shots if k > 0) > _MOST_SUPPORT_ROWS:
                raise EpishotError(f"{record.draws} draws of {record.shots} pairs are more than any suite draws")
            self._episodes[key] = EpisodeSet.build(self.find(record.task), record.protocol, record.shots, record.draws)
        return self._episodes[key]


def reference_of(name: str) -> str | None:
    """The registered reference of a task's card name: `synthetic-seed2-cells24` is `synthetic@seed=2,cells=24`.

    Only registered names and whole-number arguments of their factories are ever looked at, so that a record
    cannot name a file to be run.
    """
    from ..tasks.catalog import TASKS

    if name in TASKS:
        return name
    for base in sorted(TASKS.names(), key=len, reverse=True):
        if not name.startswith(f"{base}-"):
            continue
        rest = name[len(base) :]
        arguments = re.findall(r"-([a-z]+)(\d+)", rest)
        if arguments and "".join(f"-{key}{value}" for key, value in arguments) == rest:
            known = inspect.signature(TASKS.get(base)).parameters
            if all(key in known for key, _ in arguments):
                return f"{base}@{','.join(f'{key}={value}' for key, value in arguments)}"
    return None


def check_task(record: CompactRecord, tasks: LocalTasks, subject: str) -> Finding:
    """Whether the task at hand is the one that the record was made with."""
    try:
        task = tasks.find(record.task)
    except EpishotError as error:
        return Finding("task", subject, Status.COULD_NOT, str(error))
    card = task.card
    if task.content_hash != record.task_hash:
        text = (
            f"its rows, labels or card are others: recorded {record.task_hash[:12]} (version {record.task_version}), "
            f"here {task.content_hash[:12]} (version {card.version})"
        )
        return Finding("task", subject, Status.FAILED, text)
    mine = (card.version, card.headline_shots, card.cells)
    if mine != (record.task_version, record.headline_shots, record.cells):
        return Finding("task", subject, Status.FAILED, "version, headline shots or cells are not those of the card")
    return Finding("task", subject, Status.VERIFIED, f"content {task.content_hash[:12]}")


def check_episodes(record: CompactRecord, tasks: LocalTasks, subject: str) -> Finding:
    """Whether the episode set, drawn again, is the recorded one. The task must have been verified."""
    if not record.shots or record.draws < 1:
        text = "the record does not say from which shots and draws its episode set is derived"
        return Finding("episodes", subject, Status.COULD_NOT, text)
    try:
        episodes = tasks.episodes(record)
    except EpishotError as error:
        return Finding("episodes", subject, Status.FAILED, str(error))
    if episodes.hash != record.episode_set:
        text = f"foreign episodes: recorded {record.episode_set[:12]}, drawn again {episodes.hash[:12]}"
        return Finding("episodes", subject, Status.FAILED, text)
    return Finding("episodes", subject, Status.VERIFIED, f"set {episodes.hash[:12]}")

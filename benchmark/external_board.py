"""What a row must share with the rows that a board already has: task rows, episode set, evaluator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..tasks.errors import EpishotError
from .records import EVALUATOR_VERSION, CompactRecord

if TYPE_CHECKING:
    from ..tasks.episodes import EpisodeSet
    from ..tasks.task import Task

#: Of an empty board; those of `epishot run`.
DEFAULT_SHOTS, DEFAULT_DRAWS = (0, 16, 64), 10

#: Names become file names and stand in tables, links and spreadsheets.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str, task: Task) -> None:
    """Make sure that a row's name is safe as a file name and is nobody else's.

    Raises:
        EpishotError: it is not, or belongs to a registered method or to a reference row of the task.
    """
    from ..methods.registry import METHODS

    if not _NAME.fullmatch(name):
        raise EpishotError(
            f"{name!r} cannot name a row: use up to 64 letters, digits, '.', '_' and '-', starting with a letter or "
            "digit (--name)."
        )
    # File systems of some users do not tell Distance from distance.
    taken = {known.lower() for known in (*METHODS.names(), *task.references)}
    if name.lower() in taken:
        raise EpishotError(f"{name!r} is the name of a registered method or reference row: choose another --name.")


def records_of(board: Path, task: str, protocol: str) -> list[CompactRecord]:
    """The compact records that a board has of a task and protocol.

    Raises:
        EpishotError: one of them cannot be read.
    """
    found = []
    for path in sorted((board / "records" / task / protocol).glob("*.json")):
        try:
            found.append(CompactRecord.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError) as error:
            raise EpishotError(
                f"{path} is not a compact record of this version: delete it, and run its method again."
            ) from error
    return found


def matching_episodes(task: Task, protocol: str, records: Sequence[CompactRecord]) -> EpisodeSet:
    """The episode set that a board's rows were scored on; the default one if there are none.

    Raises:
        EpishotError: the rows are of other task rows, another evaluator, or of episodes that cannot be
            derived from what they record.
    """
    from ..tasks.episodes import EpisodeSet

    if not records:
        return EpisodeSet.build(task, protocol, DEFAULT_SHOTS, DEFAULT_DRAWS)
    first = records[0]
    for record in records:
        for theirs, ours, what in (
            (record.task_hash, task.content_hash, "other rows of the task"),
            (record.evaluator, EVALUATOR_VERSION, "another version of the evaluator"),
            (record.episode_set, first.episode_set, f"other episodes than {first.method.name!r}"),
        ):
            if theirs != ours:
                raise EpishotError(
                    f"The board's row {record.method.name!r} was scored with {what}, so no row can be set beside it: "
                    "choose another --board, or run it again."
                )
    derivable = next((record for record in records if record.shots and record.draws), None)
    if derivable is not None:
        episodes = EpisodeSet.build(task, protocol, derivable.shots, derivable.draws)
        if episodes.hash == first.episode_set:
            return episodes
    raise EpishotError(
        f"The episode set of the board's rows of {first.task} {protocol} cannot be derived again from what they "
        "record: choose another --board, or run them again."
    )


def refuse_to_replace(name: str, sha256: str, records: Sequence[CompactRecord], *, replace: bool) -> None:
    """Make sure that a row of this name is ours to write.

    Raises:
        EpishotError: the name is a method's, or another file's and `replace` is not set.
    """
    old = next((record for record in records if record.method.name.lower() == name.lower()), None)
    if old is None:
        return
    if old.external is None or old.method.name != name:
        raise EpishotError(f"The board has a row {old.method.name!r} already: choose another --name.")
    if old.external.sha256 != sha256 and not replace:
        raise EpishotError(
            f"The board's row {name!r} was scored from another file ({old.external.file}): choose another --name, or "
            "write over it with --replace."
        )

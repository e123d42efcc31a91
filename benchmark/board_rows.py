"""The rows that a board already has of a task and protocol, and which of them a new run can stand beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from ..tasks.errors import EpishotError
from .plan import PartPlan
from .records import EVALUATOR_VERSION, CompactRecord


class BoardRow(NamedTuple):
    """A row of a board: the file, and what is in it (None if that cannot be read)."""

    path: Path
    record: CompactRecord | None


def rows_of(board: Path, plan: PartPlan) -> Iterator[BoardRow]:
    """The rows of a board folder that are of the plan's task and protocol."""
    folder = board / "records" / plan.task.card.name / plan.part.protocol
    for path in sorted(folder.glob("*.json")):
        try:
            yield BoardRow(path, CompactRecord.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            yield BoardRow(path, None)


def clear_board(board: Path, plans: Sequence[PartPlan], *, own: bool) -> list[str]:
    """Make sure that a board holds no rows with which those of the plans could not be compared.

    Args:
        board: board folder. own: whether it is the store's own board: such rows are then taken out (the
            store can give them again); else they are refused.

    Returns:
        One sentence on every kind of row that was taken out.

    Raises:
        EpishotError: it holds such rows, or cannot be written to.
    """
    from .atomic import writable_folder

    writable_folder(board, "--board")
    taken: Counter[str] = Counter()
    for plan in plans:
        for row in rows_of(board, plan):
            why = _why_not_comparable(row.record, plan)
            if why is None:
                continue
            if not own:
                raise EpishotError(
                    f"The board {board} holds {row.path.stem!r} of {why} for {plan.task.card.name} "
                    f"{plan.part.protocol}; choose another --board, or delete the rows."
                )
            taken[why] += 1
            row.path.unlink()
            row.path.with_name(f"{row.path.stem}.replicates.parquet").unlink(missing_ok=True)
    return [
        f"{number} row{'' if number == 1 else 's'} of {why} {'was' if number == 1 else 'were'} taken off the board; "
        "what the run store holds of them is kept."
        for why, number in taken.items()
    ]


def _why_not_comparable(record: CompactRecord | None, plan: PartPlan) -> str | None:
    if record is None or record.evaluator != EVALUATOR_VERSION:
        return "another version"
    if (record.task_hash, record.episode_set) != (plan.task.content_hash, plan.episodes.hash):
        return "other episodes"
    # Nothing was trained here for an external row.
    if record.method.kind != "external" and record.budget != plan.part.budget:
        return f"another budget ({record.budget:g}, not {plan.part.budget:g})"
    return None

"""From matched predictions to one score per task row: repeats collapsed, conflicts settled or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..tasks.errors import EpishotError
from .external_match import Match
from .external_table import PredictionTable

if TYPE_CHECKING:
    from ..tasks.task import Task

#: Examples given of each kind of row.
EXAMPLES = 3


class Conflicts(StrEnum):
    """What becomes of a pair that has several, different scores."""

    REFUSE = "refuse"
    MAX = "max"
    MEAN = "mean"
    MIN = "min"


class Finding(NamedTuple):
    """A kind of row, how many there are, and the first few in words."""

    number: int
    examples: tuple[str, ...] = ()


class TaskScores(NamedTuple):
    """Scores by task row.

    Attributes:
        score: (n,) float64, NaN where there is no prediction.
        repeats: prediction rows that repeat another's pair and score.
        conflicts: pairs with different scores, settled as asked.
        labels: predictions whose file states another label than the task.
    """

    score: np.ndarray
    repeats: Finding
    conflicts: Finding
    labels: Finding


def collect_scores(task: Task, table: PredictionTable, match: Match, conflicts: Conflicts) -> TaskScores:
    """One score per task row.

    Raises:
        EpishotError: a matched prediction is no finite number, or pairs have different scores and `conflicts`
            says to refuse them.
    """
    rows = np.flatnonzero(match.file >= 0)
    rows = rows[np.argsort(match.file[rows], kind="stable")]
    _refuse_not_finite(table, np.sort(rows[~np.isfinite(table.score[rows])]))
    keys, score = match.file[rows], table.score[rows]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    count = np.diff(np.r_[first, len(keys)])
    low, high = np.minimum.reduceat(score, first), np.maximum.reduceat(score, first)
    differ = low != high
    settled = low.copy()
    if conflicts is Conflicts.MAX:
        settled = high.copy()
    elif conflicts is Conflicts.MEAN:
        settled[differ] = (np.add.reduceat(score, first) / count)[differ]

    def example(group: int) -> str:
        members = rows[first[group] : first[group] + count[group]]
        other = members[np.flatnonzero(table.score[members] != table.score[members[0]])[0]]
        return (
            f"rows {members[0] + 1} and {other + 1}, {describe_row(table, members[0])}: "
            f"{table.score_text[members[0]]} against {table.score_text[other]}"
        )

    found = _finding(np.flatnonzero(differ), example)
    if found.number and conflicts is Conflicts.REFUSE:
        raise EpishotError(
            f"{found.number:,} pairs have different scores in {table.name} (e.g. {found.examples[0]}); settle them "
            "with --conflicts max, mean or min, or, if the rows are different transcripts, name the transcript column."
        )
    by_key = np.full(int(match.task.max()) + 2, np.nan)
    by_key[keys[first]] = settled
    return TaskScores(
        score=by_key[match.task],
        repeats=Finding(int((count[~differ] - 1).sum())),
        conflicts=found,
        labels=_other_labels(task, table, match),
    )


def describe_row(table: PredictionTable, row: int) -> str:
    """A prediction's pair as the file gives it, short."""
    text = "|".join(str(column[int(row)].as_py()) for name, column in table.text.items() if name != "label")
    return text if len(text) <= 120 else f"{text[:117]}..."


def unmatched_finding(table: PredictionTable, rows: np.ndarray) -> Finding:
    """Rows of one reason, with examples."""
    return _finding(rows, lambda row: f"row {row + 1}, {describe_row(table, row)}")


def _finding(which: np.ndarray, example: Callable[[int], str]) -> Finding:
    chosen: Sequence[int] = which[:EXAMPLES].tolist()
    return Finding(len(which), tuple(map(example, chosen)))


def _refuse_not_finite(table: PredictionTable, rows: np.ndarray) -> None:
    if not len(rows):
        return
    words = (f"row {row + 1} has {table.score_text[int(row)].as_py()!r}" for row in rows[:EXAMPLES].tolist())
    raise EpishotError(
        f"{len(rows):,} pairs of the task have no finite score in {table.name} ({', '.join(words)}): give each a "
        "number, or leave these rows out and say with --fill VALUE what a missing pair scores."
    )


def _other_labels(task: Task, table: PredictionTable, match: Match) -> Finding:
    """A label column that disagrees with the task's is the surest sign of rows that were mixed up."""
    if "label" not in table.text:
        return Finding(0)
    label = task.columns.label
    size = int(match.task.max()) + 2
    # A key of several rows says something only if these agree; keys without any label stay apart as well.
    seen = np.zeros((2, size), dtype=bool)
    for value in (0, 1):
        seen[value, match.task[label == value]] = True
    agreed = np.where(seen[0] ^ seen[1], seen[1].astype(np.int64), -1)
    agreed[-1] = -1
    codes = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
    encoded = table.text["label"].dictionary_encode()
    values = np.array([codes.get(str(word).lower(), -1) for word in encoded.dictionary.to_pylist()] + [-1])
    stated = values[encoded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)]
    theirs = agreed[match.file]
    wrong = np.flatnonzero((match.file >= 0) & (stated >= 0) & (theirs >= 0) & (stated != theirs))
    return _finding(wrong, lambda row: f"row {row + 1}, {describe_row(table, row)}")

"""Predictions made elsewhere, matched to the query pairs of an episode set; whatever is decided is the user's say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from ..tasks.errors import EpishotError
from .external_match import Match, match_rows
from .external_scores import Conflicts, Finding, TaskScores, collect_scores, unmatched_finding
from .external_table import PredictionTable
from .records import ExternalFacts
from .reference_rows import logit

if TYPE_CHECKING:
    from ..tasks.episodes import EpisodeSet
    from ..tasks.task import Task


class Scale(StrEnum):
    """What a score is."""

    RANKS = "ranks"  #: its order alone means something
    LOGITS = "logits"
    PROBABILITIES = "probabilities"


@dataclass(frozen=True)
class ExternalOptions:
    """What the user decides about predictions; nothing of it is guessed.

    Attributes:
        conflicts: what becomes of pairs with several, different scores.
        fill: score of query pairs without a prediction, in the file's own unit; None refuses them.
        inverse: a lower score means a stronger link. scale: what a score is.
        cells: held-out cells to score; None = all of the card.
    """

    conflicts: Conflicts = Conflicts.REFUSE
    fill: float | None = None
    inverse: bool = False
    scale: Scale = Scale.RANKS
    cells: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.fill is not None and not np.isfinite(self.fill):
            raise EpishotError(f"--fill {self.fill} is no score; give a finite number.")


@dataclass(frozen=True, eq=False)
class ExternalScores:
    """Scores by task row, (n,) float64, higher = stronger, NaN where nobody asks; and how they came about."""

    score: np.ndarray
    facts: ExternalFacts


def prepare_scores(
    task: Task,
    episodes: EpisodeSet,
    table: PredictionTable,
    given: Mapping[str, str],
    options: ExternalOptions,
) -> ExternalScores:
    """Match predictions to the query pairs of an episode set.

    Args:
        task, episodes: what is scored. table: the predictions. given: columns mapped by hand.
        options: see there.

    Raises:
        EpishotError: no pair matches, scores are not finite, pairs have different scores, query pairs have none,
            or probabilities are not between 0 and 1; the text says what settles it.
    """
    match = match_rows(task, table, given)
    found = collect_scores(task, table, match, options.conflicts)
    query = _query_rows(task, episodes, options.cells)
    missing = query[np.isnan(found.score[query])]
    if missing.size and options.fill is None:
        raise EpishotError(_missing_text(task, table, match, query, missing))
    score = found.score.copy()
    notes = _notes(found, score[query], options, missing.size)
    if missing.size:
        score[missing] = options.fill
    score = _on_scale(score, query, options)
    return ExternalScores(score, _facts(task, table, match, found, query, missing, options, notes))


def _query_rows(task: Task, episodes: EpisodeSet, cells: Sequence[str] | None) -> np.ndarray:
    for cell in cells or ():
        task.cell_code(cell)
    parts = [split.query_rows for split in episodes.splits if cells is None or split.cell in cells]
    if not parts:
        raise EpishotError(f"No cell of {', '.join(cells or ())} has query pairs: leave out --cells.")
    return np.unique(np.concatenate(parts))


def _missing_text(task: Task, table: PredictionTable, match: Match, query: np.ndarray, missing: np.ndarray) -> str:
    per_cell = [
        (name, int((task.columns.cell[query] == code).sum()), int((task.columns.cell[missing] == code).sum()))
        for code, name in enumerate(task.card.cells)
    ]
    counts = ", ".join(f"{name} {lacking:,} of {total:,}" for name, total, lacking in per_cell if lacking)
    example = task.table["pair_id"][int(missing[0])].as_py()
    whole = [name for name, total, lacking in per_cell if total > lacking]
    absent = any(total and total == lacking for _, total, lacking in per_cell)
    cells = f"; score only some cells with --cells {','.join(whole)}" if absent and whole else ""
    strays = "".join(
        f"; {len(rows):,} rows of {table.name}: {reason}, e.g. {unmatched_finding(table, rows).examples[0]}"
        for reason, rows in match.unmatched.items()
    )
    return (
        f"{missing.size:,} of {query.size:,} query pairs have no prediction ({counts}; e.g. {example}{strays}): say "
        f"what they score with --fill VALUE{cells}."
    )


def _notes(found: TaskScores, given: np.ndarray, options: ExternalOptions, missing: int) -> tuple[str, ...]:
    notes = []
    if missing:
        share = 100 * missing / len(given)
        notes.append(
            f"{missing:,} of {len(given):,} query pairs had no prediction and score {options.fill:g} ({share:.1f} %)"
        )
    if found.conflicts.number:
        notes.append(f"{found.conflicts.number:,} pairs had different scores; their {options.conflicts.value} is taken")
    if options.inverse:
        notes.append("scores were negated: the file's lower score means a stronger link")
    distinct = len(np.unique(given[~np.isnan(given)]))
    if distinct <= 2:
        notes.append(
            f"the scores have {distinct} distinct value{'' if distinct == 1 else 's'}: hard labels hardly rank"
        )
    if found.labels.number:
        notes.append(f"{found.labels.number:,} rows of the file state another label than the task")
    return tuple(notes)


def _on_scale(score: np.ndarray, query: np.ndarray, options: ExternalOptions) -> np.ndarray:
    used = score[query]
    if options.scale is Scale.PROBABILITIES:
        if used.min() < 0 or used.max() > 1:
            raise EpishotError(
                f"The scores lie between {used.min():g} and {used.max():g}, so they are no probabilities: use --scale "
                "logits, or --scale ranks if they are neither."
            )
        used = logit(used)
    on_scale = np.full(len(score), np.nan)
    on_scale[query] = -used if options.inverse else used
    return on_scale


def _facts(
    task: Task,
    table: PredictionTable,
    match: Match,
    found: TaskScores,
    query: np.ndarray,
    missing: np.ndarray,
    options: ExternalOptions,
    notes: tuple[str, ...],
) -> ExternalFacts:
    matched = match.file >= 0
    asked = np.zeros(int(match.task.max()) + 2, dtype=bool)
    asked[match.task[query]] = True
    asked[-1] = False
    findings = {reason: unmatched_finding(table, rows) for reason, rows in match.unmatched.items()}
    unmatched = {reason: finding.number for reason, finding in findings.items()}
    findings |= {"different scores": found.conflicts, "other label": found.labels}
    ids = tuple(task.table["pair_id"][row].as_py() for row in missing[:3].tolist())
    findings["no prediction"] = Finding(missing.size, ids)
    return ExternalFacts(
        file=table.name,
        sha256=table.sha256,
        columns=dict(table.columns),
        joined_by=match.by,
        rows=len(table),
        matched=int(matched.sum()),
        outside=int((matched & ~asked[match.file]).sum()),
        unmatched=unmatched,
        repeats=found.repeats.number,
        conflicts=found.conflicts.number,
        settled_by=options.conflicts.value if found.conflicts.number else None,
        other_labels=found.labels.number,
        query=query.size,
        missing=missing.size,
        fill=options.fill if missing.size else None,
        scale=options.scale.value,
        inverse=options.inverse,
        examples={name: finding.examples for name, finding in findings.items() if finding.examples},
        notes=notes,
    )

"""Published numbers against numbers computed again from the full scores, the task and its episodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..tasks.errors import EpishotError
from .archive import archive_path, file_sha256, read_archive
from .findings import Finding, Status, verdict
from .published import EXACT, REPLICATE_TOLERANCE, Published, conditions_of, place_of
from .reference_rows import reference_runs
from .within_cell import is_within_cell, too_few_labels

if TYPE_CHECKING:
    from ..tasks.episodes import EpisodeSet
    from ..tasks.task import Task
    from .records import AcrossEntry, CellEntry, CompactRecord
    from .run_scores import RunScores
    from .summarise import Query, Summary


@dataclass(frozen=True, eq=False)
class Ground:
    """What all records of one task and protocol are computed again from.

    Attributes:
        archive: folder of full scores, None if it is not at hand.
        overlap: per cell, shares of query rows whose loci occur in training (protocol `cell`).
    """

    task: Task
    episodes: EpisodeSet
    queries: Mapping[str, Sequence[Query]]
    overlap: Mapping[str, Mapping[str, float]]
    archive: Path | None

    @classmethod
    def of(cls, task: Task, episodes: EpisodeSet, archive: Path | None) -> Ground:
        """Collect queries and overlap of a task and its episode set."""
        from ..tasks.overlap import shared_loci
        from .summarise import collect_queries

        strict = str(episodes.protocol.value) != "cell"
        overlap = {} if strict else {split.cell: shared_loci(task, split) for split in episodes.splits}
        return cls(task, episodes, collect_queries(task, episodes.splits), overlap, archive)


def check_scores(one: Published, ground: Ground) -> list[Finding]:
    """The findings `archive`, `query` and `scores` of one record; a pure function of its arguments and the archive."""
    findings: list[Finding] = []
    record = one.record
    try:
        runs = _runs(one, ground, findings)
        again = _again(record, ground, runs or [])
    except EpishotError as error:
        return [*findings, Finding("scores", one.subject, Status.FAILED, str(error))]
    findings.append(verdict("query", one.subject, list(_other_query(record, again.record, ground)), "as computed"))
    if runs is None:
        return findings
    problems = [*_other_runs(record, runs), *_other_numbers(one, again)]
    findings.append(verdict("scores", one.subject, problems, f"{len(record.entries)} entries computed again"))
    return findings


def _runs(one: Published, ground: Ground, findings: list[Finding]) -> list[RunScores] | None:
    """The runs of a record, None if they are not at hand; adds the finding `archive`.

    Raises:
        EpishotError: the archive holds something else than runs.
    """
    record = one.record
    # Only the within-cell oracle has runs of its own; other reference rows come with the task, whatever they claim.
    if record.method.kind == "reference" and not is_within_cell(record.method):
        if record.method.name not in ground.task.references:
            raise EpishotError("the task at hand has no reference row of that name")
        return reference_runs(ground.task, ground.episodes, record.method.name)
    if not record.archive_sha256:
        missing = "the record names no archive of full scores: publish it from its run store"
        findings.append(Finding("archive", one.subject, Status.COULD_NOT, missing))
    elif ground.archive is None:
        missing = "there is no archive of full scores beside the board: name it with --archive"
        findings.append(Finding("archive", one.subject, Status.COULD_NOT, missing))
    else:
        path = archive_path(ground.archive, record.task, record.protocol, record.method.name)
        missing = f"the archive {ground.archive} does not hold its full scores"
        if path.is_file():
            digest = file_sha256(path)
            if digest != record.archive_sha256:
                text = f"these are not the scores it was computed from: recorded {record.archive_sha256[:12]}, "
                findings.append(Finding("archive", one.subject, Status.FAILED, f"{text}the file {digest[:12]}"))
            else:
                findings.append(Finding("archive", one.subject, Status.VERIFIED, f"sha256 {digest[:12]}"))
            return read_archive(path)
        findings.append(Finding("archive", one.subject, Status.COULD_NOT, missing))
    text = "metrics and replicates cannot be computed again without the full scores"
    findings.append(Finding("scores", one.subject, Status.COULD_NOT, text))
    return None


def _again(record: CompactRecord, ground: Ground, runs: Sequence[RunScores]) -> Summary:
    from .records import N_REPLICATES
    from .summarise import summarise_method

    return summarise_method(
        ground.task,
        ground.episodes,
        record.method,
        runs,
        conditions=conditions_of(record),
        seeds=sorted({run.seed for run in runs}) or (0,),
        queries=ground.queries,
        # Without runs only the facts of the query are looked at, and those need no resamples.
        replicates=N_REPLICATES if runs else 1,
    )


def _other_query(record: CompactRecord, again: CompactRecord, ground: Ground) -> Iterator[str]:
    """What the record says about queries, whatever the method, and the task does not."""
    untrainable = {split.cell for split in ground.episodes.splits if not split.train_rows.size}
    if is_within_cell(record.method):
        untrainable |= set(too_few_labels(ground.task, ground.episodes.splits))
    for old, new in zip(record.entries, again.entries, strict=True):
        if _identity(old) != _identity(new):
            yield f"{_identity(old)} stands where {_identity(new)} belongs"
        elif (old.n, old.positives) != (new.n, new.positives):
            yield f"{place_of(old)}: n {old.n}, P {old.positives}; the task gives n {new.n}, P {new.positives}"
        elif not all(map(_same_fold, old.folds, new.folds)) or len(old.folds) != len(new.folds):
            yield f"{place_of(old)}: chance level, pairs or loci of a fold are not those of the task"
        elif (old.status == "infeasible") != (new.status == "infeasible") and old.cell not in untrainable:
            yield f"{place_of(old)}: published as {old.status}, the episode set says {new.status}"
    if record.method.kind != "external" and ground.overlap:
        shares = {cell: dict(found) for cell, found in ground.overlap.items()}
        if record.overlap != shares:
            yield "the shares of loci that query and training have in common are others"


def _same_fold(old: object, new: object) -> bool:
    one, other = dict(old), dict(new)  # type: ignore[call-overload]
    return _close(one.pop("chance"), other.pop("chance")) and one == other


def _other_runs(record: CompactRecord, runs: Sequence[RunScores]) -> Iterator[str]:
    if record.method.kind != "external" and record.archive_sha256 and len(record.run_keys) != len(runs):
        yield f"the record names {len(record.run_keys)} runs, the archive holds {len(runs)}"
    kept = set(conditions_of(record))
    left_out = sorted({run.condition for run in runs if run.condition not in kept})
    if left_out:
        yield f"the archive holds results that the record leaves out: {', '.join(f'k={c.k}' for c in left_out)}"
    if record.method.kind != "external" and record.test_scorings < len(record.run_keys):
        yield f"it states {record.test_scorings} test scorings, and names {len(record.run_keys)} runs"


def _other_numbers(one: Published, again: Summary) -> Iterator[str]:
    """Metrics, intervals and replicates that the scores do not give."""
    record = one.record
    for old, new in zip(record.entries, again.record.entries, strict=True):
        yield from (f"{place_of(old)}: {problem}" for problem in _other_entry(old, new, one, again))
    places = [(a.regime, a.balance, a.k) for a in record.across]
    if places != [(a.regime, a.balance, a.k) for a in again.record.across]:
        yield "its metrics across cells are not of its conditions"
        return
    for before, after in zip(record.across, again.record.across, strict=True):
        yield from (f"across cells, k={before.k}: {problem}" for problem in _other_across(before, after))


def _other_entry(old: CellEntry, new: CellEntry, one: Published, again: Summary) -> Iterator[str]:
    if "ok" not in (old.status, new.status):
        return  # infeasible cells are compared with the query; failed and missing runs have no scores
    if old.status != new.status:
        yield f"published as {old.status}, its scores are {new.status} ({new.reason})"
        return
    if (old.draws, old.seeds) != (new.draws, new.seeds):
        yield f"published of {old.draws} draws and {old.seeds} seeds, the scores are of {new.draws} and {new.seeds}"
    yield from _other_metrics(old.metrics, new.metrics)
    if old.reasons != new.reasons or old.redrawn != new.redrawn:
        yield "reasons of undefined metrics, or redrawn resamples, are others"
    if not all(map(_close, old.interval or (None, None), new.interval or (None, None))):
        yield f"interval is {old.interval}, the scores give {new.interval}"
    if one.replicates is None or old.replicates is None or new.replicates is None:
        return
    if not 0 <= old.replicates < len(one.replicates):
        yield "it has no replicates"
        return
    mine, theirs = again.replicates[new.replicates], one.replicates[old.replicates]
    if not np.allclose(mine, theirs, rtol=0, atol=REPLICATE_TOLERANCE):
        yield f"{int((mine != theirs).sum())} of its replicates are not what the scores give"


def _other_across(old: AcrossEntry, new: AcrossEntry) -> Iterator[str]:
    if old.cells != new.cells or old.reasons != new.reasons:
        yield "the pooled cells, or reasons of undefined metrics, are others"
    yield from _other_metrics(old.metrics, new.metrics)


def _other_metrics(old: Mapping[str, float | None], new: Mapping[str, float | None]) -> Iterator[str]:
    for name in dict.fromkeys((*new, *old)):
        if (name in old) != (name in new) or not _close(old.get(name), new.get(name)):
            yield f"{name} is {old.get(name)}, the scores give {new.get(name)}"


def _close(old: float | None, new: float | None) -> bool:
    """Equal, but for the last digits that another processor or library version may round differently."""
    return old is new if old is None or new is None else abs(old - new) <= EXACT


def _identity(entry: CellEntry) -> tuple[str, str, str, int]:
    return entry.cell, entry.regime, entry.balance, entry.k

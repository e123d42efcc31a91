"""What somebody wants to publish: rows of a run store, or of a folder of records with their archive of full scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..benchmark.archive import RunPlace, archive_path, file_sha256, write_archive
from ..benchmark.audit_store import matching_audit
from ..benchmark.findings import failed
from ..benchmark.published import Published, place_of, read_published
from ..benchmark.records import CompactRecord, RunIdentity, RunRecord
from ..benchmark.run_scores import RunScores
from ..benchmark.specs import Condition
from ..benchmark.store import RunStore, run_key
from ..benchmark.tuned import config_of_cell
from ..methods.base import Balance, Regime
from ..tasks.errors import EpishotError


@dataclass(frozen=True, eq=False)
class Candidate:
    """A row to be published.

    Attributes:
        record: with the digest of its archive. scores: file of its full scores, None for reference rows.
    """

    record: CompactRecord
    replicates: np.ndarray
    scores: Path | None


class Submission(NamedTuple):
    """All rows that could be published, and why the others cannot."""

    candidates: list[Candidate]
    problems: list[str]


def read_submission(source: Path, stage: Path, methods: Sequence[str] = ()) -> Submission:
    """Read the rows of a run store (its own board), or of a folder with `records/` and `archive/`.

    Args:
        source: the folder. stage: where archives of a run store are put together.
        methods: names of the rows wanted; all by default.

    Raises:
        EpishotError: it is neither, or has no row of such a name.
    """
    store = RunStore(source) if (source / "board" / "records").is_dir() else None
    published, findings = read_published(source / "board" if store else source)
    if not findings:
        raise EpishotError(
            f"{source} has no compact records: name a run store (`epishot run` makes one), or a folder with records/ "
            "and archive/."
        )
    unknown = set(methods) - {one.record.method.name for one in published}
    if unknown:
        raise EpishotError(f"{source} has no row named {', '.join(sorted(unknown))}.")
    wanted = [one for one in published if not methods or one.record.method.name in methods]
    names = {one.subject for one in wanted}
    problems = [f"{f.subject}: {f.text}" for f in failed(findings) if not methods or f.subject in names]
    candidates = []
    for one in wanted:
        holes = [f"{one.subject}: {problem}" for problem in incomplete(one.record)]
        problems += holes
        if holes or one.replicates is None:  # wrong replicates are among the failed findings
            continue
        try:
            candidates.append(_from_store(one, store, source, stage) if store else _from_folder(one, source))
        except EpishotError as error:
            problems.append(f"{one.subject}: {error}")
    return Submission(candidates, problems)


def incomplete(record: CompactRecord) -> Iterator[str]:
    """Which results a record lacks, and why. Somebody's predictions may cover some of the cells only."""
    lacking = {"failed"} if record.method.kind == "external" else {"failed", "missing"}
    for entry in record.entries:
        if entry.status in lacking:
            yield f"{place_of(entry)} {entry.status}: {entry.reason}"


def _from_folder(one: Published, source: Path) -> Candidate:
    record = one.record
    assert one.replicates is not None
    path = archive_path(source / "archive", record.task, record.protocol, record.method.name)
    without_runs = record.method.kind == "reference" and not record.run_keys
    if without_runs or (record.method.kind == "external" and not record.archive_sha256):
        return Candidate(record, one.replicates, None)
    if not path.is_file() or path.is_symlink():
        raise EpishotError(f"its full scores are missing ({path.relative_to(source)})")
    if file_sha256(path) != record.archive_sha256:
        raise EpishotError("its full scores are not those that the record was computed from (another sha256)")
    return Candidate(record, one.replicates, path)


def _from_store(one: Published, store: RunStore, source: Path, stage: Path) -> Candidate:
    record = one.record
    assert one.replicates is not None
    if not record.run_keys:
        return _from_folder(one, source)
    path = archive_path(stage, record.task, record.protocol, record.method.name)
    digest = write_archive(path, _runs(record, store))
    update = {"archive_sha256": digest, "audit": matching_audit(record, store)}
    return Candidate(record.model_copy(update=update), one.replicates, path)


def _runs(record: CompactRecord, store: RunStore) -> Iterator[RunScores]:
    """The runs of a record in the order of an archive, one in memory at a time.

    Raises:
        EpishotError: a run is not in the store, or is not one of this record.
    """
    found = [_find(key, record, store) for key in record.run_keys]
    for run, condition in sorted(found, key=lambda one: _place(one[0].identity)):
        scores = store.scores(run)
        if scores is None:
            raise EpishotError(f"the scores of {_words(run.identity)} are damaged; run it again")
        yield RunScores(run.identity.cell, run.identity.fold, run.identity.seed, condition, scores, run.key)


def _find(key: str, record: CompactRecord, store: RunStore) -> tuple[RunRecord, Condition]:
    run = store.find(record.task, key)
    if run is None or run_key(run.identity) != key:
        raise EpishotError(f"its run {key[:12]} is not in the store, or failed; run it again")
    identity, method = run.identity, record.method
    ours = (identity.task_hash, identity.protocol, identity.episode_set, identity.budget, identity.evaluator)
    if ours != (record.task_hash, record.protocol, record.episode_set, record.budget, record.evaluator):
        raise EpishotError(f"{_words(identity)} was run on another task, episode set, budget or evaluator")
    config = config_of_cell(method.config, identity.cell)
    if (identity.method, identity.method_version, identity.config) != (method.name, method.version, config):
        raise EpishotError(f"{_words(identity)} is a run of another method, version or configuration")
    return run, Condition(identity.k, Regime(identity.regime), Balance(identity.balance))


def _place(identity: RunIdentity) -> RunPlace:
    one = identity
    return RunPlace(one.cell, one.fold, one.regime, one.balance, one.k, one.seed)


def _words(identity: RunIdentity) -> str:
    return f"{identity.cell}, fold {identity.fold}, seed {identity.seed}, {identity.regime} k={identity.k}"

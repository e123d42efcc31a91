"""The run store: one JSON record and one Parquet of scores per run, named by what determines the run.

Layout: `records/<task>/<key>.json`, `scores/<task>/<key>.parquet`, `episodes/<hash>/`, `methods/<key>.json`,
`inner/<task>/<key>.json` and `board/`. A record is written after its scores, both atomically, so a record that is
there is complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from .atomic import whole_file, writable_folder
from .described import Description
from .records import InnerIdentity, InnerRecord, RunIdentity, RunRecord


def run_key(identity: RunIdentity | InnerIdentity) -> str:
    """sha256 (hex) of the canonical JSON of the identity of a run, or of an inner fit: the name of its files."""
    canonical = json.dumps(identity.model_dump(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


class RunStore:
    """A folder of run records and scores.

    Args:
        folder: made on first use.

    Raises:
        EpishotError: the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = writable_folder(folder, "--store")

    def episodes(self, episode_hash: str) -> Path:
        """Folder of a saved episode set."""
        return self.folder / "episodes" / episode_hash

    @property
    def board(self) -> Path:
        """Default board folder."""
        return self.folder / "board"

    def record_path(self, task: str, key: str) -> Path:
        """Where the record of a run is."""
        return self.folder / "records" / task / f"{key}.json"

    def scores_path(self, task: str, key: str) -> Path:
        """Where the scores of a run are."""
        return self.folder / "scores" / task / f"{key}.parquet"

    def find(self, task: str, key: str) -> RunRecord | None:
        """The record of a successful run whose scores are there; None is a cache miss.

        The digest of the scores is checked when they are read (`scores`); here only that the file exists
        and has the size noted in the record.
        """
        record = self._read(self.record_path(task, key))
        if record is None or record.status != "ok" or record.key != key or run_key(record.identity) != key:
            return None
        try:
            size = self.scores_path(task, key).stat().st_size
        except OSError:
            return None
        return record if size == record.scores_bytes else None

    def failed(self, task: str, key: str) -> RunRecord | None:
        """The record of a failed run, if there is one."""
        record = self._read(self.record_path(task, key))
        return record if record is not None and record.status == "failed" else None

    def write(self, record: RunRecord, scores: np.ndarray | None) -> RunRecord:
        """Write a run: scores (R, n) float64 first, then the record with their digest.

        Returns:
            The record as written.
        """
        task = record.identity.task
        if scores is not None:
            path = self.scores_path(task, record.key)
            columns = {f"draw{draw}": pa.array(row) for draw, row in enumerate(scores)}
            with whole_file(path) as temporary:
                pq.write_table(pa.table(columns), temporary, compression="zstd", use_dictionary=False)
            data = path.read_bytes()
            record = record.model_copy(
                update={"scores_sha256": hashlib.sha256(data).hexdigest(), "scores_bytes": len(data)}
            )
        with whole_file(self.record_path(task, record.key)) as temporary:
            temporary.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return record

    def scores(self, record: RunRecord) -> np.ndarray | None:
        """Scores (R, n) float64 of a run in query order; None if the file is not what the record says."""
        path = self.scores_path(record.identity.task, record.key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() != record.scores_sha256:
            return None
        table = pq.read_table(pa.BufferReader(data))
        return np.stack([column.to_numpy() for column in table.columns])

    def holds(self, task: str, key: str) -> bool:
        """Whether a run has a record, successful or failed."""
        return self.record_path(task, key).is_file()

    def forget_scores(self, record: RunRecord) -> None:
        """Delete the scores of a run, found damaged, so that the next run computes them again."""
        self.scores_path(record.identity.task, record.key).unlink(missing_ok=True)

    def records(self, task: str | None = None) -> Iterator[RunRecord]:
        """Every readable record, of one task or of all."""
        folder = self.folder / "records"
        for path in sorted((folder / task if task else folder).glob("*.json" if task else "*/*.json")):
            record = self._read(path)
            if record is not None:
                yield record

    def description(self, key: str) -> Description | None:
        """A method's description kept under `key`; None if there is none."""
        try:
            return Description.model_validate_json((self.folder / "methods" / f"{key}.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def keep_description(self, key: str, description: Description) -> None:
        """Keep a method's description under `key`."""
        with whole_file(self.folder / "methods" / f"{key}.json") as temporary:
            temporary.write_text(description.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def inner(self, identity: InnerIdentity) -> InnerRecord | None:
        """What an inner fit scored; None if it is not known."""
        try:
            record = InnerRecord.model_validate_json(self._inner_path(identity).read_bytes())
        except (OSError, ValidationError):
            return None
        return record if record.identity == identity else None

    def keep_inner(self, record: InnerRecord) -> None:
        """Keep what an inner fit scored."""
        with whole_file(self._inner_path(record.identity)) as temporary:
            temporary.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def _inner_path(self, identity: InnerIdentity) -> Path:
        return self.folder / "inner" / identity.task / f"{run_key(identity)}.json"

    @staticmethod
    def _read(path: Path) -> RunRecord | None:
        try:
            return RunRecord.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None

"""A folder of compact records as somebody else may have left it: every file read on its own, nothing trusted.

Records are JSON for pydantic and Parquet for Arrow; nothing here unpickles, imports or runs what it reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..tasks.errors import EpishotError
from .audit_store import audit_contradictions
from .compact import record_path, replicates_digest
from .findings import Finding, Status, verdict
from .interval import percentile_interval
from .records import EVALUATOR_VERSION, N_REPLICATES, RECORD_SCHEMA, CellEntry, CompactRecord
from .specs import Condition
from .tuned import tuned_in

#: Names of tasks, protocols and methods become file names.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=,\[\]-]*")
#: Numbers that were computed in float64 and written as JSON; a larger difference is another number.
EXACT = 1e-9
#: Replicates are float32.
REPLICATE_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Published:
    """A compact record that lies where it should.

    Attributes:
        replicates: (rows, B) float32; None if they are not those of the record.
    """

    path: Path
    record: CompactRecord
    replicates: np.ndarray | None

    @property
    def subject(self) -> str:
        """The words for it in findings."""
        return subject(self.record)


def subject(record: CompactRecord) -> str:
    """`task protocol method`."""
    return f"{record.task} {record.protocol} {record.method.name}"


def read_published(board: Path) -> tuple[list[Published], list[Finding]]:
    """Read every record of a folder, in order of path, and check each against itself and its replicates.

    Returns:
        The records that could be read, and the findings `record` and `replicates` of all.
    """
    found: list[Published] = []
    findings: list[Finding] = []
    root = (board / "records").resolve()
    for path in sorted((board / "records").glob("*/*/*.json")):
        place = f"{path.parent.parent.name} {path.parent.name} {path.stem}"
        try:
            record = _read(path)
            if record_path(board, record) != path or not names_are_safe(record):
                raise EpishotError(f"it calls itself {subject(record)!r} and does not belong into this file")
            if not path.resolve().is_relative_to(root):
                raise EpishotError("it is a link out of the folder")
        except EpishotError as error:
            findings.append(Finding("record", place, Status.FAILED, str(error)))
            continue
        replicates = _read_replicates(path.with_name(f"{path.stem}.replicates.parquet"), record)
        found.append(Published(path, record, replicates))
        findings.append(verdict("record", place, contradictions(record), "agrees with itself"))
        findings.append(verdict("replicates", place, wrong_replicates(record, replicates), "give every interval"))
    return found, findings


def _read(path: Path) -> CompactRecord:
    from pydantic import ValidationError

    try:
        return CompactRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise EpishotError(f"it is not a compact record of this version ({first})") from error


def _read_replicates(path: Path, record: CompactRecord) -> np.ndarray | None:
    """Replicates (rows, B) float32; None if they are missing, unreadable or not those of the record."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        column = pq.ParquetFile(path).read(["replicates"])["replicates"]
    except (OSError, pa.ArrowException, KeyError):
        return None
    if column.type != pa.list_(pa.float32(), N_REPLICATES) or column.null_count:
        return None
    flat = pa.concat_arrays([pa.array([], pa.float32()), *(chunk.flatten() for chunk in column.chunks)])
    replicates = flat.to_numpy(zero_copy_only=False).reshape(-1, N_REPLICATES)
    return replicates if replicates_digest(replicates) == record.replicates_sha256 else None


def names_are_safe(record: CompactRecord) -> bool:
    """Whether the record's names can be used as names of files."""
    return all(_NAME.fullmatch(name) for name in (record.task, record.protocol, record.method.name))


def place_of(entry: CellEntry) -> str:
    """The words for an entry in findings."""
    return f"{entry.cell}, {entry.regime} {entry.balance} k={entry.k}"


def conditions_of(record: CompactRecord) -> tuple[Condition, ...]:
    """The conditions of a record in its own order.

    Raises:
        EpishotError: one of them does not exist.
    """
    from ..methods.base import Balance, Regime

    found = dict.fromkeys((entry.k, entry.regime, entry.balance) for entry in record.entries)
    try:
        return tuple(Condition(k, Regime(regime), Balance(balance)) for k, regime, balance in found)
    except ValueError as error:
        raise EpishotError(f"It has an unknown condition: {error}.") from error


def contradictions(record: CompactRecord) -> list[str]:
    """What in a record cannot all be true, without looking at anything else."""
    found = []
    if record.schema_version != RECORD_SCHEMA or record.evaluator != EVALUATOR_VERSION:
        found.append(f"it is of evaluator {record.evaluator}, schema {record.schema_version}, not of this version")
    try:
        conditions = conditions_of(record)
    except EpishotError as error:
        return [*found, str(error)]
    try:
        tuned_in(record.method.config)
    except EpishotError as error:
        found.append(str(error))
    wanted = {(cell, condition) for cell in record.cells for condition in conditions}
    if len(record.entries) != len(wanted) or {e.cell for e in record.entries} != set(record.cells):
        found.append("it does not have one entry per cell and condition")
    found += audit_contradictions(record)
    for entry in record.entries:
        found += [f"{place_of(entry)}: {problem}" for problem in _entry_contradictions(entry)]
    return found


def _entry_contradictions(entry: CellEntry) -> Iterator[str]:
    if sum(fold.n for fold in entry.folds) != entry.n or sum(fold.positives for fold in entry.folds) != entry.positives:
        yield "its folds do not add up to its n and positives"
    if entry.status != "ok":
        if entry.metrics or entry.interval or entry.replicates is not None:
            yield f"it is {entry.status}, and has numbers"
        return
    defined = [fold for fold in entry.folds if fold.chance is not None]
    corrected, raw, chance = (entry.metrics.get(name) for name in ("corrected", "aupr", "chance"))
    if bool(defined) != (corrected is not None) or (corrected is None) != (entry.interval is None):
        yield "it has a corrected AUPR without folds or an interval, or the reverse"
    elif corrected is not None and raw is not None and len(defined) == 1:
        expected = defined[0].chance or 0.0
        if abs(raw - (expected + (1 - expected) * corrected)) > EXACT or abs((chance or 0.0) - expected) > EXACT:
            yield f"raw AUPR {raw:g}, corrected AUPR {corrected:g} and chance {chance} do not fit together"


def wrong_replicates(record: CompactRecord, replicates: np.ndarray | None) -> list[str]:
    """What is wrong with a record's replicates; intervals are computed again from them."""
    if replicates is None:
        return ["they are missing, unreadable, or not those that the record was written with (another digest)"]
    rows = [entry.replicates for entry in record.entries if entry.replicates is not None]
    if replicates.shape[1:] != (N_REPLICATES,) or sorted(rows) != list(range(len(replicates))):
        return [f"they are {replicates.shape}, which is not {N_REPLICATES:,} for each entry that has some"]
    found = []
    for entry in record.entries:
        if (entry.replicates is None) != (entry.interval is None):
            found.append(f"{place_of(entry)} has an interval without replicates, or the reverse")
        elif entry.replicates is not None and entry.interval is not None:
            mine, value = replicates[entry.replicates].astype(np.float64), entry.metrics.get("corrected")
            if value is None or not mine.min() - REPLICATE_TOLERANCE <= value <= mine.max() + REPLICATE_TOLERANCE:
                found.append(f"{place_of(entry)}: corrected AUPR {value} lies outside its own replicates")
            again = percentile_interval(mine)
            if not np.allclose(again, entry.interval, rtol=0, atol=REPLICATE_TOLERANCE):
                low, high = entry.interval
                found.append(
                    f"{place_of(entry)}: published [{low:g}, {high:g}], they give [{again[0]:g}, {again[1]:g}]"
                )
    return found

"""The archive of full scores: from it, task and episode set every published number is computed again.

`<archive>/<task>/<protocol>/<method>.scores.parquet`, one line per draw: cell, fold, seed, regime, balance, k, draw,
and the scores (float64) in the order of the split's query rows. The file's sha256 stands in the compact record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..methods.base import Balance, Regime
from ..tasks.errors import EpishotError
from .atomic import whole_file
from .run_scores import RunScores
from .specs import Condition

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("cell", "fold", "seed", "regime", "balance", "k", "draw", "scores")


class RunPlace(NamedTuple):
    """Which run of a method; sorted, the order of an archive."""

    cell: str
    fold: int
    regime: str
    balance: str
    k: int
    seed: int

    @classmethod
    def of(cls, run: RunScores) -> RunPlace:
        """The place of a run."""
        condition = run.condition
        return cls(run.cell, run.fold, condition.regime.value, condition.balance.value, condition.k, run.seed)


def archive_path(archive: Path, task: str, protocol: str, method: str) -> Path:
    """Where the scores of a method lie in an archive."""
    return archive / task / protocol / f"{method}.scores.parquet"


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_archive(path: Path, runs: Iterable[RunScores]) -> str:
    """Write all runs of one method on one task under one protocol; equal runs, equal bytes (for one pyarrow).

    Args:
        path: file to write, whole or not at all.
        runs: in ascending order of `RunPlace`; may be lazy: one (cell, fold) is in memory at a time.

    Returns:
        sha256 (hex) of the file.

    Raises:
        ValueError: the runs are out of order, or one is given twice.
        OSError: the file cannot be written.
    """
    import pyarrow.parquet as pq

    with whole_file(path) as temporary:
        # Scores of neighbouring pairs share their exponents: split into byte planes they take a tenth less.
        writer = pq.ParquetWriter(
            temporary,
            _schema(),
            compression="zstd",
            use_dictionary=[name for name in _COLUMNS if name != "scores"],
            column_encoding={"scores.list.element": "BYTE_STREAM_SPLIT"},
            write_statistics=False,
        )
        with writer:
            for _, group in groupby(_ascending(runs), key=lambda run: (run.cell, run.fold)):
                writer.write_table(_table(list(group)))
        return file_sha256(temporary)


def read_archive(path: Path) -> list[RunScores]:
    """The runs of an archive file.

    Raises:
        EpishotError: the file is missing, is no archive, or holds impossible, repeated or incomplete runs.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise EpishotError(f"The archive {path} cannot be read; restore it, or publish its runs again.") from error
    if not table.schema.equals(_schema(), check_metadata=False):
        raise EpishotError(f"{path} does not have the columns of an archive; publish its runs again.")
    found: dict[RunPlace, list[tuple[int, np.ndarray]]] = {}
    for batch in table.to_batches():
        columns = [batch.column(name).to_pylist() for name in _COLUMNS[:-1]]
        for line, values in enumerate(zip(*columns, strict=True)):
            cell, fold, seed, regime, balance, k, draw = values
            scores = batch.column("scores")[line].values.to_numpy(zero_copy_only=False)
            found.setdefault(RunPlace(cell, fold, regime, balance, k, seed), []).append((draw, scores))
    return [_run(place, lines, path) for place, lines in found.items()]


def _run(place: RunPlace, lines: list[tuple[int, np.ndarray]], path: Path) -> RunScores:
    text = f"{place.cell}, fold {place.fold}, seed {place.seed}, {place.regime} {place.balance} k={place.k}"
    if [draw for draw, _ in lines] != list(range(len(lines))) or len({scores.size for _, scores in lines}) != 1:
        raise EpishotError(f"The archive {path} holds repeated, missing or uneven draws of {text}; publish it again.")
    try:
        condition = Condition(place.k, Regime(place.regime), Balance(place.balance))
    except ValueError as error:
        raise EpishotError(f"The archive {path} holds an unknown condition: {text}; publish it again.") from error
    return RunScores(place.cell, place.fold, place.seed, condition, np.stack([scores for _, scores in lines]))


def _ascending(runs: Iterable[RunScores]) -> Iterator[RunScores]:
    last = None
    for run in runs:
        place = RunPlace.of(run)
        if last is not None and not last < place:
            raise ValueError(f"{place} comes after {last}: an archive is written in ascending order")
        last = place
        yield run


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, number = pa.string(), pa.int32()
    types = (text, number, number, text, text, number, number, pa.list_(pa.float64()))
    return pa.schema(list(zip(_COLUMNS, types, strict=True)))


def _table(runs: list[RunScores]) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, list[object]] = {name: [] for name in _COLUMNS[:-1]}
    for run in runs:
        place = RunPlace.of(run)
        for draw in range(run.scores.shape[0]):
            for name in columns:
                columns[name].append(draw if name == "draw" else getattr(place, name))
    sizes = [run.scores.shape[1] for run in runs for _ in range(run.scores.shape[0])]
    flat = np.concatenate([np.ascontiguousarray(run.scores, dtype=np.float64).reshape(-1) for run in runs])
    scores = pa.ListArray.from_arrays(pa.array(np.cumsum([0, *sizes]), pa.int32()), pa.array(flat))
    return pa.table([*(pa.array(values) for values in columns.values()), scores], names=list(_COLUMNS)).cast(_schema())

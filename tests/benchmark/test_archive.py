"""The archive of full scores: exact, deterministic, and suspicious of everything it reads."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from epishot.benchmark.archive import RunPlace, archive_path, file_sha256, read_archive, write_archive
from epishot.benchmark.run_scores import RunScores
from epishot.benchmark.specs import Condition
from epishot.methods.base import Balance, Regime
from epishot.tasks.errors import EpishotError

ZERO = Condition(0, Regime.NONE, Balance.NATURAL)
SHOTS = Condition(8, Regime.LABELLED, Balance.NATURAL)


@pytest.fixture
def runs() -> list[RunScores]:
    rng = np.random.default_rng(0)
    found = []
    for cell, fold, n in (("A", 0, 7), ("A", 1, 4), ("B", 0, 5)):
        for condition, draws in ((ZERO, 1), (SHOTS, 3)):
            for seed in (0, 1):
                scores = rng.normal(size=(draws, n)) * 10.0 ** rng.integers(-300, 300)
                found.append(RunScores(cell, fold, seed, condition, scores))
    return sorted(found, key=RunPlace.of)


def test_scores_come_back_bit_by_bit(runs: list[RunScores], tmp_path: Path) -> None:
    path = archive_path(tmp_path, "toy", "cell", "mine")
    digest = write_archive(path, iter(runs))
    assert path == tmp_path / "toy" / "cell" / "mine.scores.parquet"
    assert digest == file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    back = read_archive(path)
    assert [RunPlace.of(run) for run in back] == [RunPlace.of(run) for run in runs]
    for one, other in zip(runs, back, strict=True):
        assert one.scores.tobytes() == other.scores.tobytes()


def test_equal_runs_give_equal_bytes_and_a_changed_score_does_not(runs: list[RunScores], tmp_path: Path) -> None:
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    broadcast = [RunScores(r.cell, r.fold, r.seed, r.condition, r.scores.copy(order="F")) for r in runs]
    assert write_archive(first, runs) == write_archive(second, broadcast)
    runs[-1].scores[-1, -1] = np.nextafter(runs[-1].scores[-1, -1], np.inf)
    assert write_archive(second, runs) != file_sha256(first)


def test_runs_out_of_order_or_twice_leave_no_file(runs: list[RunScores], tmp_path: Path) -> None:
    for wrong in ([*runs, runs[0]], [runs[0], runs[0]]):
        with pytest.raises(ValueError, match="ascending"):
            write_archive(tmp_path / "x.parquet", wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("draw", [0, 1, 1], "repeated, missing or uneven"),
        ("draw", [0, 2, 1], "repeated, missing or uneven"),
        ("scores", [[0.0], [1.0], [1.0, 2.0]], "repeated, missing or uneven"),
        ("regime", ["oracular"] * 3, "unknown condition"),
        ("scores", [[0.0], [float("nan")], [1.0]], "not a finite"),
    ],
)
def test_impossible_archives_are_refused(column: str, values: list, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    scores = np.zeros((3, 1))
    write_archive(path, [RunScores("A", 0, 0, SHOTS, scores)])
    table = pq.read_table(path)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values, table.schema.field(column).type)), path)
    with pytest.raises(EpishotError, match=message):
        read_archive(path)


def test_other_files_are_no_archives(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(EpishotError, match="cannot be read"):
        read_archive(path)
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(EpishotError, match="cannot be read"):
        read_archive(path)
    pq.write_table(pa.table({"cell": ["A"]}), path)
    with pytest.raises(EpishotError, match="columns"):
        read_archive(path)

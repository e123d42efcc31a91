"""The run store: hit, miss, stale, failed, half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from epishot.benchmark.atomic import whole_file
from epishot.benchmark.records import RunIdentity, RunRecord
from epishot.benchmark.store import RunStore, run_key
from epishot.tasks.errors import EpishotError

SCORES = np.array([[0.1, 1 / 3, -np.pi], [1e-300, 2.0, 3.0]])


def identity(**changes: object) -> RunIdentity:
    facts: dict = {
        "task": "toy",
        "task_hash": "a",
        "protocol": "cell",
        "episode_set": "b",
        "cell": "A",
        "fold": 0,
        "method": "m",
        "method_version": "1",
        "method_code": "c",
        "config": "{}",
        "seed": 0,
        "budget": 1.0,
        "regime": "labelled",
        "balance": "natural",
        "k": 16,
        "draws": 2,
        "evaluator": "1",
        "versions": {"numpy": "2", "torch": "2"},
    }
    return RunIdentity(**{**facts, **changes})


def record(status: str = "ok", **changes: object) -> RunRecord:
    one = identity(**changes)
    error = None if status == "ok" else "fit: boom"
    return RunRecord(key=run_key(one), identity=one, status=status, error=error, n=3, positives=1)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def test_what_was_written_is_found_and_read_back_exactly(store: RunStore) -> None:
    written = store.write(record(), SCORES)
    found = store.find("toy", written.key)
    assert found == written
    np.testing.assert_array_equal(store.scores(found), SCORES)


@pytest.mark.parametrize(
    "change",
    [
        {"task_hash": "x"},
        {"episode_set": "x"},
        {"method_code": "x"},
        {"config": '{"a": 1}'},
        {"seed": 1},
        {"budget": 0.5},
        {"k": 8},
        {"evaluator": "2"},
        {"versions": {"numpy": "2", "torch": "3"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_anything_that_determines_a_run_makes_another_key(store: RunStore, change: dict) -> None:
    store.write(record(), SCORES)
    assert store.find("toy", run_key(identity(**change))) is None


def test_the_key_does_not_depend_on_the_order_of_versions() -> None:
    assert run_key(identity()) == run_key(identity(versions={"torch": "2", "numpy": "2"}))


def test_a_failed_run_is_kept_but_is_no_hit(store: RunStore) -> None:
    written = store.write(record("failed"), None)
    assert store.find("toy", written.key) is None
    assert store.failed("toy", written.key) == written
    store.write(record(), SCORES)
    assert store.find("toy", written.key) is not None
    assert store.failed("toy", written.key) is None


def test_missing_truncated_or_altered_scores_are_no_hit(store: RunStore) -> None:
    written = store.write(record(), SCORES)
    path = store.scores_path("toy", written.key)
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert store.find("toy", written.key) is None
    altered = bytes([data[0], data[1], data[2], data[3], data[4] ^ 1]) + data[5:]
    path.write_bytes(altered)
    assert store.scores(written) is None, "same size, other bytes"
    path.unlink()
    assert store.find("toy", written.key) is None
    assert store.scores(written) is None


def test_a_damaged_or_renamed_record_is_no_hit(store: RunStore) -> None:
    written = store.write(record(), SCORES)
    path = store.record_path("toy", written.key)
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    assert store.find("toy", written.key) is None
    path.write_text(text.replace('"seed": 0', '"seed": 1'))
    assert store.find("toy", written.key) is None, "the identity is not the one that the name promises"


def _interrupted_write(path: Path, error: type[BaseException]) -> None:
    with whole_file(path) as temporary:
        temporary.write_text("half")
        raise error


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file.json"
    with pytest.raises(KeyboardInterrupt):
        _interrupted_write(path, KeyboardInterrupt)
    assert list(path.parent.iterdir()) == []


def test_an_interrupted_overwrite_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        _interrupted_write(path, RuntimeError)
    assert path.read_text() == "old"


def test_files_that_a_killed_process_left_are_not_records(store: RunStore) -> None:
    written = store.write(record(), SCORES)
    folder = store.record_path("toy", written.key).parent
    (folder / f".{written.key}.json.1234.partial").write_text("{}")
    assert [one.key for one in store.records()] == [written.key]
    assert [one.key for one in store.records("toy")] == [written.key]
    assert list(store.records("other")) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EpishotError, match="--store"):
        RunStore(tmp_path / "file" / "runs")

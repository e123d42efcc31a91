"""From `epishot audit` to the leaderboard: the audit of the code and configuration that gave a row, and no other."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from epishot.benchmark.audit_store import attach_audits
from epishot.benchmark.cli import run_app
from epishot.benchmark.compact import compact_json
from epishot.benchmark.records import CompactRecord
from epishot.benchmark.store import RunStore
from epishot.leaderboard.audit_column import audit_anchor

TASK = "synthetic@cells=4,pairs=800"
ROW = Path("records/synthetic-cells4-pairs800/cell")
RUN = ["run", "--task", TASK, "--protocol", "cell", "--shots", "0", "--draws", "1", "--seeds", "1", "--jobs", "1"]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(Path(__file__).with_name("faulty_plugins.py"), tmp_path_factory.mktemp("plugin")))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, plugin: Path) -> Path:
    """A store with two rows, one of them audited by hand on another task, the other by nobody."""
    store = tmp_path_factory.mktemp("made") / "runs"
    method = f"{plugin}:BatchStatistics"
    assert run_app([*RUN, "--methods", "distance", "--method", method, "--store", str(store)]) == 0
    assert run_app(["audit", method, "--task", "synthetic@cells=3,pairs=800", "--store", str(store)]) == 1
    return store


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs"))


def row(board: Path, name: str) -> CompactRecord:
    return CompactRecord.model_validate_json((board / ROW / f"{name}.json").read_bytes())


def publish(store: Path, board: Path) -> None:
    assert run_app(["publish", str(store), "--to", str(board), "--jobs", "1", "--task", TASK]) == 0


def test_an_audit_reaches_its_row_at_once_and_no_other(store: Path) -> None:
    assert row(store / "board", "batch-statistics").audit is not None
    assert row(store / "board", "distance").audit is None
    assert '"audit"' not in (store / "board" / ROW / "distance.json").read_text(), "written as before there were audits"


def test_publish_takes_it_along_and_the_board_shows_it_everywhere(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = tmp_path / "board"
    publish(store, board)
    audit = row(board, "batch-statistics").audit
    assert audit is not None
    assert audit.task == "synthetic-cells3-pairs800"
    text = (board / "LEADERBOARD.md").read_text()
    assert "| [query-independence](AUDITS.md#audit-batch-statistics) |" in text.replace("\\", "")
    assert "| not audited |" in text
    evidence = (board / "AUDITS.md").read_text()
    assert '<a id="audit-batch-statistics"></a>' in evidence
    assert "**fail**" in evidence
    assert "faulty" in evidence
    assert str(tmp_path) not in evidence
    lines = csv.DictReader((board / "leaderboard.csv").open())
    assert {(line["method"], line["audit"]) for line in lines} == {
        ("batch-statistics", "query-independence"),
        ("distance", "not audited"),
        ("ceiling", "–"),
        ("oracle", "–"),
    }
    assert "query-independence" in (board / "leaderboard.html").read_text()
    monkeypatch.setenv("COLUMNS", "200")
    capsys.readouterr()
    assert run_app(["leaderboard", "--board", str(board)]) == 0
    assert "query-independence" in capsys.readouterr().out

    before = {path: path.read_bytes() for path in board.rglob("*") if path.is_file()}
    publish(store, board)
    assert {path: path.read_bytes() for path in board.rglob("*") if path.is_file()} == before
    arguments = ["verify", str(board), "--archive", str(store / "archive"), "--task", TASK, "--jobs", "1"]
    capsys.readouterr()
    assert run_app(arguments) == 0
    assert "the audit is its author's word; `epishot audit batch-statistics" in capsys.readouterr().out

    path = board / ROW / "batch-statistics.json"
    record = json.loads(path.read_text())
    record["audit"]["config"] = '{"width": 3}'
    path.write_text(json.dumps(record))
    assert run_app(arguments) == 1
    assert "its audit is of another method, version or configuration" in capsys.readouterr().out


def test_an_audit_of_another_source_is_not_that_of_the_row(store: Path, plugin: Path) -> None:
    edited = store.parent / plugin.name
    edited.write_text(plugin.read_text().replace("* 1e-3", "* 2e-3") + "\n# edited\n")
    (path,) = (store / "audits" / "batch-statistics").glob("*.json")
    path.unlink()
    run_store = RunStore(store)
    assert attach_audits(run_store, run_store.board) == ["batch-statistics"], "the row's audit is gone"
    method = f"{edited}:BatchStatistics"
    assert run_app(["audit", method, "--task", "synthetic@cells=3,pairs=800", "--store", str(store)]) == 1
    assert row(store / "board", "batch-statistics").audit is None


def test_run_with_audit_audits_on_the_task_that_was_run(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*RUN, "--methods", "distance", "--store", str(store), "--audit"]
    assert run_app(arguments) == 0
    assert "audit of distance on synthetic-cells4-pairs800: pass" in capsys.readouterr().out
    found = row(store / "board", "distance").audit
    assert found is not None
    assert found.task == "synthetic-cells4-pairs800"
    (path,) = (store / "audits" / "distance").glob("*.json")
    stamp = path.stat().st_mtime_ns
    assert run_app(arguments) == 0
    assert path.stat().st_mtime_ns == stamp, "an audit that is there is not made again"


def test_published_records_from_before_audits_are_the_same_bytes() -> None:
    records = sorted((Path(__file__).parents[2] / "leaderboard" / "records").glob("*/*/*.json"))
    assert records
    for path in records:
        record = CompactRecord.model_validate_json(path.read_bytes())
        assert record.audit is not None or compact_json(record) == path.read_bytes(), path


def test_anchors_tell_names_apart() -> None:
    names = ["maml", "maml[a=1]", "maml[a=2]", "maml-a-1", "MAML"]
    assert len({audit_anchor(name) for name in names}) == len(names)
    assert audit_anchor("energy-cmdn") == "audit-energy-cmdn"

"""Publishing: all or nothing, idempotent, refused with reasons, mergeable, recoverable after a kill."""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from epishot.benchmark import replace_files
from epishot.benchmark.archive import file_sha256
from epishot.benchmark.cli import run_app
from epishot.benchmark.compact import read_compact, write_compact
from epishot.benchmark.executor import Executor
from epishot.benchmark.verify_tasks import LocalTasks
from epishot.leaderboard.publish import Publication, PublishRefusedError
from epishot.leaderboard.publish import publish as publish_rows
from epishot.leaderboard.submission import incomplete
from epishot.tasks.errors import EpishotError

TASK = "synthetic@cells=3,pairs=300"
PLACE = Path("records/synthetic-cells3-pairs300/cell")
FAULTY = Path(__file__).parents[1] / "benchmark" / "faulty_methods.py"


def run(store: Path, methods: str, *more: str) -> None:
    base = [
        "run",
        "--task",
        TASK,
        "--protocol",
        "cell",
        "--shots",
        "0,8",
        "--draws",
        "2",
        "--seeds",
        "1",
        "--jobs",
        "1",
    ]
    run_app([*base, "--methods", methods, "--store", str(store), *more])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run store, made once."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    run(folder, "distance,support-ridge")
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs"))


def publish(source: Path, board: Path, *, archive: Path | None = None, methods: tuple[str, ...] = ()) -> Publication:
    console = Console(file=io.StringIO())
    return publish_rows(
        source, board, archive or source / "archive", LocalTasks(), Executor(), console, methods=methods
    )


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edit(path: Path, **update: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | update))


def test_a_store_is_published_once_and_again_changes_nothing(store: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    board.mkdir()
    (board / "LEADERBOARD.md").write_text("# Ours\n\nHand-written.\n")
    (board / "other.py").write_text("code = 1\n")
    first = publish(store, board)
    assert [name.rpartition(" ")[2] for name in first.added] == ["ceiling", "distance", "oracle", "support-ridge"]
    assert first.open_ends == ()
    written = tree(board)
    assert written["other.py"] == b"code = 1\n"
    assert b"Hand-written." in written["LEADERBOARD.md"]
    assert b"support-ridge" in written["LEADERBOARD.md"]
    assert not [name for name in written if "partial" in name or "publishing" in name]
    record = json.loads((board / PLACE / "distance.json").read_text())
    scores = store / "archive" / "synthetic-cells3-pairs300" / "cell" / "distance.scores.parquet"
    assert record["archive_sha256"] == file_sha256(scores)

    stamps = {path: path.stat().st_mtime_ns for path in board.rglob("*")}
    again = publish(store, board)
    assert (again.added, again.replaced, again.files) == ((), (), ())
    assert len(again.unchanged) == 4
    assert tree(board) == written
    assert {path: path.stat().st_mtime_ns for path in board.rglob("*") if path.is_file()}.items() <= stamps.items()


def test_a_submission_folder_gives_the_same_board_as_its_store(store: Path, tmp_path: Path) -> None:
    publish(store, tmp_path / "one")
    folder = tmp_path / "submission"
    publish(store, folder, archive=folder / "archive")
    publish(folder, tmp_path / "two", archive=tmp_path / "scores")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert tree(tmp_path / "scores") == tree(store / "archive")


def test_rows_are_added_one_by_one_and_replaced(store: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    assert len(publish(store, board, methods=("distance",)).added) == 1
    second = publish(store, board, methods=("distance", "support-ridge"))
    assert [name.split()[-1] for name in (*second.unchanged, *second.added)] == ["distance", "support-ridge"]
    edit(store / "board" / PLACE / "distance.json", command="epishot run --suite other")
    assert [name.split()[-1] for name in publish(store, board, methods=("distance",)).replaced] == ["distance"]
    with pytest.raises(EpishotError, match="no row named nobody"):
        publish(store, board, methods=("nobody",))


def refused(source: Path, board: Path) -> str:
    before = tree(board) if board.exists() else {}
    with pytest.raises(PublishRefusedError) as error:
        publish(source, board)
    assert tree(board) == before, "nothing may change"
    return str(error.value)


def test_failed_and_missing_runs_are_refused_with_all_reasons(store: Path, tmp_path: Path) -> None:
    run(store, "distance", "--method", f"{FAULTY}:RaisesLabelled")
    key = json.loads((store / "board" / PLACE / "distance.json").read_text())["run_keys"][0]
    (store / "scores" / "synthetic-cells3-pairs300" / f"{key}.parquet").unlink()
    text = refused(store, tmp_path / "board")
    assert "raises-labelled: S1, labelled natural k=8 failed: " in text
    assert f"distance: its run {key[:12]} is not in the store" in text


def test_a_cell_that_was_not_asked_for_is_a_hole(store: Path, tmp_path: Path) -> None:
    shutil.rmtree(store)
    run(store, "distance", "--cells", "S1,S2")
    assert "distance: S3, none natural k=0 missing: the cell was not asked for" in refused(store, tmp_path / "board")


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [("episode_set", "f" * 64, "episodes"), ("budget", 0.5, "budget"), ("task_hash", "f" * 64, "task rows")],
)
def test_rows_that_cannot_stand_beside_the_published_are_refused(
    field: str, value: object, word: str, store: Path, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    publish(store, board, methods=("support-ridge",))
    (store / "board" / PLACE / "support-ridge.json").unlink()
    for path in (store / "board" / PLACE).glob("*.json"):
        edit(path, **{field: value})
    assert f"not made with the {word} of the row 'support-ridge'" in refused(store, board)


def test_edited_numbers_replicates_scores_and_evaluators_are_refused(store: Path, tmp_path: Path) -> None:
    place, board = store / "board" / PLACE, tmp_path / "board"
    good = (place / "support-ridge.json").read_text()
    record = json.loads(good)
    record["entries"][0]["metrics"]["auroc"] += 1e-6
    (place / "support-ridge.json").write_text(json.dumps(record))
    assert "support-ridge: scores: S1, none natural k=0: auroc is" in refused(store, board)
    edit(place / "support-ridge.json", evaluator="0")
    assert "evaluator 0" in refused(store, board)

    (place / "support-ridge.json").write_text(good)
    shutil.copy(place / "distance.replicates.parquet", place / "support-ridge.replicates.parquet")
    assert "replicates" not in good.split('"entries"')[0]
    assert "not those that the record was written with" in refused(store, board)


def test_a_submission_without_or_with_other_scores_is_refused(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "submission"
    publish(store, folder, archive=folder / "archive")
    scores = folder / "archive" / "synthetic-cells3-pairs300" / "cell"
    shutil.copy(scores / "distance.scores.parquet", scores / "support-ridge.scores.parquet")
    (scores / "distance.scores.parquet").unlink()
    text = refused(folder, tmp_path / "board")
    assert "support-ridge: its full scores are not those" in text
    assert "distance: its full scores are missing" in text


def test_nothing_to_publish_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run_app(["publish", str(tmp_path / "empty"), "--to", str(tmp_path / "board")]) == 2
    assert "has no compact records" in capsys.readouterr().err


def test_two_people_publish_different_methods_and_merge_without_conflict(store: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    board = repository / "leaderboard"

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=repository, capture_output=True, text=True, check=True
        )
        return done.stdout

    repository.mkdir()
    git("init", "-q", "-b", "main")
    publish(store, board, methods=("ceiling",))
    git("add", "-A")
    git("commit", "-qm", "first")
    for branch, method in (("a", "distance"), ("b", "support-ridge")):
        git("checkout", "-q", "-b", branch, "main")
        publish(store, board, methods=(method,))
        git("add", "-A")
        git("commit", "-qm", method)
    git("merge", "-q", "--no-edit", "a")
    assert git("status", "--porcelain") == ""
    assert len(list(board.glob("records/*/*/*.json"))) == 3
    # The generated files hold lines of both sides; from the records they are made again.
    assert run_app(["leaderboard", "--board", str(board)]) == 0
    whole = tmp_path / "whole"
    publish(store, whole, methods=("ceiling", "distance", "support-ridge"))
    assert tree(board) == tree(whole)


def test_a_failure_while_files_are_replaced_puts_everything_back(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = tmp_path / "board"
    publish(store, board, methods=("distance",))
    before = tree(board)
    replace, done = os.replace, []

    def full_disk(source: Path, target: Path) -> None:
        if ".new" in str(source):
            done.append(target)
            if len(done) == 4:
                raise OSError(28, "No space left on device", str(target))
        replace(source, target)

    monkeypatch.setattr(replace_files.os, "replace", full_disk)
    with pytest.raises(EpishotError, match=r"Nothing was published: .*No space left"):
        publish(store, board)
    assert len(done) == 4, "files had been replaced already"
    assert tree(board) == before


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_killed_publisher_is_undone_by_the_next(at: int, tmp_path: Path) -> None:
    board = tmp_path / "board"
    board.mkdir()
    for name in ("a", "b"):
        (board / name).write_text(f"old {name}")
        (tmp_path / f"new-{name}").write_text(f"new {name}")
    (tmp_path / "new-c").write_text("new c")
    before = tree(board)
    script = f"""
import os
from pathlib import Path
from epishot.benchmark import replace_files
replace, done = os.replace, []
def dying(source, target):
    if ".new" in str(source):
        done.append(target)
        if len(done) > {at}:
            os._exit(9)
    replace(source, target)
replace_files.os.replace = dying
board = Path({str(board)!r})
replace_files.replace_files(board, {{board / n: board.parent / f"new-{{n}}" for n in "abc"}})
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    contents = {board / name: tmp_path / f"new-{name}" for name in "abc"}
    if at < 3:
        assert (board / replace_files.JOURNAL).exists()
        with replace_files.exclusively(board):
            assert tree(board) == before
    replace_files.replace_files(board, contents)
    assert tree(board) == {name: f"new {name}".encode() for name in "abc"}


def test_two_publishers_at_a_time_are_refused(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(EpishotError, match="Another process"), replace_files.exclusively(tmp_path):
            raise AssertionError("two at a time")
    finally:
        os.close(handle)
    with replace_files.exclusively(tmp_path):
        pass


def test_published_records_read_like_any_other(store: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    publish(store, board)
    for record, replicates in read_compact(board):
        write_compact(tmp_path / "copy", record, replicates)
    assert tree(tmp_path / "copy" / "records") == tree(board / "records")


def test_predictions_for_some_cells_only_may_be_published_and_a_run_of_some_cells_may_not(store: Path) -> None:
    (record, _), *_ = read_compact(store / "board")
    lacking = [e.model_copy(update={"status": "missing", "reason": "not asked for"}) for e in record.entries]
    partial = record.model_copy(update={"entries": tuple(lacking)})
    assert len(list(incomplete(partial))) == len(lacking)
    external = partial.model_copy(update={"method": record.method.model_copy(update={"kind": "external"})})
    assert list(incomplete(external)) == []

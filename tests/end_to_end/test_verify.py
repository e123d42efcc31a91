"""`epishot verify`: what is true is verified, and every planted lie is caught and named."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from epishot.benchmark.archive import RunPlace, archive_path, read_archive, write_archive
from epishot.benchmark.cli import run_app
from epishot.benchmark.compact import read_compact, replicates_digest, write_compact
from epishot.benchmark.records import CompactRecord
from epishot.benchmark.run_scores import RunScores
from epishot.benchmark.summarise import summarise_method
from epishot.benchmark.verify_scores import conditions_of
from epishot.benchmark.verify_tasks import reference_of
from epishot.tasks.catalog import load_task
from epishot.tasks.episodes import EpisodeSet

TASK, NAME = "synthetic@cells=3,pairs=300", "synthetic-cells3-pairs300"
PLACE = Path("records") / NAME / "cell"
METHOD = "support-ridge"

ALTERED = f'''
from dataclasses import replace
import pyarrow as pa
from epishot.tasks.catalog import load_task

def task():
    honest = load_task("{TASK}")
    label = honest.table["label"].to_numpy().copy()
    label[::20] = 1 - label[::20]
    place = honest.table.column_names.index("label")
    return replace(honest, table=honest.table.set_column(place, honest.table.schema.field(place), pa.array(label)))
'''


BARE = """
from dataclasses import replace
from epishot.tasks.catalog import load_task

def task():
    return replace(load_task("synthetic@cells=3,pairs=800"), references={})
"""


def run_and_publish(folder: Path, task: str, *more: str, run_more: tuple[str, ...] = ()) -> Path:
    store, board = folder / "runs", folder / "board"
    run = ["run", "--task", task, "--protocol", "cell", "--methods", f"distance,{METHOD}", "--shots", "0,8"]
    assert run_app([*run, "--draws", "2", "--seeds", "1", "--jobs", "1", "--store", str(store), *run_more]) == 0
    assert run_app(["publish", str(store), "--to", str(board), "--archive", str(board / "archive"), *more]) == 0
    return board


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_and_publish(tmp_path_factory.mktemp("honest"), TASK)


@pytest.fixture
def board(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "board"))


@pytest.fixture
def verify(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(board: Path, *more: str, code: int = 1) -> str:
        capfd.readouterr()
        assert run_app(["verify", str(board), "--jobs", "1", *more]) == code
        return capfd.readouterr().out

    return call


def edit(board: Path, row: str = METHOD, /, **update: object) -> None:
    path = board / PLACE / f"{row}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | update, indent=1) + "\n")


def renew_files(board: Path) -> None:
    """What a forger would do: make all generated files fit the forged records."""
    assert run_app(["leaderboard", "--board", str(board)]) == 0


def record_of(board: Path, method: str = METHOD) -> CompactRecord:
    return CompactRecord.model_validate_json((board / PLACE / f"{method}.json").read_bytes())


def scores_of(board: Path, method: str = METHOD) -> list[RunScores]:
    return read_archive(archive_path(board / "archive", NAME, "cell", method))


def write_scores(board: Path, runs: list[RunScores], method: str = METHOD) -> str:
    path = archive_path(board / "archive", NAME, "cell", method)
    return write_archive(path, sorted(runs, key=RunPlace.of))


def failures(output: str) -> set[str]:
    """Names of the checks that failed."""
    return {line.split(": ")[1] for line in output.splitlines() if line.startswith("failed: ")}


def test_an_honest_board_is_verified_down_to_the_bits(board: Path, verify: Callable[..., str]) -> None:
    output = verify(board, "--rerun", METHOD, "--sample", "100", "--details", code=0)
    assert failures(output) == set()
    assert "could not" not in output.split("└")[1]
    assert "6 entries computed again" in output
    assert output.count("bit-equal (the same code and versions)") == 1
    assert "LEADERBOARD.md" in output


def test_without_the_archive_it_says_what_it_could_not(board: Path, verify: Callable[..., str]) -> None:
    shutil.rmtree(board / "archive")
    output = verify(board, "--rerun", METHOD, code=0)
    assert "could not: archive: " in output
    assert f"could not: scores: {NAME} cell distance, {NAME} cell {METHOD}: " in output
    assert "could not: rerun: " in output
    # A number in the record alone, or in a file alone, is caught all the same.
    record = record_of(board)
    entries = [entry.model_dump(mode="json") for entry in record.entries]
    entries[0]["metrics"]["corrected"] = 0.9
    edit(board, entries=entries)
    output = verify(board)
    assert failures(output) == {"record", "replicates", "files"}
    assert f"{METHOD}: S1, none natural k=0: raw AUPR" in output


def test_a_headline_that_its_replicates_do_not_allow_is_named(board: Path, verify: Callable[..., str]) -> None:
    shutil.rmtree(board / "archive")
    entries = [entry.model_dump(mode="json") for entry in record_of(board).entries]
    for entry in entries:
        chance = entry["folds"][0]["chance"]
        entry["metrics"] |= {"corrected": 0.95, "aupr": chance + (1 - chance) * 0.95}
    edit(board, entries=entries)
    renew_files(board)
    output = verify(board)
    assert failures(output) == {"replicates"}
    assert "corrected AUPR 0.95 lies outside its own replicates" in output


def test_results_left_out_of_a_record_are_named(board: Path, verify: Callable[..., str]) -> None:
    ((record, replicates),) = [one for one in read_compact(board) if one[0].method.name == METHOD]
    kept = [entry for entry in record.entries if entry.k == 0]
    fewer = replicates[[entry.replicates for entry in kept]]
    update = {
        "entries": tuple(entry.model_copy(update={"replicates": row}) for row, entry in enumerate(kept)),
        "across": tuple(across for across in record.across if across.k == 0),
        "run_keys": (),
        "replicates_sha256": replicates_digest(fewer),
    }
    write_compact(board, record.model_copy(update=update), fewer)
    renew_files(board)
    output = verify(board)
    assert failures(output) == {"scores"}
    assert "the archive holds results that the record leaves out: k=8" in output
    assert "the record names 0 runs" in output


def test_numbers_that_are_none_break_a_record_and_not_the_program(board: Path, verify: Callable[..., str]) -> None:
    edit(board, cost={"fit_s": float("nan")})
    assert "record" in failures(verify(board))


def test_a_hand_edited_number_is_named(board: Path, verify: Callable[..., str]) -> None:
    entries = [entry.model_dump(mode="json") for entry in record_of(board).entries]
    entries[3]["metrics"]["auroc"] += 0.01
    edit(board, entries=entries)
    renew_files(board)
    output = verify(board)
    assert failures(output) == {"scores"}
    assert f"{NAME} cell {METHOD}: {entries[3]['cell']}, labelled natural k={entries[3]['k']}: auroc is" in output


def test_hand_edited_markdown_is_named_by_file_and_line(board: Path, verify: Callable[..., str]) -> None:
    path = board / "LEADERBOARD.md"
    lines = path.read_text().splitlines(keepends=True)
    number = next(i for i, line in enumerate(lines) if "| distance |" in line and "[" in line)
    lines[number] = lines[number].replace("[", "[.9", 1)
    path.write_text("".join(lines))
    (board / "leaderboard.csv").unlink()
    output = verify(board)
    assert failures(output) == {"files"}
    assert f"LEADERBOARD.md: line {number + 1} is not what the records give" in output
    assert "leaderboard.csv: it is missing" in output


def swapped(runs: list[RunScores]) -> list[RunScores]:
    """Scores of S1 and S2 exchanged, as far as they reach."""
    by_place = {RunPlace.of(run): run for run in runs}
    found = []
    for place, run in by_place.items():
        other = by_place[place._replace(cell={"S1": "S2", "S2": "S1"}.get(place.cell, place.cell))]
        wide = np.resize(other.scores, run.scores.shape) if other is not run else run.scores
        found.append(RunScores(run.cell, run.fold, run.seed, run.condition, wide))
    return found


def test_scores_swapped_between_cells_are_named(board: Path, verify: Callable[..., str]) -> None:
    digest = write_scores(board, swapped(scores_of(board, "distance")), "distance")
    output = verify(board)
    assert failures(output) == {"archive", "scores"}
    assert "these are not the scores it was computed from" in output
    edit(board, "distance", archive_sha256=digest)
    renew_files(board)
    output = verify(board)
    assert failures(output) == {"scores"}
    (line,) = [line for line in output.splitlines() if line.startswith("failed: scores")]
    assert "S1, none natural k=0: corrected is" in line
    assert "S3" not in line


def forge(board: Path, scores: Callable[[RunScores], np.ndarray]) -> None:
    """Invent scores, and compute everything else from them as an honest runner would."""
    record = record_of(board)
    task = load_task(TASK)
    runs = [RunScores(r.cell, r.fold, r.seed, r.condition, scores(r)) for r in scores_of(board)]
    summary = summarise_method(
        task,
        EpisodeSet.build(task, "cell", record.shots, record.draws),
        record.method,
        runs,
        conditions=conditions_of(record),
        seeds=(0,),
        overlap=record.overlap,
    )
    kept = ("run_keys", "cost", "command", "commit", "versions", "test_scorings")
    update = {name: getattr(record, name) for name in kept} | {"archive_sha256": write_scores(board, runs)}
    write_compact(board, summary.record.model_copy(update=update), summary.replicates)
    renew_files(board)


def test_whole_rows_computed_from_invented_scores_fall_when_run_again(board: Path, verify: Callable[..., str]) -> None:
    task = load_task(TASK)
    episodes = EpisodeSet.build(task, "cell", (0, 8), 2)

    def oracle(run: RunScores) -> np.ndarray:
        rows = episodes.split(run.cell, run.fold).query_rows
        return np.tile(task.references["oracle"][rows], (run.scores.shape[0], 1))

    forge(board, oracle)
    verify(board, code=0)
    output = verify(board, "--rerun", METHOD, "--sample", "1")
    assert failures(output) == {"rerun"}
    assert "its scores differ by up to" in output


def test_last_digits_of_other_platforms_are_tolerated_and_said(board: Path, verify: Callable[..., str]) -> None:
    forge(board, lambda run: run.scores + 1e-9)
    output = verify(board, "--rerun", METHOD, "--sample", "2", "--details", code=0)
    assert "equal within 1e-06, not in every bit" in output
    forge(board, lambda run: run.scores + 1e-5)
    assert failures(verify(board, "--rerun", METHOD, "--sample", "2")) == {"rerun"}


def test_a_plugin_is_run_again_from_its_owners_file_alone(tmp_path: Path, verify: Callable[..., str]) -> None:
    plugin = f"{Path(__file__).parents[1] / 'benchmark' / 'faulty_methods.py'}:Good"
    board = run_and_publish(tmp_path, TASK, run_more=("--method", plugin))
    output = verify(board, "--rerun", plugin, "--details", code=0)
    assert f"could not: method: {NAME} cell good: no method of that name is registered here" in output
    assert "bit-equal" in output
    assert run_app(["verify", str(board), "--rerun", "good"]) == 2


def test_the_within_cell_oracle_is_verified_like_a_fitted_row(tmp_path: Path, verify: Callable[..., str]) -> None:
    (tmp_path / "bare.py").write_text(BARE)
    bare = f"{tmp_path / 'bare.py'}:task"
    board = run_and_publish(tmp_path, bare, "--task", bare)
    output = verify(board, "--task", bare, "--rerun", "within-cell", "--details", code=0)
    assert "could not" not in output.split("└")[1]
    assert "within-cell, S" in output
    assert "bit-equal" in output


def test_altered_labels_are_named_whatever_hash_is_claimed(tmp_path: Path, verify: Callable[..., str]) -> None:
    (tmp_path / "altered.py").write_text(ALTERED)
    altered = f"{tmp_path / 'altered.py'}:task"
    board = run_and_publish(tmp_path, altered, "--task", altered)
    assert failures(verify(board, "--task", altered, code=0)) == set()
    output = verify(board)
    assert failures(output) == {"task"}
    assert "its rows, labels or card are others" in output

    honest_task = load_task(TASK)
    for method in ("ceiling", "distance", "oracle", METHOD):
        edit(board, method, task_hash=honest_task.content_hash)
    renew_files(board)
    output = verify(board)
    assert failures(output) == {"episodes"}
    assert "foreign episodes" in output

    episodes = EpisodeSet.build(honest_task, "cell", (0, 8), 2)
    for method in ("ceiling", "distance", "oracle", METHOD):
        edit(board, method, episode_set=episodes.hash)
    renew_files(board)
    assert failures(verify(board)) == {"query", "scores"}


def test_a_changed_task_is_named(board: Path, tmp_path: Path, verify: Callable[..., str]) -> None:
    (tmp_path / "altered.py").write_text(ALTERED)
    output = verify(board, "--task", f"{tmp_path / 'altered.py'}:task")
    assert failures(output) == {"task"}
    assert f"recorded {record_of(board).task_hash[:12]}" in output


@pytest.mark.parametrize("update", [{"draws": 3}, {"shots": [0, 8, 16]}, {"episode_set": "0" * 64}])
def test_foreign_episodes_are_named(board: Path, update: dict, verify: Callable[..., str]) -> None:
    for method in ("ceiling", "distance", "oracle", METHOD):
        edit(board, method, **update)
    renew_files(board)
    output = verify(board)
    assert failures(output) == {"episodes"}
    assert "foreign episodes" in output


def test_edited_replicates_are_named(board: Path, verify: Callable[..., str]) -> None:
    ((record, replicates),) = [one for one in read_compact(board) if one[0].method.name == METHOD]
    forged = replicates.copy()
    forged[2] += 0.1
    path = board / PLACE / f"{METHOD}.replicates.parquet"
    flat = pa.FixedSizeListArray.from_arrays(pa.array(forged.reshape(-1)), 1000)
    pq.write_table(pa.table({"entry": pa.array(range(len(forged)), pa.int32()), "replicates": flat}), path)
    output = verify(board)
    assert "replicates" in failures(output)
    assert "another digest" in output

    write_compact(board, record.model_copy(update={"replicates_sha256": replicates_digest(forged)}), forged)
    renew_files(board)
    output = verify(board)
    assert failures(output) == {"replicates", "scores"}
    assert "1000 of its replicates are not what the scores give" in output


def test_facts_of_a_method_and_of_a_reference_are_held_to_what_is_registered(
    board: Path, verify: Callable[..., str]
) -> None:
    edit(board, method=record_of(board).method.model_copy(update={"kind": "method", "marks": ""}).model_dump())
    facts = record_of(board, "oracle").method.model_dump() | {"logits": False}
    edit(board, "oracle", method=facts)
    output = verify(board)
    assert {"method", "files"} <= failures(output)
    assert "kind is 'method', declared is 'control'" in output
    assert "not those of a reference row" in output


@pytest.mark.parametrize("name", ["better", "evil.py:Evil", "../../evil", "os:system"])
def test_records_in_foreign_places_are_named_and_nothing_of_them_is_run(
    name: str, board: Path, tmp_path: Path, verify: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(board)
    (board / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Evil: pass\n")
    facts = record_of(board).method.model_dump() | {"name": name}
    edit(board, method=facts)
    output = verify(board)
    assert "record" in failures(output)
    assert "does not belong into this file" in output
    if ":" in name:
        path = board / "records" / "evil.py:task" / "cell" / f"{name}.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(record_of(board).model_dump(mode="json") | {"task": "evil.py:task"}))
        assert "evil.py:task" in verify(board)
    assert not (tmp_path / "ran").exists()


class Bomb:
    """Leaves a file behind where somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_pickles_are_never_opened(board: Path, tmp_path: Path, verify: Callable[..., str]) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "ran"))
    (board / PLACE / f"{METHOD}.replicates.parquet").write_bytes(bomb)
    archive_path(board / "archive", NAME, "cell", "distance").write_bytes(bomb)
    (board / PLACE / "oracle.json").write_bytes(bomb)
    assert {"record", "replicates", "archive", "scores"} <= failures(verify(board))
    assert not (tmp_path / "ran").exists()
    pickle.loads(bomb)
    assert (tmp_path / "ran").exists(), "the bomb works"


def test_a_task_that_is_not_here_could_not_be_verified(board: Path, verify: Callable[..., str]) -> None:
    for method in ("ceiling", "distance", "oracle", METHOD):
        edit(board, method, task="elsewhere")
    (board / PLACE).parent.rename(board / "records" / "elsewhere")
    renew_files(board)
    output = verify(board, code=0)
    assert "could not: task: " in output
    assert "no task 'elsewhere' is registered here" in output
    assert "could not: scores: " in output


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--rerun", "nobody"], "No verifiable row is called 'nobody'"),
        (["--rerun", "oracle"], "no method to run again"),
        (["--rerun", METHOD, "--sample", "0"], "--sample 0"),
        (["--archive", "nowhere"], "There is no folder nowhere"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    board: Path, more: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_app(["verify", str(board), *more]) == 2
    assert message in capfd.readouterr().err
    assert run_app(["verify", str(board / "archive")]) == 2


def test_names_of_generated_tasks_lead_back_to_their_reference() -> None:
    assert reference_of(NAME) == TASK
    assert reference_of("synthetic-null-seed2-cells24") == "synthetic-null@seed=2,cells=24"
    assert reference_of("bengi") == "bengi"
    for name in ("evil.py:task", "../x", "synthetic-sead2", "synthetic-seed2x", "bengi-seed2", "nothing"):
        assert reference_of(name) is None

"""External rows: the same numbers as a method with the same scores, and nothing decided behind the user's back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epishot.benchmark.archive import RunPlace, archive_path, read_archive, write_archive
from epishot.benchmark.cli import run_app
from epishot.benchmark.compact import read_compact
from epishot.benchmark.external import summarise_external
from epishot.benchmark.external_prepare import ExternalOptions, Scale, prepare_scores
from epishot.benchmark.external_table import read_predictions
from epishot.benchmark.records import AcrossEntry, CompactRecord
from epishot.benchmark.reference_rows import REFERENCE_CONDITION, reference_facts
from epishot.benchmark.run_scores import RunScores
from epishot.benchmark.summarise import Summary, summarise_method
from epishot.leaderboard.board import Loaded, build_board
from epishot.tasks.catalog import load_task
from epishot.tasks.episodes import EpisodeSet
from epishot.tasks.errors import EpishotError
from epishot.tasks.task import Task

TASK = "synthetic@cells=3,pairs=300"
EXACT = {"rel": 0, "abs": 1e-12}


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task(TASK)


@pytest.fixture(scope="module")
def episodes(task: Task) -> EpisodeSet:
    return EpisodeSet.build(task, "cell", (0, 8), 2)


@pytest.fixture
def write(task: Task, tmp_path: Path) -> Callable[..., Path]:
    """Write a score per task row as predictions by pair id, with some rows left out."""

    def make(score: np.ndarray, rows: np.ndarray | slice = slice(None)) -> Path:
        frame = pd.DataFrame({"pair_id": task.table["pair_id"].to_pandas(), "pred": score})
        path = tmp_path / "model.tsv"
        frame.iloc[rows].to_csv(path, sep="\t", index=False)
        return path

    return make


def score_file(task: Task, episodes: EpisodeSet, path: Path, **options: object) -> Summary:
    chosen = ExternalOptions(**options)  # type: ignore[arg-type]
    prepared = prepare_scores(task, episodes, read_predictions(path, {}), {}, chosen)
    return summarise_external(task, episodes, prepared, "model", chosen, replicates=10)


def direct(task: Task, episodes: EpisodeSet, score: np.ndarray, *, logits: bool) -> Summary:
    """The same scores as the runs of a zero-shot method."""
    facts = reference_facts("x").model_copy(update={"logits": logits})
    runs = [
        RunScores(split.cell, split.fold, 0, REFERENCE_CONDITION, score[split.query_rows][None])
        for split in episodes.splits
    ]
    conditions = (REFERENCE_CONDITION,)
    return summarise_method(task, episodes, facts, runs, conditions=conditions, seeds=(0,), replicates=10)


def same_numbers(one: CompactRecord, other: CompactRecord) -> None:
    assert [e.cell for e in one.entries] == [e.cell for e in other.entries]
    for mine, theirs in zip((*one.entries, *one.across), (*other.entries, *other.across), strict=True):
        known = {name: value for name, value in theirs.metrics.items() if value is not None}
        assert {name: value for name, value in mine.metrics.items() if value is not None} == pytest.approx(
            known, **EXACT
        )
        assert "aupr" in known or isinstance(mine, AcrossEntry)
        assert mine.reasons == theirs.reasons


def notes(summary: Summary) -> str:
    assert summary.record.external is not None
    return "; ".join(summary.record.external.notes)


@pytest.mark.parametrize(("scale", "logits"), [(Scale.RANKS, False), (Scale.LOGITS, True)])
def test_a_row_has_the_numbers_of_a_method_with_the_same_scores(
    task: Task, episodes: EpisodeSet, write: Callable[..., Path], scale: Scale, logits: bool
) -> None:
    score = np.random.default_rng(0).normal(size=len(task)).round(1) + task.columns.label
    path = write(score, np.random.default_rng(1).permutation(len(task)))
    summary = score_file(task, episodes, path, scale=scale)
    other = direct(task, episodes, score, logits=logits)
    same_numbers(summary.record, other.record)
    assert np.array_equal(summary.replicates, other.replicates)
    assert summary.record.method.kind == "external"
    assert notes(summary) == ""


def test_probabilities_become_logits_and_others_are_no_probabilities(
    task: Task, episodes: EpisodeSet, write: Callable[..., Path]
) -> None:
    probability = np.random.default_rng(0).uniform(0.1, 0.6, len(task)) + 0.3 * task.columns.label
    summary = score_file(task, episodes, write(probability), scale=Scale.PROBABILITIES)
    same_numbers(summary.record, direct(task, episodes, np.log(probability / (1 - probability)), logits=True).record)
    query = np.concatenate([split.query_rows for split in episodes.splits])
    cell = task.columns.cell == 0
    own = query[cell[query]]
    brier = np.mean((probability[own] - task.columns.label[own]) ** 2)
    assert summary.record.entries[0].metrics["brier"] == pytest.approx(brier, abs=1e-9)
    with pytest.raises(EpishotError, match="no probabilities"):
        score_file(task, episodes, write(2 * probability), scale=Scale.PROBABILITIES)


def test_missing_pairs_are_refused_or_filled_and_counted(
    task: Task, episodes: EpisodeSet, write: Callable[..., Path]
) -> None:
    score = task.columns.label + np.random.default_rng(0).normal(size=len(task))
    query = np.concatenate([split.query_rows for split in episodes.splits])
    path = write(score, np.setdiff1d(np.arange(len(task)), query[::7]))
    lost = len(query[::7])
    with pytest.raises(EpishotError, match=rf"{lost:,} of {query.size:,} query pairs have no prediction.*--fill"):
        score_file(task, episodes, path)
    summary = score_file(task, episodes, path, fill=-9)
    filled = score.copy()
    filled[query[::7]] = -9
    same_numbers(summary.record, direct(task, episodes, filled, logits=False).record)
    assert f"{lost:,} of {query.size:,} query pairs had no prediction and score -9" in notes(summary)
    assert summary.record.external is not None
    assert (summary.record.external.missing, summary.record.external.fill) == (lost, -9.0)


def test_cells_that_were_not_predicted_may_be_left_out_but_then_there_is_no_macro(
    task: Task, episodes: EpisodeSet, write: Callable[..., Path]
) -> None:
    score = np.random.default_rng(0).normal(size=len(task))
    path = write(score, np.flatnonzero(task.columns.cell != 1))
    with pytest.raises(EpishotError, match=r"--cells S1,S3"):
        score_file(task, episodes, path)
    summary = score_file(task, episodes, path, cells=("S1", "S3"))
    assert [entry.status for entry in summary.record.entries] == ["ok", "missing", "ok"]
    full = direct(task, episodes, score, logits=False)
    (table,) = build_board([Loaded(summary.record, summary.replicates), Loaded(full.record, full.replicates)]).tables
    macro = {row.name: row.macro for row in table.rows}
    assert macro["model"] is None
    assert macro["x"] is not None


def test_the_wrong_direction_is_said_and_never_turned_round(
    task: Task, episodes: EpisodeSet, write: Callable[..., Path]
) -> None:
    score = task.columns.label + np.random.default_rng(0).normal(size=len(task))
    wrong = score_file(task, episodes, write(-score))
    same_numbers(wrong.record, direct(task, episodes, -score, logits=False).record)
    assert "AUROC is below 0.5 (S1, S2, S3)" in notes(wrong)
    right = score_file(task, episodes, write(-score), inverse=True)
    same_numbers(right.record, direct(task, episodes, score, logits=False).record)
    assert "negated" in notes(right)
    assert "AUROC" not in notes(right)


def test_hard_labels_are_said(task: Task, episodes: EpisodeSet, write: Callable[..., Path]) -> None:
    assert "2 distinct values" in notes(score_file(task, episodes, write(task.columns.label.astype(float))))


def test_external_rows_are_compared_like_methods_whatever_the_training_budget(
    task: Task, episodes: EpisodeSet, write: Callable[..., Path]
) -> None:
    rng = np.random.default_rng(0)
    good = score_file(task, episodes, write(task.columns.label + 0.1 * rng.normal(size=len(task))))
    control = direct(task, episodes, rng.normal(size=len(task)), logits=False)
    facts = control.record.method.model_copy(update={"kind": "control", "name": "coin"})
    record = control.record.model_copy(update={"method": facts, "budget": 0.2})
    (table,) = build_board([Loaded(good.record, good.replicates), Loaded(record, control.replicates)]).tables
    row = {row.name: row for row in table.rows}["model"]
    assert (row.kind, row.group, row.beats_control) == ("external", 1, True)


# --- the command line


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run store with `distance` on its board."""
    folder = tmp_path_factory.mktemp("score")
    grid = ["--protocol", "cell", "--methods", "distance", "--shots", "0,8", "--draws", "2", "--seeds", "1"]
    assert run_app(["run", "--task", TASK, *grid, "--store", str(folder)]) == 0
    return folder


def score(path: Path, board: Path, *more: str) -> int:
    arguments = ["score", str(path), "--task", TASK, "--protocol", "cell", "--store", str(board), *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["epishot", *arguments])
        return run_app(arguments)


def records(board: Path) -> dict[str, CompactRecord]:
    return {record.method.name: record for record, _ in read_compact(board / "board")}


def test_one_over_distance_scored_from_a_file_is_the_distance_control(
    task: Task, board: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frame = task.table.drop_columns(["features"]).to_pandas()
    path = tmp_path / "other.csv.gz"
    pd.DataFrame(
        {
            "Cell": frame["cell"],
            "chr": frame["enhancer_chrom"].str.removeprefix("chr"),
            "start": frame["enhancer_start"],
            "end": frame["enhancer_end"],
            "Target": frame["gene_symbol"],
            "Transcript": frame["transcript_id"],
            "my score": 1 / frame["distance"],
        }
    ).to_csv(path, index=False)
    assert score(path, board, "--name", "by-hand", "--columns", "score=my score,gene=Target") == 0
    out = capfd.readouterr().out
    assert "joined by enhancer + gene + cell" in out
    found = records(board)
    mine, theirs = found["by-hand"], found["distance"]
    same_numbers(mine, theirs)
    assert (mine.episode_set, mine.shots, mine.draws) == (theirs.episode_set, theirs.shots, theirs.draws)
    assert mine.external is not None
    assert mine.external.file == "other.csv.gz"
    assert mine.command.startswith("epishot score other.csv.gz --task")
    assert str(tmp_path) not in mine.model_dump_json()
    # Its full scores are kept, so that its numbers can be computed again.
    runs = read_archive(archive_path(board / "archive", task.card.name, "cell", "by-hand"))
    assert sum(run.scores.size for run in runs) == mine.external.query
    # At every k the row stands with its zero-shot result, next to the others.
    lines = json.loads((board / "board" / "leaderboard.json").read_text())["rows"]
    rows = {(line["k"], line["method"], line["kind"]) for line in lines}
    assert {(0, "by-hand", "external"), (0, "distance", "control")} <= rows


def test_scoring_again_is_idempotent_and_another_file_needs_a_word(
    task: Task, board: Path, write: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(np.random.default_rng(0).normal(size=len(task)))
    assert score(path, board) == 0
    first = records(board)["model"]
    assert score(path, board) == 0
    assert records(board)["model"] == first
    write(np.random.default_rng(1).normal(size=len(task)))
    assert score(path, board) == 2
    assert "--replace" in capfd.readouterr().err
    assert records(board)["model"] == first
    assert score(path, board, "--replace") == 0
    assert records(board)["model"].test_scorings == 2 * first.test_scorings


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--name", "../up"], "cannot name a row"),
        (["--name", "a b"], "cannot name a row"),
        (["--name", "<b>"], "cannot name a row"),
        (["--name", "protonet"], "registered method"),
        (["--name", "Distance"], "registered method"),
        (["--name", "ceiling"], "reference row"),
        (["--columns", "score=prde"], "Did you mean 'pred'"),
        (["--columns", "score"], "meaning=column"),
        (["--conflicts", "median"], "Known: refuse, max, mean, min"),
        (["--scale", "probability"], "Did you mean 'probabilities'"),
        (["--fill", "nan"], "finite"),
        (["--cells", "HeLa"], "no cell 'HeLa'"),
        (["--protocol", "chrom"], "no protocol"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_sentence_and_write_nothing(
    task: Task, board: Path, write: Callable[..., Path], capfd: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    before = sorted(board.rglob("*"))
    assert score(write(np.zeros(len(task))), board, "--name", "fresh", *more) == 2
    err = capfd.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert sorted(board.rglob("*")) == before


def test_rows_of_other_episodes_are_not_joined(
    task: Task, board: Path, write: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record, replicates = next(one for one in read_compact(board / "board") if one[0].method.name == "distance")
    path = tmp_path / "board" / "records" / record.task / "cell" / "distance.json"
    path.parent.mkdir(parents=True)
    for update, said in (
        ({"task_hash": "0" * 64}, "other rows of the task"),
        ({"evaluator": "0"}, "another version of the evaluator"),
        ({"draws": 3}, "cannot be derived again"),
        ({"shots": ()}, "cannot be derived again"),
    ):
        path.write_text(record.model_copy(update=update).model_dump_json())
        assert score(write(np.zeros(len(task))), board, "--board", str(tmp_path / "board")) == 2
        assert said in capfd.readouterr().err
    assert replicates.size


def test_a_published_external_row_is_computed_again_and_swapped_scores_are_caught(
    task: Task, board: Path, write: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert score(write(task.columns.label.astype(float)), board, "--name", "oracle-like", "--inverse") == 0
    published, archive = str(tmp_path / "published"), str(tmp_path / "scores")
    to = ["--to", published, "--archive", archive, "--task", TASK, "--jobs", "1"]
    assert run_app(["publish", str(board), *to, "--methods", "oracle-like"]) == 0
    verify = ["verify", published, "--archive", archive, "--task", TASK, "--jobs", "1", "--details"]
    assert run_app(verify) == 0
    assert "entries computed again" in capfd.readouterr().out
    path = archive_path(Path(archive), task.card.name, "cell", "oracle-like")
    runs = sorted(read_archive(path), key=RunPlace.of)
    write_archive(path, [replace(run, scores=-run.scores) for run in runs])
    assert run_app(verify) == 1
    assert "oracle-like" in capfd.readouterr().out


def test_a_fresh_store_scores_on_the_episodes_of_the_published_board(
    task: Task, board: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write(task.columns.distance)
    assert score(path, tmp_path / "fresh", "--beside", str(board / "board")) == 0
    assert records(tmp_path / "fresh")["model"].episode_set == records(board)["distance"].episode_set
    assert score(path, tmp_path / "alone", "--beside", str(tmp_path / "nothing")) == 0
    assert records(tmp_path / "alone")["model"].episode_set != records(board)["distance"].episode_set


@pytest.mark.realdata
def test_one_over_distance_on_bengi_as_transepi_writes_it_is_the_distance_control(
    data_mirror: Path, tmp_path: Path
) -> None:
    task = load_task("bengi")
    episodes = EpisodeSet.build(task, "cell+chrom", (0,), 1)
    frame = task.table.drop_columns(["features"]).to_pandas()
    place = (
        frame["enhancer_chrom"] + ":" + frame["enhancer_start"].astype(str) + "-" + frame["enhancer_end"].astype(str)
    )
    tss = frame["promoter_chrom"] + ":" + frame["promoter_start"].astype(str) + "-" + frame["promoter_end"].astype(str)
    path = tmp_path / "transepi.prediction.txt"
    with path.open("w") as stream:
        stream.write("##command: evaluate_model.py\n#")
        pd.DataFrame(
            {
                "true": frame["label"],
                "pred": 1 / frame["distance"],
                "chrom": frame["enhancer_chrom"],
                "enh_name": place + "|" + frame["cell"] + "|" + frame["enhancer_id"],
                "prom_name": tss.str.cat(
                    [frame["cell"], frame["gene_id"], frame["transcript_id"], frame["promoter_strand"]], sep="|"
                ),
            }
        ).sample(frac=1, random_state=0).to_csv(stream, sep="\t", index=False)
    summary = score_file(task, episodes, path)
    same_numbers(summary.record, direct(task, episodes, -task.columns.distance, logits=False).record)
    facts = summary.record.external
    assert facts is not None
    assert facts.joined_by == "enhancer + gene + cell + transcript"
    assert (facts.matched, facts.query, facts.missing, facts.other_labels) == (len(task), len(task), 0, 0)

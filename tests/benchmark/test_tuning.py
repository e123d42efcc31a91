"""Tuning: the planted setting is chosen, without the held-out cell's labels, once, and everybody is told."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from epishot.benchmark.cli import run_app
from epishot.benchmark.compact import read_compact
from epishot.benchmark.described import describe, locate
from epishot.benchmark.executor import Executor
from epishot.benchmark.inner_selection import InnerFit, inner_job
from epishot.benchmark.plan import make_plan
from epishot.benchmark.prepare import prepare_fit
from epishot.benchmark.runner import PartResult, RunOptions, prepare_part, run_suite
from epishot.benchmark.specs import MethodSpec, Suite, SuitePart
from epishot.benchmark.store import RunStore
from epishot.benchmark.tuned import Tuned, best_setting, config_of_cell, setting_text, tuned_in, with_tuned
from epishot.benchmark.tuning import Tuning, choose_settings, plan_tuning
from epishot.leaderboard.config_notes import config_notes
from epishot.tasks.catalog import load_task
from epishot.tasks.episodes import EpisodeSet
from epishot.tasks.errors import EpishotError, MethodError
from epishot.tasks.task import Task

METHODS = Path(__file__).with_name("tunable_methods.py")
TASK = "synthetic@cells=3,pairs=500"
CELLS = ("S1", "S2", "S3")


def spec(name: str, overrides: str = "{}") -> MethodSpec:
    return MethodSpec(f"{METHODS}:{name}", overrides)


def part(*methods: MethodSpec, **changes: object) -> SuitePart:
    arguments: dict = {"task": TASK, "protocol": "cell", "shots": (0, 8), "draws": 2, "seeds": 1, "tune": True}
    return SuitePart(methods=methods, **{**arguments, **changes})


def run(folder: Path, *parts: SuitePart) -> list[PartResult]:
    console = Console(file=io.StringIO())
    return run_suite(Suite("test", "1", parts), folder, None, RunOptions(jobs=2, timeout_s=120), console)


def tuning_of(asked: SuitePart, task: Task, store: RunStore) -> Tuning:
    episodes = EpisodeSet.build(task, asked.protocol, asked.episode_shots, asked.draws)
    methods = [describe(locate(one)) for one in asked.methods]
    return plan_tuning(asked, task, episodes, methods, store, Executor(1))


def chosen(asked: SuitePart, task: Task, folder: Path) -> Tuned:
    store = RunStore(folder)
    tuning = choose_settings(tuning_of(asked, task, store), asked.budget, store, Executor(1), lambda fit: None)
    found = tuning.methods[0].tuned
    assert found is not None
    return found


def with_labels(task: Task, rows: np.ndarray, *, missing: bool = False) -> Task:
    """The labels of `rows` turned round, or taken away."""
    label = task.table["label"].to_numpy().astype(object)
    label[rows] = None if missing else 1 - label[rows]
    place = task.table.schema.get_field_index("label")
    table = task.table.set_column(place, task.table.schema.field("label"), pa.array(label, pa.int8()))
    return dataclasses.replace(task, table=table)


# What is chosen


def test_the_planted_setting_is_chosen_for_every_cell_and_the_earlier_of_equals(tmp_path: Path) -> None:
    tuned = chosen(part(spec("Planted")), load_task(TASK), tmp_path)
    assert [tuned.cells[cell].setting for cell in CELLS] == [{"sign": -1.0}] * 3
    for held_out, choice in tuned.cells.items():
        far, none, near, nearer = choice.scores
        assert near == nearer > none
        assert near > far
        assert choice.inner in set(CELLS) - {held_out}


def test_few_shot_methods_are_chosen_by_the_mean_over_the_runs_shots(tmp_path: Path) -> None:
    task = load_task(TASK)
    zero = chosen(part(spec("OnlyWithLabels"), shots=(0,)), task, tmp_path)
    few = chosen(part(spec("OnlyWithLabels")), task, tmp_path)
    with_support = chosen(part(spec("OnlyWithLabels"), shots=(8,)), task, tmp_path)
    for cell in CELLS:
        assert zero.cells[cell].setting == {"sign": 1.0}
        assert few.cells[cell].setting == with_support.cells[cell].setting == {"sign": -1.0}
        both = (zero.cells[cell].scores[1], with_support.cells[cell].scores[1])
        assert few.cells[cell].scores[1] == pytest.approx(np.mean(both), abs=2e-6)


def test_labels_of_the_held_out_cell_change_no_choice_and_no_score(tmp_path: Path) -> None:
    task = load_task(TASK)
    asked = part(spec("Follows"))
    flipped = with_labels(task, task.cell_rows("S1"))
    before, after = chosen(asked, task, tmp_path), chosen(asked, flipped, tmp_path)
    assert after.cells["S1"] == before.cells["S1"]
    others = [(before.cells[cell], after.cells[cell]) for cell in ("S2", "S3")]
    assert all(one != other for one, other in others), "the comparison can fail: S1 trains or judges for the others"


@pytest.mark.parametrize("protocol", ["cell", "cell+chrom"])
def test_choosing_fits_see_neither_cell_nor_the_folds_chromosomes(protocol: str, tmp_path: Path) -> None:
    task = load_task(TASK)
    tuning = tuning_of(part(spec("Follows"), protocol=protocol), task, RunStore(tmp_path))
    assert tuning.episodes is not None
    assert len(tuning.missing) == 3 * 2
    chrom, cell = task.columns.chrom, task.columns.cell
    for fit in tuning.missing:
        one = fit.identity
        inner = InnerFit(0, one.held_out, one.inner, one.seed)
        job = inner_job(task, tuning.episodes, fit.setting, inner, one.fold, one.shots, 1.0)
        query = tuning.episodes.split(one.inner, 0).query_rows
        allowed = ~np.isin(cell, [task.cell_code(one.held_out), task.cell_code(one.inner)])
        allowed &= ~np.isin(chrom, chrom[query])
        # Distances are nearly all different: they tell which rows were handed over.
        assert job.train.pairs.distance is not None
        assert set(job.train.pairs.distance) <= set(task.columns.distance[allowed])
        assert job.train.n_cells == 1


def test_a_cell_whose_absence_leaves_nothing_to_train_on_judges_nobody(tmp_path: Path) -> None:
    task = load_task(TASK)
    split = EpisodeSet.build(task, "cell+chrom", (0, 8), 2).split("S3", 0)
    elsewhere = np.setdiff1d(task.cell_rows("S3"), split.query_rows)
    tuned = chosen(part(spec("Planted")), with_labels(task, elsewhere, missing=True), tmp_path)
    assert tuned.cells["S1"].inner == tuned.cells["S2"].inner == "S3"


def test_both_protocols_choose_alike_by_the_same_fits(tmp_path: Path) -> None:
    loose, strict = run(tmp_path, part(spec("Planted")), part(spec("Planted"), protocol="cell+chrom"))
    assert (loose.tuning_fits, strict.tuning_fits) == (12, 0)
    assert loose.plan.methods[0].tuned == strict.plan.methods[0].tuned


# What is run, kept and said


def test_every_fold_and_seed_runs_the_chosen_setting_and_the_record_says_so(tmp_path: Path) -> None:
    (result,) = run(tmp_path, part(spec("Planted"), spec("Planted", '{"sign": -1.0}'), protocol="cell+chrom"))
    assert not result.failed
    plan, store = result.plan, RunStore(tmp_path)
    for fit in plan.fits:
        assert prepare_fit(plan, fit, fit.runs).job.arguments == {"sign": -1.0}
        record = store.find(fit.runs[0].identity.task, fit.runs[0].key)
        assert record is not None
        tuned = tuned_in(record.identity.config)
        if fit.method.name == "planted":
            assert tuned is not None
            assert tuned.cells[fit.spec.cell].setting == {"sign": -1.0}
            assert len(tuned.cells[fit.spec.cell].scores) == len(tuned.settings) == 4
            assert set(tuned.cells) == {fit.spec.cell}, "a run is identified by the choice of its own cell alone"
        else:
            assert tuned is None, "options given by hand are not tuned"
    rows = {record.method.name: record for record, _ in read_compact(tmp_path / "board")}
    assert config_notes(rows["planted"].method) == ("tuned: sign=-1 (S1, S2, S3)",)
    assert config_notes(rows["planted[sign=-1.0]"].method) == ()
    corrected = [[entry.metrics["corrected"] for entry in row.entries] for row in rows.values() if row.run_keys]
    assert corrected[0] == corrected[1]


def test_a_second_run_fits_nothing_and_another_budget_chooses_anew(tmp_path: Path) -> None:
    (first,) = run(tmp_path, part(spec("Planted")))
    (second,) = run(tmp_path, part(spec("Planted")))
    assert (first.tuning_fits, first.cached, second.tuning_fits, second.computed) == (12, 0, 0, 0)
    (other,) = run(tmp_path, part(spec("Planted"), budget=0.5))
    assert other.tuning_fits == 12


def test_interrupted_choosing_goes_on_where_it_stopped(tmp_path: Path) -> None:
    store, task, asked = RunStore(tmp_path), load_task(TASK), part(spec("Planted"))

    def stop(fit: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        choose_settings(tuning_of(asked, task, store), 1.0, store, Executor(1), stop)
    assert len(tuning_of(asked, task, store).missing) == 11


def test_one_cell_is_tuned_for_itself_and_stays_when_others_follow(tmp_path: Path) -> None:
    (one,) = run(tmp_path, part(spec("Planted"), cells=("S2",)))
    assert (one.tuning_fits, one.computed) == (4, 2)
    (everything,) = run(tmp_path, part(spec("Planted")))
    assert (everything.tuning_fits, everything.cached, everything.computed) == (8, 2, 4)
    (again,) = run(tmp_path, part(spec("Planted"), cells=("S2",)))
    assert (again.tuning_fits, again.computed) == (0, 0)
    (row,) = [record for record, _ in read_compact(tmp_path / "board") if record.method.name == "planted"]
    assert config_notes(row.method) == ("tuned: sign=-1 (S1, S2, S3)",)
    assert {entry.status for entry in row.entries} == {"ok"}


def test_without_tuning_the_default_runs_under_its_old_identity(tmp_path: Path) -> None:
    (result,) = run(tmp_path, part(spec("Planted"), tune=False))
    assert result.tuning_fits == 0
    assert {run.identity.config for fit in result.plan.fits for run in fit.runs} == {'{"sign": 1.0}'}
    plan = result.plan
    assert prepare_fit(plan, plan.fits[0], plan.fits[0].runs).job.arguments == {}


def test_with_two_cells_the_default_runs_and_the_record_says_why(tmp_path: Path) -> None:
    (result,) = run(tmp_path, part(spec("Planted"), task="synthetic@cells=2,pairs=500"))
    assert (result.tuning_fits, result.failed) == (0, [])
    plan = result.plan
    assert prepare_fit(plan, plan.fits[0], plan.fits[0].runs).job.arguments == {"sign": 1.0}
    (note,) = config_notes(plan.methods[0].facts)
    assert note == "not tuned, default settings (S1, S2): no training cell could be left out to choose on"


def test_a_setting_that_fails_is_out_and_if_all_do_the_default_runs(tmp_path: Path) -> None:
    task = load_task(TASK)
    some = chosen(part(spec("SomeFail")), task, tmp_path).cells["S1"]
    assert some.scores[1] is None
    assert some.setting == {"sign": 1.0}
    none = chosen(part(spec("AllFail")), task, tmp_path).cells["S1"]
    assert none.scores == (None,) * 4
    assert none.why is not None
    assert "every setting failed on S2: fit: RuntimeError: no way" in none.why
    # A fit that failed is tried again.
    assert len(tuning_of(part(spec("AllFail")), task, RunStore(tmp_path)).missing) == 12


def test_a_dry_run_counts_the_fits_that_choose_and_the_budget(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["run", "--task", TASK, "--protocol", "cell", "--method", f"{METHODS}:Planted", "--shots", "0,8"]
    command += ["--draws", "2", "--seeds", "1", "--budget", "0.5", "--store", str(tmp_path), "--dry-run"]
    assert run_app(command) == 0
    said = capsys.readouterr().out
    assert "12 fits choose settings on inner training cells first" in said
    assert "Budget of every fit: 0.5 x the default training steps of its method." in said
    assert run_app([*command, "--no-tune"]) == 0
    assert "choose settings" not in capsys.readouterr().out
    assert not (tmp_path / "inner").exists()


def test_a_suite_says_itself_whether_it_tunes(capsys: pytest.CaptureFixture) -> None:
    assert run_app(["run", "--suite", "demo", "--no-tune"]) == 2
    assert "leave out --no-tune" in capsys.readouterr().err


def test_the_plan_before_choosing_takes_no_untuned_run_for_a_tuned_one(tmp_path: Path) -> None:
    run(tmp_path, part(spec("Planted"), tune=False))
    prepared = prepare_part(part(spec("Planted")), RunStore(tmp_path), Executor(1))
    assert sum(len(one.runs) for one in prepared.missing) == prepared.plan.n_runs
    assert len(prepared.tuning.missing) == 12


# The section of a configuration


GRID = ({"a": 1}, {"a": 2})


def test_a_choice_that_its_scores_do_not_give_is_refused() -> None:
    good = Tuned(settings=GRID, cells={"X": {"setting": {"a": 2}, "inner": "Y", "scores": (0.1, 0.2)}})
    config = with_tuned('{"a": 1}', good)
    assert tuned_in(config) == good
    assert tuned_in('{"a": 1}') is None
    for lie in (config.replace('"setting": {"a": 2}', '"setting": {"a": 1}'), config.replace("0.2", "0.05")):
        assert lie != config
        with pytest.raises(EpishotError, match="not the one that its scores give"):
            tuned_in(lie)
    with pytest.raises(EpishotError, match="X has 1 scores of 2 settings"):
        tuned_in(config.replace("[0.1, 0.2]", "[0.2]"))


def test_the_configuration_of_a_run_names_its_own_cell() -> None:
    cells = {name: {"setting": {"a": 1}, "inner": "Y", "scores": (0.2, 0.2)} for name in ("X", "Z")}
    config = with_tuned('{"a": 1}', Tuned(settings=GRID, cells=cells))
    found = tuned_in(config_of_cell(config, "Z"))
    assert found is not None
    assert set(found.cells) == {"Z"}
    assert config_of_cell('{"b":  3}', "Z") == '{"b":  3}', "of a row that is not tuned, to the byte"


def test_another_grid_than_the_declared_one_is_not_taken_over() -> None:
    method = describe(locate(spec("Planted")))
    with pytest.raises(MethodError, match="does not declare the grid"):
        method.as_tuned(Tuned(settings=GRID))


def test_ties_go_to_the_earlier_setting() -> None:
    assert best_setting([0.1, 0.3, 0.3, 0.2]) == 1
    assert best_setting([None, 0.0, None]) == 1
    assert best_setting([None, None]) is None
    assert best_setting([]) is None


def test_settings_in_words() -> None:
    assert setting_text({}) == "default"
    assert setting_text({"C": 1.0, "hidden": [32, 32]}) == "C=1, hidden=[32, 32]"


# Published rows


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    command = ["run", "--task", TASK, "--protocol", "cell", "--methods", "pooled-logistic-rank,distance"]
    command += ["--shots", "0", "--draws", "1", "--seeds", "1", "--store", str(folder / "runs")]
    assert run_app(command) == 0
    archive = ["--archive", str(folder / "archive")]
    assert run_app(["publish", str(folder / "runs"), "--to", str(folder / "board"), *archive]) == 0
    return folder


def test_a_published_tuned_row_says_it_and_is_verified_without_choosing_again(
    published: Path, capsys: pytest.CaptureFixture
) -> None:
    board = published / "board"
    text = (board / "LEADERBOARD.md").read_text(encoding="utf-8")
    assert "Row pooled-logistic-rank: tuned: C=" in text
    assert "Every fit, of every row that was run here, has the budget 1 x" in text
    command = ["verify", str(board), "--archive", str(published / "archive")]
    assert run_app([*command, "--rerun", "pooled-logistic-rank", "--sample", "3", "--details"]) == 0
    said = capsys.readouterr().out
    assert said.count("bit-equal (the same code and versions)") >= 1
    assert "could not: rerun" not in said


def test_verify_refuses_a_choice_that_contradicts_its_scores(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    name = "pooled-logistic-rank.json"
    place = next((published / "board").rglob(name))
    for path in (place, place.with_name("pooled-logistic-rank.replicates.parquet")):
        target = tmp_path / path.relative_to(published / "board")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    copy = next(tmp_path.rglob(name))
    record = json.loads(copy.read_text())
    config = json.loads(record["method"]["config"])
    section = config["tuned per held-out cell"]["cells"]["S1"]
    section["scores"] = [*section["scores"][::-1][:3], 0.999999]
    record["method"]["config"] = json.dumps(config, sort_keys=True)
    copy.write_text(json.dumps(record))
    capsys.readouterr()
    assert run_app(["verify", str(tmp_path)]) == 1
    assert "is not the one that its scores give" in capsys.readouterr().out.replace("\n", " ")


def test_the_plan_of_a_published_row_has_its_settings(published: Path) -> None:
    (record,) = [r for r, _ in read_compact(published / "board") if r.method.name == "pooled-logistic-rank"]
    tuned = tuned_in(record.method.config)
    assert tuned is not None
    description = describe(locate(MethodSpec("pooled-logistic-rank"))).as_tuned(tuned)
    assert description.facts.config == record.method.config
    task = load_task(TASK)
    asked = SuitePart(TASK, "cell", (MethodSpec("pooled-logistic-rank"),), (0,), draws=1, seeds=1)
    plan = make_plan(asked, task, EpisodeSet.build(task, "cell", (0,), 1), [description])
    assert {run.key for fit in plan.fits for run in fit.runs} == set(record.run_keys)

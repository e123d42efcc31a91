"""Runner: what a fit is given, what is recorded, what is run again."""

from __future__ import annotations

import dataclasses
import io
import pickle
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from epishot.benchmark.compact import read_compact
from epishot.benchmark.described import Description, describe, locate
from epishot.benchmark.executor import Executor
from epishot.benchmark.plan import PartPlan, make_plan, missing_runs
from epishot.benchmark.predict_cost import DEFAULT_CONTROL_S, DEFAULT_FIT_S, cost_model
from epishot.benchmark.prepare import prepare_fit
from epishot.benchmark.records import CompactRecord
from epishot.benchmark.runner import PartResult, RunOptions, run_suite
from epishot.benchmark.specs import MethodSpec, Suite, SuitePart
from epishot.benchmark.store import RunStore
from epishot.methods.base import Balance, Regime
from epishot.tasks.catalog import load_task
from epishot.tasks.episodes import EpisodeSet
from epishot.tasks.errors import EpishotError
from epishot.tasks.task import Task

FAULTY = Path(__file__).with_name("faulty_methods.py")
TASK = "synthetic@cells=3,pairs=500"


def specs(*names: str) -> tuple[MethodSpec, ...]:
    return tuple(MethodSpec(f"{FAULTY}:{name}" if name[0].isupper() else name) for name in names)


def part(*methods: str, **changes: object) -> SuitePart:
    arguments: dict = {"task": TASK, "protocol": "cell", "shots": (0, 8), "draws": 2, "seeds": 1, "budget": 0.05}
    return SuitePart(methods=specs(*methods), **{**arguments, **changes})


def plan_of(asked: SuitePart, task: Task | None = None) -> PartPlan:
    task = task or load_task(asked.task)
    episodes = EpisodeSet.build(task, asked.protocol, asked.episode_shots, asked.draws)
    described: list[Description] = [describe(locate(spec)) for spec in asked.methods]
    return make_plan(asked, task, episodes, described)


def run(folder: Path, *parts: SuitePart, jobs: int = 2, board: Path | None = None) -> list[PartResult]:
    console = Console(file=io.StringIO())
    return run_suite(Suite("test", "1", parts), folder, board, RunOptions(jobs=jobs, timeout_s=120), console)


# What a fit is given


def with_flipped_query_labels(task: Task, rows: np.ndarray) -> Task:
    label = task.table["label"].to_numpy().copy()
    label[rows] = 1 - label[rows]
    index = task.table.schema.get_field_index("label")
    table = task.table.set_column(index, task.table.schema.field("label"), pa.array(label, pa.int8()))
    return dataclasses.replace(task, table=table)


@pytest.mark.parametrize("protocol", ["cell", "cell+chrom"])
def test_the_bytes_a_fit_receives_do_not_depend_on_query_labels(protocol: str) -> None:
    """Flip every query label: nothing of what goes through the pipe changes, for any method."""
    everything = part(
        "constant",
        "gene-degree",
        "gene-prior",
        "pooled-trees-rank",
        "energy-additive",
        "Transductive",
        protocol=protocol,
        shots=(0, 8),
        regimes=(Regime.LABELLED, Regime.UNLABELLED),
        balances=(Balance.NATURAL, Balance.BALANCED),
    )
    task = load_task(TASK)
    plan = plan_of(everything, task)
    split = plan.splits[0]
    flipped = plan_of(everything, with_flipped_query_labels(task, split.query_rows))
    assert flipped.task.content_hash != task.content_hash
    mine = [fit for fit in plan.fits if fit.split is split]
    theirs = [fit for fit in flipped.fits if fit.split is flipped.splits[0]]
    assert len(mine) == 6
    for one, other in zip(mine, theirs, strict=True):
        sent = pickle.dumps(prepare_fit(plan, one, one.runs).job)
        assert sent == pickle.dumps(prepare_fit(flipped, other, other.runs).job), one.method.name
        changed = with_flipped_query_labels(task, split.train_rows[:1])
        third = prepare_fit(dataclasses.replace(plan, task=changed), one, one.runs).job
        assert sent != pickle.dumps(third), "the comparison can fail: a training label does cross the pipe"


def test_only_declared_columns_are_handed_over() -> None:
    plan = plan_of(part("Good", "Transductive"))
    distance_only = prepare_fit(plan, plan.fits[0], plan.fits[0].runs).job
    for table in (distance_only.query, distance_only.train.pairs, distance_only.requests[0].pool):
        given = {f.name for f in dataclasses.fields(table) if getattr(table, f.name) is not None}
        assert given == {"n", "distance"}
    assert distance_only.cell_table is None
    transductive = next(fit for fit in plan.fits if fit.method.transductive)
    job = prepare_fit(plan, transductive, transductive.runs).job
    assert job.cell_table is not None
    assert job.cell_table.n == plan.task.cell_rows(transductive.spec.cell).size
    rows = plan.task.columns.features[plan.task.cell_rows(transductive.spec.cell)]
    assert not np.array_equal(job.cell_table.features, rows), "the cell table is shuffled"
    np.testing.assert_array_equal(np.sort(job.cell_table.features, axis=0), np.sort(rows, axis=0))


def test_scores_come_back_in_query_order() -> None:
    plan = plan_of(part("Good"))
    fit = plan.fits[0]
    prepared = prepare_fit(plan, fit, fit.runs)
    query = plan.task.columns.distance[fit.split.query_rows]
    assert not np.array_equal(prepared.job.query.distance, query), "the query is shuffled"
    np.testing.assert_array_equal(prepared.in_query_order(prepared.job.query.distance[None])[0], query)


def test_supports_are_those_of_the_episode_set() -> None:
    plan = plan_of(part("Good"))
    fit = plan.fits[0]
    labelled = next(run for run in fit.runs if run.spec.condition.k == 8)
    supports = prepare_fit(plan, fit, (labelled,)).job.requests[0]
    rows = plan.episodes.support_rows(fit.spec.cell, fit.spec.fold, "natural", 8)
    assert supports.rows.shape == (2, 8)
    np.testing.assert_array_equal(supports.pool.distance[supports.rows], plan.task.columns.distance[rows])
    np.testing.assert_array_equal(supports.label, plan.task.columns.label[rows])
    assert supports.pool.n == np.unique(rows).size


# The grid


def test_the_grid_has_one_seed_for_deterministic_methods() -> None:
    plan = plan_of(part("distance", "maml", seeds=3))
    counts = {name: sum(fit.method.name == name for fit in plan.fits) for name in ("distance", "maml")}
    assert counts == {"distance": 3, "maml": 9}
    distance_runs = [run for fit in plan.fits if fit.method.name == "distance" for run in fit.runs]
    assert {run.spec.condition.k for run in distance_runs} == {0}
    assert {run.spec.draws for run in distance_runs} == {1}


def test_infeasible_runs_are_planned_with_their_reason_and_never_run() -> None:
    plan = plan_of(part("support-ridge", shots=(0, 8, 100_000)))
    assert {(gap.cell, gap.condition.k) for gap in plan.infeasible} == {(c, 100_000) for c in plan.task.card.cells}
    assert all("enhancer-gene pairs" in gap.reason for gap in plan.infeasible)
    assert {run.spec.condition.k for fit in plan.fits for run in fit.runs} <= {0, 8}


def test_cells_can_be_chosen_and_unknown_ones_are_named() -> None:
    cell = load_task(TASK).card.cells[1]
    assert {fit.spec.cell for fit in plan_of(part("Good", cells=(cell,))).fits} == {cell}
    with pytest.raises(EpishotError, match="has no cell 'HeLa'"):
        plan_of(part("Good", cells=("HeLa",)))


def test_a_method_that_no_condition_serves_is_refused() -> None:
    with pytest.raises(EpishotError, match="serves regime"):
        plan_of(part("Good", shots=(8,), regimes=(Regime.UNLABELLED,)))


def test_two_methods_of_one_name_are_refused(tmp_path: Path) -> None:
    copy = tmp_path / "copy.py"
    copy.write_text(FAULTY.read_text())
    both = SuitePart(TASK, "cell", (MethodSpec(f"{FAULTY}:Good"), MethodSpec(f"{copy}:Good")), (0,))
    with pytest.raises(EpishotError, match="Two methods are called 'good'"):
        plan_of(both)


# Records and the cache


def test_every_run_has_a_record_failed_ones_included_and_only_failed_ones_run_again(tmp_path: Path) -> None:
    asked = part("Good", "Raises", "RaisesLabelled")
    (first,) = run(tmp_path, asked)
    assert (first.computed, first.cached, len(first.failed)) == (9, 0, 9)
    store = RunStore(tmp_path)
    records = list(store.records(first.plan.task.card.name))
    assert len(records) == 18
    errors = {r.identity.method: r.error for r in records if r.status == "failed"}
    assert "no way" in errors["raises"]
    assert "labels are too hard" in errors["raises-labelled"]
    (second,) = run(tmp_path, asked)
    assert (second.computed, second.cached, len(second.failed)) == (0, 9, 9)
    board = {record.method.name: record for record, _ in read_compact(store.board)}
    assert set(board) == {"good", "raises", "raises-labelled", "ceiling", "oracle"}
    assert {entry.status for entry in board["raises"].entries} == {"failed"}
    assert all("no way" in str(entry.reason) for entry in board["raises"].entries)
    assert {e.status for e in board["raises-labelled"].entries if e.k == 0} == {"ok"}


def test_metrics_of_a_record_are_those_of_its_scores(tmp_path: Path) -> None:
    from sklearn.metrics import average_precision_score

    (result,) = run(tmp_path, part("Good"))
    store = RunStore(tmp_path)
    for fit in result.plan.fits:
        query = fit.split.query_rows
        label = result.plan.task.columns.label[query]
        expected = average_precision_score(label, -result.plan.task.columns.distance[query])
        for planned in fit.runs:
            record = store.find(fit.spec.task, planned.key)
            assert (record.n, record.positives) == (query.size, int(label.sum()))
            for episode in record.episodes:
                assert episode.metrics["aupr"] == pytest.approx(expected, abs=1e-12)
            assert len(record.episodes) == planned.spec.draws
            assert store.scores(record).shape == (planned.spec.draws, query.size)


def test_editing_one_method_runs_that_method_again_and_no_other(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(FAULTY.read_text())
    asked = SuitePart(TASK, "cell", (MethodSpec(f"{plugin}:Good"), MethodSpec("distance")), (0,), seeds=1, draws=1)
    store = tmp_path / "runs"
    assert run(store, asked)[0].computed == 6
    assert run(store, asked)[0].cached == 6
    plugin.write_text(FAULTY.read_text() + "\n# edited\n")
    (third,) = run(store, asked)
    assert (third.computed, third.cached) == (3, 3)
    assert third.touched == {"good"}


def test_a_deleted_score_file_is_computed_again(tmp_path: Path) -> None:
    (first,) = run(tmp_path, part("Good"))
    store = RunStore(tmp_path)
    store.scores_path(first.plan.task.card.name, first.plan.fits[0].runs[0].key).unlink()
    assert len(missing_runs(first.plan, store)) == 1
    (second,) = run(tmp_path, part("Good"))
    assert (second.computed, second.cached) == (1, first.plan.n_runs - 1)


def test_the_board_is_left_alone_when_nothing_changed(tmp_path: Path) -> None:
    run(tmp_path, part("Good", "distance"))
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "board").rglob("*.*")}
    run(tmp_path, part("Good", "distance"))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "board").rglob("*.*")} == stamps
    run(tmp_path, part("Good", "distance", "constant"))
    added = set((tmp_path / "board").rglob("*.json")) - set(stamps)
    assert [path.stem for path in added] == ["constant"]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_a_board_of_other_episodes_is_refused_but_the_stores_own_is_brought_up_to_date(tmp_path: Path) -> None:
    board = tmp_path / "published"
    run(tmp_path / "runs", part("Good"), board=board)
    with pytest.raises(EpishotError, match="choose another --board"):
        run(tmp_path / "runs", part("Good", draws=3), board=board)
    run(tmp_path / "runs", part("Good", "distance"))
    run(tmp_path / "runs", part("Good", draws=3))
    names = {record.method.name for record, _ in read_compact(tmp_path / "runs" / "board")}
    assert names == {"good", "ceiling", "oracle"}


# Rows of the board from several commands


def rows(board: Path) -> dict[str, CompactRecord]:
    return {record.method.name: record for record, _ in read_compact(board)}


def statuses(record: CompactRecord, **where: object) -> dict[str, str]:
    return {
        entry.cell: entry.status
        for entry in record.entries
        if all(getattr(entry, name) == value for name, value in where.items())
    }


@pytest.mark.parametrize("name", ["good", "ceiling"])
def test_cells_asked_for_one_after_the_other_end_up_in_one_row(tmp_path: Path, name: str) -> None:
    first, second, third = load_task(TASK).card.cells
    run(tmp_path, part("Good", cells=(first,)))
    assert statuses(rows(tmp_path / "board")[name], k=0) == {first: "ok", second: "missing", third: "missing"}
    run(tmp_path, part("Good", cells=(second,)))
    assert statuses(rows(tmp_path / "board")[name], k=0) == {first: "ok", second: "ok", third: "missing"}
    (last,) = run(tmp_path, part("Good"))
    assert last.computed == 2
    assert set(statuses(rows(tmp_path / "board")[name], k=0).values()) == {"ok"}
    whole = tmp_path / "whole"
    run(whole, part("Good"))
    theirs, mine = rows(whole / "board")[name], rows(tmp_path / "board")[name]
    assert mine.entries == theirs.entries
    assert mine.across == theirs.across
    assert mine.replicates_sha256 == theirs.replicates_sha256
    run(tmp_path, part("Good", cells=(first,)))
    assert rows(tmp_path / "board")[name] == mine, "asking for less takes nothing away"


def test_supports_asked_for_one_after_the_other_end_up_in_one_row(tmp_path: Path) -> None:
    run(tmp_path, part("Good"))
    run(tmp_path, part("Good", balances=(Balance.BALANCED,)))
    record = rows(tmp_path / "board")["good"]
    assert {(e.regime, e.balance, e.k) for e in record.entries} == {
        ("none", "natural", 0),
        ("labelled", "natural", 8),
        ("labelled", "balanced", 8),
    }
    assert {entry.status for entry in record.entries} == {"ok"}
    again = part("Good", balances=(Balance.NATURAL, Balance.BALANCED))
    assert run(tmp_path, again)[0].computed == 0
    assert rows(tmp_path / "board")["good"] == record


def test_a_cell_that_failed_before_still_says_so(tmp_path: Path) -> None:
    first, second, _ = load_task(TASK).card.cells
    run(tmp_path, part("RaisesLabelled", cells=(first,)))
    run(tmp_path, part("RaisesLabelled", cells=(second,), shots=(8,)))
    found = statuses(rows(tmp_path / "board")["raises-labelled"], k=8)
    assert (found[first], found[second]) == ("failed", "failed")


def test_a_run_mended_for_another_board_is_mended_here_too(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    (first,) = run(store.folder, part("Good"))
    planned = first.plan.fits[0].runs[0]
    good = store.find(planned.identity.task, planned.key)
    scores = store.scores(good)
    before = rows(store.board)
    store.write(good.model_copy(update={"status": "failed", "error": "fit: chance", "episodes": ()}), None)
    next(store.board.rglob("good.json")).unlink()
    from epishot.benchmark.summaries import update_board

    def update() -> list[str]:
        result = PartResult(first.plan)
        return update_board(result, store, store.board, Executor(1), "x")

    assert update() == ["good"]
    assert "chance" in str([entry.reason for entry in rows(store.board)["good"].entries])
    store.write(good, scores)
    assert update() == ["good"]
    assert rows(store.board)["good"].entries == before["good"].entries
    assert update() == []


def test_a_row_of_several_commands_names_them_all(tmp_path: Path) -> None:
    first, second, _ = load_task(TASK).card.cells
    console = Console(file=io.StringIO())
    for command, cells in (("one", (first,)), ("two", (second,)), ("two", (second,)), ("all", None)):
        suite = Suite("test", "1", (part("Good", cells=cells),))
        run_suite(suite, tmp_path, None, RunOptions(command=command), console)
        expected = {"one": "one", "two": "one && two", "all": "all"}[command]
        assert rows(tmp_path / "board")["good"].command == expected


def test_what_is_taken_off_the_board_is_told(tmp_path: Path) -> None:
    def said(asked: SuitePart) -> str:
        console = Console(file=io.StringIO(), width=200)
        run_suite(Suite("test", "1", (asked,)), tmp_path, None, RunOptions(), console)
        return console.file.getvalue()  # type: ignore[attr-defined]

    assert "taken off" not in said(part("Good"))
    assert "3 rows of other episodes were taken off the board" in said(part("Good", draws=3))
    assert "3 rows of another budget (0.05, not 0.1) were taken off the board" in said(
        part("Good", draws=3, budget=0.1)
    )
    assert {record.budget for record in rows(tmp_path / "board").values()} == {0.1}
    assert "taken off" not in said(part("Good", "distance", draws=3, budget=0.1))


def test_rows_of_another_budget_are_refused_on_a_board_of_somebody_elses(tmp_path: Path) -> None:
    run(tmp_path / "runs", part("Good"), board=tmp_path / "published")
    with pytest.raises(EpishotError, match=r"'ceiling' of another budget \(0.05, not 0.1\)"):
        run(tmp_path / "runs", part("Good", budget=0.1), board=tmp_path / "published")


@pytest.mark.parametrize("damage", ["delete", "swap"])
def test_running_again_restores_damaged_replicates(tmp_path: Path, damage: str) -> None:
    run(tmp_path, part("Good", "distance"))
    folder = next((tmp_path / "board").rglob("good.json")).parent
    before = (folder / "good.replicates.parquet").read_bytes()
    if damage == "delete":
        (folder / "good.replicates.parquet").unlink()
    else:
        (folder / "good.replicates.parquet").write_bytes((folder / "ceiling.replicates.parquet").read_bytes())
    with pytest.raises(EpishotError, match="run again"):
        read_compact(tmp_path / "board")
    (result,) = run(tmp_path, part("Good", "distance"))
    assert result.computed == 0
    assert (folder / "good.replicates.parquet").read_bytes() == before


def test_damaged_scores_are_noticed_and_computed_again(tmp_path: Path) -> None:
    (first,) = run(tmp_path, part("Good"))
    store = RunStore(tmp_path)
    before = rows(store.board)["good"]
    damaged = first.plan.fits[0].runs[0]
    path = store.scores_path(first.plan.task.card.name, damaged.key)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    next(store.board.rglob("good.json")).unlink()
    run(tmp_path, part("Good"))
    entries = {(e.cell, e.k): e for e in rows(store.board)["good"].entries}
    entry = entries[damaged.spec.fit.cell, damaged.spec.condition.k]
    assert entry.status == "failed"
    assert "run it again" in str(entry.reason)
    (third,) = run(tmp_path, part("Good"))
    assert third.computed == 1
    assert rows(store.board)["good"].entries == before.entries


@pytest.mark.parametrize("damage", ["episodes/data-00000-of-00001.arrow", "manifest.json", "dataset_dict.json"])
def test_a_damaged_episode_set_is_replaced(tmp_path: Path, damage: str) -> None:
    (result,) = run(tmp_path, part("Good"))
    folder = RunStore(tmp_path).episodes(result.plan.episodes.hash)
    stamp = (folder / "manifest.json").stat().st_mtime_ns
    run(tmp_path, part("Good"))
    assert (folder / "manifest.json").stat().st_mtime_ns == stamp, "an intact set is left alone"
    (folder / damage).write_bytes((folder / damage).read_bytes()[:-40])
    with pytest.raises(EpishotError):
        EpisodeSet.load(folder)
    run(tmp_path, part("Good"))
    assert EpisodeSet.load(folder).hash == result.plan.episodes.hash


def test_a_cell_without_training_cells_is_infeasible_and_the_others_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = load_task(TASK)
    first, second, third = task.card.cells
    monkeypatch.setattr(type(task.card), "family", lambda card, cell: card.cells if cell == first else (cell,))
    plan = plan_of(part("Good", "maml"), task)
    assert {(gap.cell, gap.condition.k, gap.reason) for gap in plan.infeasible} == {
        (first, k, "no training cell outside the family") for k in (0, 8)
    }
    assert {fit.spec.cell for fit in plan.fits} == {second, third}
    (result,) = run(tmp_path, part("Good"))
    assert (result.computed, result.failed) == (4, [])
    found = rows(tmp_path / "board")
    assert statuses(found["good"], k=8) == {first: "infeasible", second: "ok", third: "ok"}
    assert {e.reason for e in found["good"].entries if e.cell == first} == {"no training cell outside the family"}
    run(tmp_path, part("Good"))
    assert rows(tmp_path / "board") == found


def test_the_prediction_learns_from_the_store(tmp_path: Path) -> None:
    asked = part("Good", budget=0.5)
    name = load_task(TASK).card.name
    fit = plan_of(asked).fits[0]
    control = plan_of(part("distance")).fits[0]
    assert cost_model(RunStore(tmp_path), name).fit_s(fit, 0.5) == 0.5 * DEFAULT_FIT_S
    assert cost_model(RunStore(tmp_path), name).fit_s(control, 1.0) == DEFAULT_CONTROL_S
    run(tmp_path, asked)
    learnt = cost_model(RunStore(tmp_path), name)
    assert 0 < learnt.fit_s(fit, 0.5) < 1.0
    assert learnt.fit_s(fit, 1.0) == DEFAULT_FIT_S, "another budget is another cost"


def test_descriptions_are_kept_and_a_method_is_not_imported_to_be_planned(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = f"""
import io, sys
from pathlib import Path
from rich.console import Console
from epishot.benchmark.runner import RunOptions, run_suite
from epishot.benchmark.specs import MethodSpec, Suite, SuitePart
part = SuitePart({TASK!r}, "cell", (MethodSpec("maml"),), (0,), seeds=1, budget=0.01)
console = Console(file=io.StringIO())
(result,) = run_suite(Suite("s", "1", (part,)), Path({str(tmp_path)!r}), None, RunOptions(jobs=2), console)
assert not result.failed, result.failed
assert "torch" not in sys.modules, "the parent must not pay for torch"
assert "epishot.baselines.maml" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_overrides_are_checked_and_named() -> None:
    described = describe(locate(MethodSpec(f"{FAULTY}:Looks", '{"out": "a b/c"}')))
    # What the name cannot show is told apart by a digest.
    assert re.fullmatch(r"looks\[out=abc,\+[0-9a-f]{8}\]", described.name)
    with pytest.raises(EpishotError, match=r"has no option 'outs'\. Did you mean 'out'"):
        describe(locate(MethodSpec(f"{FAULTY}:Looks", '{"outs": 1}')))

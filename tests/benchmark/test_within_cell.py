"""The within-cell oracle: learns from the held-out cell's other loci, is scored like a method, shown as a reference."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score

from epishot.benchmark.compact import read_compact
from epishot.benchmark.described import describe, locate
from epishot.benchmark.executor import Executor
from epishot.benchmark.plan import PartPlan, make_plan
from epishot.benchmark.prepare import prepare_fit
from epishot.benchmark.runner import RunOptions, _Queries, run_suite
from epishot.benchmark.specs import MethodSpec, Suite, SuitePart
from epishot.benchmark.store import RunStore
from epishot.benchmark.summarise import Query
from epishot.benchmark.within_cell import FEWEST, LEARNER, NAME, own_cell, too_few_labels, within_cell_facts
from epishot.leaderboard.board import Loaded, build_board
from epishot.methods.features import cell_ranks
from epishot.tasks.catalog import load_task
from epishot.tasks.chance import chance_aupr
from epishot.tasks.episodes import EpisodeSet
from epishot.tasks.splits import Split
from epishot.tasks.task import Task

TASK_FILE = '''
from dataclasses import replace
from epishot.methods.features import cell_ranks
from epishot.tasks.catalog import load_task

def unknown():
    """A simulated task of which nobody knows the truth; the labels of the last cell are nearly all 0."""
    import numpy as np
    import pyarrow as pa
    task = load_task("synthetic@cells=3,pairs=1500")
    label = task.table["label"].to_numpy().copy()
    positives = np.flatnonzero((task.columns.cell == 2) & (label == 1))
    label[positives[:-15]] = 0
    index = task.table.schema.get_field_index("label")
    table = task.table.set_column(index, task.table.schema.field("label"), pa.array(label, pa.int8()))
    return replace(task, table=table, references={})
'''


def plan_of(task: Task, protocol: str) -> PartPlan:
    part = SuitePart("synthetic", protocol, (MethodSpec("distance"),), (0, 8), draws=2, seeds=2)
    methods = [describe(locate(spec)) for spec in part.methods]
    learner = describe(locate(MethodSpec(LEARNER)))
    methods.append(learner.model_copy(update={"facts": within_cell_facts(learner.facts)}))
    return make_plan(part, task, EpisodeSet.build(task, protocol, (0, 8), 2), methods)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("synthetic@cells=3,pairs=1500")


@pytest.mark.parametrize("protocol", ["cell", "cell+chrom"])
def test_it_learns_from_the_pool_of_the_held_out_cell_alone(task: Task, protocol: str) -> None:
    plan = plan_of(task, protocol)
    fits = [fit for fit in plan.fits if fit.method.name == NAME]
    assert len(fits) == len(plan.splits)
    for fit, split in zip(fits, plan.splits, strict=True):
        np.testing.assert_array_equal(fit.split.train_rows, split.pool_rows)
        np.testing.assert_array_equal(fit.split.query_rows, split.query_rows)
        assert np.unique(task.columns.cell[fit.split.train_rows]).tolist() == [task.cell_code(fit.spec.cell)]
        for locus in ("gene", "element"):
            codes = getattr(task.columns, locus)
            assert not np.intersect1d(codes[fit.split.train_rows], codes[fit.split.query_rows]).size
        (run,) = fit.runs
        assert (run.identity.method, run.identity.k, run.identity.regime) == (NAME, 0, "none")


def test_methods_beside_it_learn_from_the_training_cells_only(task: Task) -> None:
    for fit in plan_of(task, "cell+chrom").fits:
        if fit.method.name != NAME:
            assert task.cell_code(fit.spec.cell) not in task.columns.cell[fit.split.train_rows]


def test_its_fit_never_receives_query_labels(task: Task) -> None:
    plan = plan_of(task, "cell+chrom")
    fit = next(fit for fit in plan.fits if fit.method.name == NAME)
    label = task.table["label"].to_numpy().copy()
    label[fit.split.query_rows] = 1 - label[fit.split.query_rows]
    index = task.table.schema.get_field_index("label")
    table = task.table.set_column(index, task.table.schema.field("label"), pa.array(label, pa.int8()))
    flipped = dataclasses.replace(plan, task=dataclasses.replace(task, table=table))
    one, other = (prepare_fit(p, fit, fit.runs).job for p in (plan, flipped))
    np.testing.assert_array_equal(one.train.label, other.train.label)
    np.testing.assert_array_equal(one.train.pairs.features, other.train.pairs.features)


def test_cells_with_too_few_labels_have_no_row_and_say_why(task: Task) -> None:
    splits = EpisodeSet.build(task, "cell", (0,), 1).splits
    assert too_few_labels(task, splits) == {}
    split = splits[0]
    labels = task.columns.label[split.pool_rows]
    for value, word in ((1, "positives"), (0, "negatives")):
        enough = np.flatnonzero(labels == value)[:FEWEST]
        rest = np.flatnonzero(labels != value)
        for dropped in (0, 1):
            rows = split.pool_rows[np.concatenate([enough[dropped:], rest])]
            poor = dataclasses.replace(split, pool_rows=np.sort(rows))
            found = too_few_labels(task, [poor])
            assert found == ({split.cell: f"only {FEWEST - 1} {word} to learn from"} if dropped else {})
    empty = dataclasses.replace(split, pool_rows=split.pool_rows[:0])
    assert too_few_labels(task, [empty]) == {split.cell: "only 0 positives to learn from"}


@pytest.mark.parametrize("protocol", ["cell", "cell+chrom"])
def test_the_prevalence_it_is_judged_by_is_that_of_the_training_cells(task: Task, protocol: str) -> None:
    plan = plan_of(task, protocol)
    for fit in plan.fits:
        split = next(s for s in plan.splits if (s.cell, s.fold) == (fit.spec.cell, fit.spec.fold))
        # A fresh one each time: what is asked first is kept.
        assert _Queries(plan).of(fit).train_prevalence == Query.of(task, split).train_prevalence


def run(folder: Path, task: str) -> Path:
    part = SuitePart(task, "cell", (MethodSpec("distance"), MethodSpec("pooled-logistic-rank")), (0, 8), draws=2)
    run_suite(Suite("test", "1", (part,)), folder, None, RunOptions(jobs=2, timeout_s=120), Console(file=io.StringIO()))
    return RunStore(folder).board


def test_a_task_with_a_known_ceiling_needs_no_oracle(tmp_path: Path) -> None:
    names = {record.method.name for record, _ in read_compact(run(tmp_path, "synthetic@cells=3,pairs=1500"))}
    assert NAME not in names
    assert "ceiling" in names


def test_on_real_tasks_it_stands_beside_the_methods_as_a_reference(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text(TASK_FILE)
    reference = f"{tmp_path / 'task.py'}:unknown"
    found = read_compact(run(tmp_path / "runs", reference))
    (oracle,) = (record for record, _ in found if record.method.name == NAME)
    cells = {entry.cell: entry for entry in oracle.entries}
    assert [entry.status for entry in cells.values()] == ["ok", "ok", "infeasible"]
    assert "to learn from" in (cells["S3"].reason or "")
    assert len(oracle.run_keys) == 2
    assert oracle.cost["fits"] == 2

    # What the row says can be computed without the runner.
    task = load_task(reference)
    split = EpisodeSet.build(task, "cell", (0, 8), 2).splits[0]
    executor = Executor(1)
    (learner,) = executor.call(_describe_learner, 0)
    assert oracle.method == within_cell_facts(learner)
    assert cells["S1"].metrics["corrected"] == pytest.approx(_by_hand(task, own_cell(split)), abs=1e-6)

    board = build_board(Loaded(record, replicates) for record, replicates in found)
    for table in board.tables:
        rows = {row.name: row for row in table.rows}
        # The cell stays open to methods, and the reference is in no tie group.
        assert table.cells[2].infeasible is None
        assert set(rows["distance"].entries) == {"S1", "S2", "S3"}
        assert rows[NAME].group is None
        assert rows[NAME].macro is None
        assert rows[NAME].problems["S3"].startswith("infeasible: only")
        assert rows["distance"].group is not None

    # Nothing is fitted twice.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs" / "records").rglob("*.json")}
    run(tmp_path / "runs", reference)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs" / "records").rglob("*.json")}


def _describe_learner(_: int) -> list:
    return [describe(locate(MethodSpec(LEARNER))).facts]


def _by_hand(task: Task, split: Split) -> float:
    """Corrected AUPR of scikit-learn's trees trained on the rows of `split`, without any of the package's fitting."""
    columns, own = task.columns, task.columns.features[task.cell_rows(split.cell)]

    def matrix(rows: np.ndarray, reference: np.ndarray) -> np.ndarray:
        ranks = cell_ranks(columns.features[rows], reference)
        return np.column_stack([ranks, np.log10(np.maximum(columns.distance[rows], 1))]).astype(np.float32)

    trees = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=150,
        max_leaf_nodes=12,
        min_samples_leaf=20,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
    )
    trees.fit(matrix(split.train_rows, columns.features[split.train_rows]), columns.label[split.train_rows])
    label = columns.label[split.query_rows]
    precision = average_precision_score(label, trees.decision_function(matrix(split.query_rows, own)))
    chance = chance_aupr(label.size, int(label.sum()))
    return (precision - chance) / (1 - chance)

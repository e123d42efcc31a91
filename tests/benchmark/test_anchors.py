"""Fold-pooled AP beside published figures: value, interval and which runs are left out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from epishot.benchmark import anchors as module
from epishot.benchmark.cli import run_app
from epishot.benchmark.store import RunStore
from epishot.tasks.catalog import load_task


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    arguments = ["run", "--task", "synthetic@cells=3,pairs=300", "--protocol", "cell+chrom", "--shots", "0"]
    assert run_app([*arguments, "--methods", "distance,constant", "--store", str(folder), "--jobs", "1"]) == 0
    return RunStore(folder)


@pytest.fixture
def found(store, monkeypatch):
    task = load_task("synthetic@cells=3,pairs=300")
    monkeypatch.setattr(module, "TRANSEPI", {task.card.cells[0]: 0.0, task.card.cells[1]: 1.0})
    return task, list(module.anchors(store, {task.card.name: task}, replicates=200))


def test_the_value_is_scikit_learns_on_the_pooled_folds(found):
    task, anchors = found
    for one in (anchor for anchor in anchors if anchor.method == "distance"):
        rows = task.cell_rows(one.cell)
        expected = average_precision_score(task.columns.label[rows], -task.columns.distance[rows])
        assert one.value == pytest.approx(expected)
        assert one.interval[0] < one.value < one.interval[1]


def test_every_method_of_the_store_has_a_line_and_a_verdict(found):
    _, anchors = found
    assert {"distance", "constant"} <= {one.method for one in anchors}
    assert [one.verdict for one in anchors if one.method == "distance"] == ["above", "below"]
    table = module.markdown(anchors)
    assert table.count("\n| distance |") == 1
    assert "1 of 2 |" in table


def test_a_cell_without_all_its_folds_is_left_out(store, monkeypatch):
    task = load_task("synthetic@cells=3,pairs=300")
    monkeypatch.setattr(module, "TRANSEPI", {task.card.cells[2]: 0.5})
    lost = next(
        record
        for record in store.records(task.card.name)
        if record.identity.cell == task.card.cells[2] and record.identity.method == "distance"
    )
    monkeypatch.setattr(store, "scores", lambda record: None if record.key == lost.key else np.zeros((1, record.n)))
    assert "distance" not in {one.method for one in module.anchors(store, {task.card.name: task}, replicates=20)}


def test_an_empty_store_says_what_to_run(tmp_path, capsys):
    assert run_app(["leaderboard", "anchors", "--store", str(tmp_path)]) == 2
    assert "epishot run --task bengi" in capsys.readouterr().err

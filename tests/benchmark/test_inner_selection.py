"""Inner selection never reads the held-out cell, and finds the better method."""

from __future__ import annotations

import json

import numpy as np
import pytest

from epishot.benchmark.cli import run_app
from epishot.benchmark.executor import Executor
from epishot.benchmark.inner_selection import inner_pairs, inner_scores
from epishot.benchmark.specs import MethodSpec
from epishot.tasks.errors import EpishotError
from epishot.tasks.synthetic import generate


@pytest.fixture(scope="module")
def task():
    return generate("additive", cells=3, pairs=400, prevalence=0.3)


def test_every_held_out_cell_has_an_inner_one_and_a_training_one(task):
    assert inner_pairs(task, task.card.cells, every=False) == [("S1", "S2"), ("S2", "S3"), ("S3", "S1")]
    assert len(inner_pairs(task, task.card.cells, every=True)) == 6
    with pytest.raises(EpishotError, match="too few cells"):
        inner_pairs(generate("additive", cells=2, pairs=400), ["S1", "S2"], every=False)


def test_labels_of_the_held_out_cell_change_nothing(task):
    def scores(which):
        found = inner_scores(which, [MethodSpec("pooled-logistic-rank")], Executor(1), shots=(0,))
        return {(one.held_out, one.inner, one.k): one.corrected for one in found}

    columns = task.columns
    held = columns.cell == 0
    label = np.where(held, 1 - columns.label, columns.label).astype(columns.label.dtype)
    before = scores(task)
    original = columns.label.copy()
    columns.label.setflags(write=True)
    try:
        columns.label[:] = label
        after = scores(task)
    finally:
        columns.label[:] = original
        columns.label.setflags(write=False)
    assert before["S1", "S2", 0] == after["S1", "S2", 0]
    assert before["S2", "S3", 0] != after["S2", "S3", 0]


def test_the_command_ranks_methods_and_writes_the_scores(tmp_path, capsys):
    out = tmp_path / "scores.json"
    arguments = [
        "select",
        "--task",
        "synthetic@cells=3",
        "--methods",
        "const*,pooled-logistic-rank,pooled-logistic-raw",
        "--shots",
        "0",
    ]
    assert run_app([*arguments, "--out", str(out)]) == 0
    rows = json.loads(out.read_text())
    assert {row["method"] for row in rows} == {"constant", "pooled-logistic-rank", "pooled-logistic-raw"}
    mean = {
        m: np.mean([row["corrected"] for row in rows if row["method"] == m])
        for m in ("constant", "pooled-logistic-rank")
    }
    assert mean["pooled-logistic-rank"] > mean["constant"] + 0.1
    assert "pooled-logistic-rank" in capsys.readouterr().out
    assert run_app([*arguments, "--fold", "9"]) == 2

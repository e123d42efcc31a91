"""Rows of other stores and other numbers of seeds: added beside what is published, which stays as it is."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from epishot.benchmark.cli import run_app
from epishot.benchmark.runner import RunOptions, run_suite
from epishot.benchmark.specs import MethodSpec, Suite, SuitePart

TASK = "synthetic@cells=3,pairs=300"
PLACE = Path("records/synthetic-cells3-pairs300/cell")
PLUGIN = '''
import numpy as np
from epishot.methods import Method, Reads, Regime

class Noisy(Method):
    """Nearer pairs first, with noise that depends on the seed."""
    name = "noisy"
    summary = "-log distance and noise"
    reads = frozenset({Reads.DISTANCE})
    regimes = frozenset({Regime.NONE, Regime.LABELLED})
    noise = 0.3

    def fit(self, train, context):
        self.seed = context.seed

    def score(self, supports, query, cell_table):
        noise = np.random.default_rng(self.seed).normal(size=(supports.n_episodes, query.n))
        return self.noise * noise - np.log1p(query.distance)

class Noisier(Noisy):
    name = "noisier"
    noise = 2.0
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "noisy.py"
    path.write_text(PLUGIN)
    return path


def run(store: Path, seeds: int, *more: str, draws: int = 2) -> int:
    grid = ["--task", TASK, "--protocol", "cell", "--shots", "0,8", "--draws", str(draws), "--seeds", str(seeds)]
    return run_app(["run", *grid, "--jobs", "1", "--store", str(store), *more])


def publish(store: Path, board: Path) -> int:
    return run_app(["publish", str(store), "--to", str(board), "--archive", str(board.parent / "archive")])


def verify(board: Path) -> int:
    return run_app(["verify", str(board), "--archive", str(board.parent / "archive"), "--details"])


def records(board: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (board / PLACE).iterdir()}


def macro(board: Path, method: str, k: int) -> dict:
    rows = json.loads((board / "leaderboard.json").read_text())["rows"]
    (row,) = [row for row in rows if (row["method"], row["k"], row["cell"]) == (method, k, "")]
    return row


def test_a_store_with_one_new_method_leaves_the_published_rows_alone(
    tmp_path: Path, plugin: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    board, first, second = tmp_path / "board", tmp_path / "one", tmp_path / "two"
    assert run(first, 2, "--methods", "distance", "--method", f"{plugin}:Noisier") == 0
    assert publish(first, board) == 0
    before = records(board)
    alone = macro(board, "noisier", 0)
    assert alone["group"] == 1 or macro(board, "distance", 0)["group"] == 1

    assert run(second, 1, "--method", f"{plugin}:Noisy") == 0
    (board / "figures").mkdir()
    capfd.readouterr()
    assert publish(second, board) == 0
    assert "figures still show the earlier board" in capfd.readouterr().out
    after = records(board)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"noisy.json", "noisy.replicates.parquet"}
    # The tables are made anew: values stay, groups are those of the larger table, fewer seeds are marked.
    assert {**macro(board, "noisier", 0), "group": None} == {**alone, "group": None}
    assert macro(board, "noisy", 0)["group"] == 1
    marked = [line.split(" | ")[1] for line in (board / "LEADERBOARD.md").read_text().splitlines() if "seeds=1" in line]
    assert [name.strip("*") for name in marked] == ["noisy", "noisy"]
    assert verify(board) == 0

    # Two more seeds: computed alone, and the row is replaced.
    assert run(second, 3, "--method", f"{plugin}:Noisy") == 0
    assert "12 runs computed, 6 from the store" in capfd.readouterr().out
    assert publish(second, board) == 0
    assert "replaced: synthetic-cells3-pairs300 cell noisy" in capfd.readouterr().out
    assert {entry["seeds"] for entry in json.loads((board / PLACE / "noisy.json").read_text())["entries"]} == {3}
    assert "seeds=2" in (board / "LEADERBOARD.md").read_text()
    assert verify(board) == 0


def test_other_draws_are_other_episodes_and_are_refused(
    tmp_path: Path, plugin: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    board, first, second = tmp_path / "board", tmp_path / "one", tmp_path / "two"
    run(first, 1, "--methods", "distance")
    publish(first, board)
    before = records(board)
    run(second, 1, "--method", f"{plugin}:Noisy", draws=3)
    capfd.readouterr()
    assert publish(second, board) == 2
    assert "noisy: not made with the episodes of the row 'distance'" in capfd.readouterr().err
    assert records(board) == before


def test_a_suite_may_give_one_method_more_seeds(tmp_path: Path, plugin: Path) -> None:
    store = tmp_path / "runs"
    methods = (MethodSpec("distance"), MethodSpec(f"{plugin}:Noisy", seeds=3), MethodSpec(f"{plugin}:Noisier"))
    part = SuitePart(TASK, "cell", methods, (0, 8), draws=2, seeds=1)
    suite, console = Suite("two", "1", (part,)), Console(file=io.StringIO())
    (result,) = run_suite(suite, store, None, RunOptions(), console)
    # 3 cells x (distance, 3 seeds, 1 seed), the latter two under 2 conditions.
    assert (result.computed, result.cached) == (3 * (1 + 3 * 2 + 2), 0)
    (again,) = run_suite(suite, store, None, RunOptions(), console)
    assert (again.computed, again.cached) == (0, result.computed)
    rows = {path.stem: json.loads(path.read_text()) for path in (store / "board" / PLACE).glob("*.json")}
    seeds = {name: {entry["seeds"] for entry in row["entries"]} for name, row in rows.items()}
    assert (seeds["distance"], seeds["noisy"], seeds["noisier"]) == ({1}, {3}, {1})
    board = tmp_path / "board"
    assert publish(store, board) == 0
    assert verify(board) == 0

"""Fits in fresh processes: every way to fail stays inside its own fit."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from epishot.benchmark.executor import Executor, FitOutcome
from epishot.benchmark.jobs import FitJob
from epishot.benchmark.method_code import method_code
from epishot.methods.base import Balance, FitContext, PairTable, Regime, Supports, TrainTable, no_support
from epishot.tasks.errors import EpishotError

FAULTY = Path(__file__).with_name("faulty_methods.py")
N = 50


def pairs(n: int = N) -> PairTable:
    return PairTable(n=n, distance=np.arange(1.0, n + 1.0))


def labelled(draws: int = 3, k: int = 4) -> Supports:
    rows = np.arange(draws * k).reshape(draws, k) % 8
    return Supports(Regime.LABELLED, Balance.NATURAL, pairs(8), rows, np.zeros((draws, k), np.int8))


def job(name: str, *, arguments: dict | None = None, code: str | None = None, seed: int = 0) -> FitJob:
    address = f"{FAULTY}:{name}"
    return FitJob(
        method=address,
        arguments=arguments or {},
        code=code or method_code(address),
        train=TrainTable(pairs(), np.zeros(N, np.int8), np.zeros(N, np.int32), 1),
        context=FitContext(seed=seed),
        query=pairs(),
        cell_table=None,
        requests=(no_support(pairs()), labelled()),
    )


@pytest.fixture(scope="module")
def executor() -> Executor:
    return Executor(2)


def run(executor: Executor, *jobs: FitJob) -> list[FitOutcome]:
    """Outcomes in the order of the jobs."""
    found = dict(executor.run([(number, lambda one=one: one) for number, one in enumerate(jobs)]))
    return [found[number] for number in range(len(jobs))]


def test_a_fit_scores_every_request_once(executor: Executor) -> None:
    (outcome,) = run(executor, job("Good"))
    assert outcome.error is None
    assert outcome.errors == {}
    assert outcome.scored[0].scores.shape == (1, N)
    assert outcome.scored[1].scores.shape == (3, N)
    np.testing.assert_array_equal(outcome.scored[1].scores, np.tile(-pairs().distance, (3, 1)))
    assert outcome.fitted is not None
    assert outcome.fitted.fit_s >= 0
    assert 10 < outcome.scored[0].peak_memory_mb < 4000


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Raises", "fit: RuntimeError: no way"),
        ("Dies", "exit code 7"),
        ("Exits", "exit code 3"),
        ("Segfaults", "killed by SIGSEGV"),
    ],
)
def test_a_fit_that_fails_says_why_and_the_next_one_runs(executor: Executor, name: str, said: str) -> None:
    failed, good = run(executor, job(name), job("Good"))
    assert said in str(failed.error_of(0))
    assert said in str(failed.error_of(1))
    assert failed.scored == {}
    assert len(good.scored) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NotFinite", "3 of 50 scores that are NaN"),
        ("WrongShape", "(1, 49); expected (episodes, pairs) = (1, 50)"),
        ("Integers", "must be floats"),
        ("ListScores", "list, not a numpy array"),
    ],
)
def test_scores_that_break_the_contract_are_refused(executor: Executor, name: str, said: str) -> None:
    (outcome,) = run(executor, job(name))
    assert said in str(outcome.error_of(0))
    assert outcome.scored == {}


@pytest.mark.parametrize(
    ("name", "said"), [("RaisesLabelled", "labels are too hard"), ("DiesLabelled", "SIGKILL (out of memory?)")]
)
def test_a_failing_request_does_not_cost_the_others(executor: Executor, name: str, said: str) -> None:
    (outcome,) = run(executor, job(name))
    assert outcome.error_of(0) is None
    assert outcome.scored[0].scores.shape == (1, N)
    assert said in str(outcome.error_of(1))


def test_a_hanging_fit_is_ended_at_its_time_limit() -> None:
    start = time.monotonic()
    hung, good = run(Executor(2, timeout_s=2.0), job("Hangs"), job("Good"))
    assert time.monotonic() - start < 30
    assert "time limit of 2 s" in str(hung.error_of(0))
    assert len(good.scored) == 2


def test_leaving_early_ends_the_children(executor: Executor) -> None:
    work = [(0, lambda: job("Good")), (1, lambda: job("Hangs"))]
    start = time.monotonic()
    for token, _ in executor.run(work):
        assert token == 0
        break
    assert time.monotonic() - start < 30


def test_a_child_sees_no_data_folder_no_main_module_and_one_thread(
    executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPISHOT_DATA", "/labelled/data")
    monkeypatch.setenv("EPISHOT_CACHE", "/labelled/cache")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    (outcome,) = run(executor, job("Looks", arguments={"out": str(tmp_path / "seen")}))
    assert outcome.error is None, outcome.error
    seen = pickle.loads((tmp_path / "seen").read_bytes())
    assert not {"EPISHOT_DATA", "EPISHOT_CACHE"} & set(seen["environ"])
    assert {seen["environ"][name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"1"}
    assert seen["torch_threads"] == 1
    assert seen["main"] is None
    assert os.environ["EPISHOT_DATA"] == "/labelled/data", "the parent keeps its own environment"
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_a_fresh_fork_server_never_held_the_data_folder(tmp_path: Path) -> None:
    program = f"""
import sys; sys.path.insert(0, {str(FAULTY.parent)!r})
from test_executor import *
Executor(1).call(print, "started")
(outcome,) = run(Executor(1), job("Looks", arguments={{"out": {str(tmp_path / "seen")!r}}}))
assert outcome.error is None, outcome.error
"""
    environment = {**os.environ, "EPISHOT_DATA": "/labelled/data"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=120)
    seen = pickle.loads((tmp_path / "seen").read_bytes())
    assert "labelled" not in seen["initial"]


def test_global_generators_are_seeded_by_the_fit(executor: Executor, tmp_path: Path) -> None:
    jobs = [
        job("Looks", arguments={"out": str(tmp_path / name)}, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    run(executor, *jobs)
    a, b, c = (pickle.loads((tmp_path / name).read_bytes())["random"] for name in "abc")
    assert a == b != c


def test_a_source_edited_after_planning_is_refused(executor: Executor) -> None:
    (outcome,) = run(executor, job("Good", code="0" * 64))
    assert "was edited while it was in use" in str(outcome.error_of(0))


def test_starting_a_fit_costs_milliseconds(executor: Executor) -> None:
    run(executor, job("Good"))
    start = time.monotonic()
    outcomes = run(Executor(1), *[job("Good")] * 10)
    per_fit_s = (time.monotonic() - start) / 10
    assert all(len(outcome.scored) == 2 for outcome in outcomes)
    assert per_fit_s < 0.5, f"{per_fit_s:.3f} s per fit: the libraries are imported anew?"


def test_call_passes_results_and_errors(executor: Executor) -> None:
    assert executor.call(sorted, [3, 1, 2]) == [1, 2, 3]
    with pytest.raises(EpishotError, match="ValueError"):
        executor.call(int, "no number")


def test_map_trusted_keeps_the_order(executor: Executor) -> None:
    assert list(executor.map_trusted(pow, [2, 3, 4], 2)) == [4, 9, 16]
    assert list(Executor(1).map_trusted(pow, [2, 3, 4], 2)) == [4, 9, 16]

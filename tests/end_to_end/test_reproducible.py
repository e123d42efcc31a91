"""The same command on two fresh stores gives the same leaderboard, byte for byte, cost and provenance aside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from epishot.benchmark.cli import run_app

COMMAND = [
    "run",
    "--task",
    "synthetic@cells=3,pairs=500",
    "--regime",
    "labelled,unlabelled",
    "--shots",
    "0,8",
    "--draws",
    "2",
    "--seeds",
    "2",
    "--budget",
    "0.02",
]


@pytest.mark.parametrize(
    ("protocol", "methods"),
    [
        ("cell", "distance,gene-degree,support-ridge,pooled-trees-rank,protonet"),
        ("cell+chrom", "distance,gene-degree,support-ridge,pooled-logistic-rank,constant"),
    ],
)
def test_two_fresh_stores_and_one_or_two_jobs_give_one_leaderboard(
    protocol: str, methods: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    boards = []
    for jobs in ("1", "2"):
        store = tmp_path / f"store{jobs}"
        more = ["--protocol", protocol, "--methods", methods, "--jobs", jobs, "--store", str(store)]
        assert run_app([*COMMAND, *more]) == 0
        assert "failed" not in capfd.readouterr().out
        boards.append(store / "board")
    first, second = boards
    for name in ("LEADERBOARD.md", "leaderboard.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    records = sorted(path.relative_to(first) for path in first.glob("records/*/*/*"))
    assert records == sorted(path.relative_to(second) for path in second.glob("records/*/*/*"))
    assert len(records) == 2 * 7, "5 methods and 2 reference rows, each with its replicates"
    for path in records:
        if path.suffix == ".parquet":
            assert (first / path).read_bytes() == (second / path).read_bytes()
            continue
        one, other = (json.loads((board / path).read_text()) for board in boards)
        for volatile in ("cost", "command"):
            one.pop(volatile), other.pop(volatile)
        assert one == other


def test_scores_do_not_depend_on_what_else_was_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A method's compact metrics are the same alone and in company, from one store or from another."""
    alone, company = tmp_path / "alone", tmp_path / "company"
    base = ["run", "--task", "synthetic@cells=3,pairs=500", "--protocol", "cell", "--shots", "0,8", "--seeds", "1"]
    base += ["--draws", "2", "--budget", "0.02"]
    assert run_app([*base, "--methods", "protonet", "--store", str(alone)]) == 0
    assert run_app([*base, "--methods", "maml,distance,protonet", "--store", str(company)]) == 0
    path = "board/records/synthetic-cells3-pairs500/cell/protonet.json"
    one, other = (json.loads((store / path).read_text()) for store in (alone, company))
    assert one["entries"] == other["entries"]
    assert one["run_keys"] == other["run_keys"]
    capfd.readouterr()

"""What a user waits for, whole processes and by the clock: the command line, and the benchmark of `make demo`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

_EPISHOT = Path(sys.executable).with_name("epishot")


def run(*arguments: str, cwd: Path | None = None) -> float:
    start = time.perf_counter()
    subprocess.run([str(_EPISHOT), *arguments], check=True, capture_output=True, cwd=cwd)
    return time.perf_counter() - start


@pytest.mark.parametrize(("arguments", "at_most"), [(["--help"], 0.5), (["tasks"], 1.0)])
def test_a_command_answers_at_once(limit, row_of_seconds, full, arguments, at_most) -> None:
    took = min(run(*arguments) for _ in range(5 if full else 1))
    limit(row_of_seconds(f"`epishot {' '.join(arguments)}`", took, at_most))


def test_the_demo_and_its_second_run(limit, row_of_seconds, full, tmp_path) -> None:
    if not full:
        pytest.skip("takes a minute; `make perf` runs it")
    limit(row_of_seconds("benchmark of `make demo`", run("run", "--suite", "demo", cwd=tmp_path), 60))
    limit(row_of_seconds("the same again, all cache hits", run("run", "--suite", "demo", cwd=tmp_path), 5))

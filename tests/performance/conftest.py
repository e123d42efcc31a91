"""Side by side with the peers: both sides timed in turns in one process, on the same data, after they were found equal.

`make perf` runs the full sizes, prints the table of ratios and writes it as JSON. Everywhere else (`make test`) the
same tests run at tiny size: they then check equality and that the suite works, and time nothing that counts.

Times are seconds of CPU of this process, single-threaded, the least of several rounds: other programs on the machine
disturb them less than they disturb a clock.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

#: Set by `make perf`.
FULL = os.environ.get("EPISHOT_PERFORMANCE") == "full"
_ROWS: list[Row] = []


@dataclass(frozen=True)
class Row:
    """One line of the table: a ratio (`peer_s` given) or a limit in seconds.

    Attributes:
        floor_s: what the bytes or the arithmetic of the work alone would take on this machine; None where unknown.
    """

    work: str
    peer: str
    ours_s: float
    peer_s: float | None
    must_reach: float
    floor_s: float | None = None

    @property
    def passes(self) -> bool:
        """Whether the target is reached."""
        return self.ours_s <= self.must_reach if self.peer_s is None else self.peer_s / self.ours_s >= self.must_reach

    def cells(self) -> list[str]:
        """The line as text."""
        if self.peer_s is None:
            reach, measured = f"<= {self.must_reach:g} s", f"{self.ours_s:.2f} s"
        else:
            reach, measured = f">= {self.must_reach:,.0f}x", f"{self.peer_s / self.ours_s:,.1f}x"
        floor = "" if self.floor_s is None else f"{self.ours_s / self.floor_s:.1f}x the floor"
        return [
            self.work,
            self.peer,
            reach,
            measured,
            "passes" if self.passes else "FAILS",
            seconds(self.ours_s),
            floor,
        ]


@dataclass(frozen=True)
class Machine:
    """What this machine can do, measured in the same run."""

    bytes_per_s: float
    flops_per_s: float

    def floor_s(self, n_bytes: float = 0.0, flops: float = 0.0) -> float:
        """Seconds that moving the bytes or doing the arithmetic takes, whichever is more."""
        return max(n_bytes / self.bytes_per_s, flops / self.flops_per_s)


@dataclass(frozen=True)
class Race:
    """Times two implementations in turns and enters the row; use it once in a test."""

    benchmark: Any

    def __call__(
        self,
        work: str,
        ours: Callable[[], object],
        peer: tuple[str, Callable[[], object]],
        must_reach: float,
        *,
        rounds: int = 5,
        units: tuple[int, int] = (1, 1),
        floor_s: float | None = None,
    ) -> None:
        """Time both, interleaved.

        Args:
            ours: our side. peer: name and call of the other side. must_reach: ratio of the times.
            units: how often the two calls do the work (episodes, say); times are per unit.
            floor_s: see `Row`, per unit.
        """
        name, other = peer
        took: list[float] = []

        def turn() -> None:
            start = time.process_time()
            other()
            took.append(time.process_time() - start)

        self.benchmark.pedantic(ours, setup=turn, rounds=rounds if FULL else 1, warmup_rounds=int(FULL and rounds > 1))
        ours_s = self.benchmark.stats.stats.min / units[0] if self.benchmark.stats else float("nan")
        row = Row(work, name, ours_s, min(took) / units[1], must_reach, floor_s)
        self.benchmark.extra_info.update(asdict(row))
        _ROWS.append(row)


def seconds(value: float) -> str:
    """A time in a unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} us"


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether this is `make perf` and not the check that the suite runs."""
    return FULL


@pytest.fixture
def race(benchmark: Any) -> Race:
    """Times both sides."""
    torch.set_num_threads(1)
    return Race(benchmark)


@pytest.fixture
def limit() -> Callable[[Row], None]:
    """Enters a row without a peer."""
    return _ROWS.append


@pytest.fixture(scope="session")
def row_of_seconds() -> Callable[[str, float, float], Row]:
    """A row that must stay below a number of seconds: work, seconds, at most."""
    return lambda work, took, at_most: Row(work, "-", took, None, at_most)


@pytest.fixture(scope="session")
def machine() -> Machine:
    """Bandwidth of a large copy (read and write), and the rate of a 512 x 512 float32 product; one thread."""
    torch.set_num_threads(1)
    size = 1 << (26 if FULL else 20)
    source, target = np.ones(size // 8), np.ones(size // 8)
    square = torch.ones(512, 512)
    copy_s = min(_timed(lambda: np.copyto(target, source)) for _ in range(5))
    product_s = min(_timed(lambda: square @ square) for _ in range(5))
    return Machine(2 * size / copy_s, 2 * 512**3 / product_s)


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not (FULL and _ROWS):
        return
    header = ["work", "peer", "must reach", "measured", "", "EPIShot takes", "limit"]
    lines = [header, *(row.cells() for row in _ROWS)]
    terminalreporter.section("EPIShot and its peers")
    for cells in [lines[0], ["---"] * len(header), *lines[1:]]:
        terminalreporter.write_line("| " + " | ".join(cells) + " |")
    if target := os.environ.get("EPISHOT_PERFORMANCE_JSON"):
        rows = [{**asdict(row), "passes": row.passes} for row in _ROWS]
        Path(target).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")

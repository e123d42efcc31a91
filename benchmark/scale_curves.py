"""How cost grows: the same stages over a range of pairs, cells, shots and draws, with log-log slopes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .scale_stages import Found, apart, register, score, split
from .scale_task import write_scale_task

_PAIRS, _CELLS, _SHOTS, _DRAWS = 100_000, 4, 16, 10
_METHOD = "protonet"


@dataclass(frozen=True)
class Curve:
    """Seconds of one stage against the size of one thing.

    Attributes:
        against: pairs, cells, shots or draws. stage: what was timed. sizes, seconds: one point each.
    """

    against: str
    stage: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def slope(self) -> float:
        """Exponent b of seconds ~ size^b: least squares on logarithms over the larger half, where constants matter
        least.
        """
        half = len(self.sizes) // 2
        return float(np.polyfit(np.log(self.sizes[-half - 1 :]), np.log(self.seconds[-half - 1 :]), 1)[0])


def curves(largest: int, stages: dict[str, Callable[[Path], Found]]) -> Iterator[Curve]:
    """Measure all curves.

    Args:
        largest: pairs of the largest point of the curve against pairs.
        stages: more stages of a task's folder, by name; each gives its seconds under `seconds`.
    """
    sizes = tuple(int(size) for size in np.geomspace(largest / 100, largest, 5))
    with tempfile.TemporaryDirectory(prefix="epishot-scale-") as folder:
        tasks = {size: write_scale_task(Path(folder, f"pairs-{size}"), size, _CELLS) for size in sizes}
        yield from _against("pairs", sizes, lambda size: _stages(tasks[size], stages))
        cells = (2, 4, 8, 16, 32)
        by_cells = {n: write_scale_task(Path(folder, f"cells-{n}"), _PAIRS, n) for n in cells}
        yield from _against("cells", cells, lambda n: _stages(by_cells[n], {}))
        small = write_scale_task(Path(folder, "small"), _PAIRS, _CELLS)
        for against, values in (("shots", (8, 16, 32, 64, 128)), ("draws", (10, 30, 100, 300))):
            yield from _against(against, values, lambda n, a=against: _conditions(small, **{a: n}))  # type: ignore[misc]


def _stages(folder: Path, more: dict[str, Callable[[Path], Found]]) -> dict[str, float]:
    registered, made = apart(register, folder), apart(split, folder, _SHOTS, _DRAWS)
    scored = apart(score, folder, _METHOD, _SHOTS, _DRAWS, 0.1)
    return {
        "register": registered["register_s"],
        "split and draw episodes": made["columns_s"] + made["episodes_s"],
        f"fit {_METHOD}": scored["fit_s"],
        f"score {_METHOD}": scored["score_s"],
        **{name: apart(stage, folder)["seconds"] for name, stage in more.items()},
    }


def _conditions(folder: Path, shots: int = _SHOTS, draws: int = _DRAWS) -> dict[str, float]:
    made, scored = apart(split, folder, shots, draws), apart(score, folder, _METHOD, shots, draws, 0.1)
    return {"split and draw episodes": made["episodes_s"], f"score {_METHOD}": scored["score_s"]}


def _against(against: str, sizes: Sequence[int], measure: Callable[[int], dict[str, float]]) -> list[Curve]:
    points = [measure(size) for size in sizes]
    return [Curve(against, stage, tuple(sizes), tuple(point[stage] for point in points)) for stage in points[0]]

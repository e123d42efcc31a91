"""`epishot scale` at tiny size: the stages run on a generated task, and slopes are exponents."""

from __future__ import annotations

from pathlib import Path

import pytest

from epishot.benchmark.scale_curves import Curve
from epishot.benchmark.scale_stages import apart, register, score, split
from epishot.benchmark.scale_task import write_scale_task
from epishot.leaderboard.figure_scale import draw_curves


def test_stages_of_a_small_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPISHOT_CACHE", str(tmp_path / "cache"))
    folder = write_scale_task(tmp_path / "task", 4000, 4)
    assert register(folder)["pairs"] == 4000
    assert split(folder, 8, 2)["splits"] == 4
    for method in ("pooled-logistic-rank", "protonet"):
        assert score(folder, method, 8, 2, 0.01)["queries"] > 100


def test_stages_run_apart_keep_their_tables_where_this_process_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And registering twice takes as much twice: it finds nothing that an earlier stage has left."""
    monkeypatch.setenv("EPISHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = write_scale_task(tmp_path / "task", 4000, 4)
    apart(register, folder)
    assert not (tmp_path / "cache").exists()
    apart(split, folder, 8, 2)
    assert any((tmp_path / "cache").rglob("*"))
    assert not (tmp_path / "home").exists()


def test_the_slope_is_the_exponent_of_the_larger_half(tmp_path: Path) -> None:
    curve = Curve("pairs", "fit", (1, 10, 100, 1000), (5.0, 5.0, 50.0, 500.0))
    assert curve.slope == pytest.approx(1.0)
    assert draw_curves([curve], tmp_path / "scale.svg").stat().st_size > 1000

"""The table cache: same table back, found only under the same sources, card and code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from epishot.tasks.card import TaskCard
from epishot.tasks.errors import TableError
from epishot.tasks.schema import arrow_schema
from epishot.tasks.sources import Manifest, SourceFile
from epishot.tasks.table_cache import cached_table


def make_card(**changes: Any) -> TaskCard:
    facts: dict[str, Any] = dict.fromkeys(("version", "summary", "genome_build", "licence", "citation"), "1")
    facts |= {"name": "toy", "label_meaning": "1", "source": {"repository": "generated", "revision": "1"}}
    facts |= {"cells": ("A", "B"), "features": (), "support_pool_chromosomes": ("chr1",)}
    return TaskCard.model_validate({**facts, **changes})


def manifest(sha256: str = "0" * 64) -> Manifest:
    return Manifest("toy", "toy", "x", "y", "MIT", {"a": SourceFile("a", sha256, 1, "a")})


def table() -> pa.Table:
    row = dict.fromkeys((field.name for field in arrow_schema(0)), "x")
    numbers = dict.fromkeys(("enhancer_start", "enhancer_end", "promoter_start", "promoter_end", "label"), 1)
    return pa.Table.from_pylist([{**row, **numbers, "distance": None, "features": []}] * 3, schema=arrow_schema(0))


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Ask for the table and return how often it was built so far."""
    monkeypatch.setenv("EPISHOT_CACHE", str(tmp_path))
    count = 0

    def build() -> pa.Table:
        nonlocal count
        count += 1
        return table()

    def ask(card: TaskCard | None = None, sha256: str = "0" * 64) -> int:
        assert cached_table(card or make_card(), manifest(sha256), ["a"], __name__, build).equals(table())
        return count

    return ask


def test_a_table_is_built_once_per_source_and_card(builds: Callable[..., int]) -> None:
    assert [builds(), builds()] == [1, 1]
    assert builds(sha256="1" * 64) == 2
    assert builds(make_card(version="2")) == 3
    assert builds() == 3


def test_a_damaged_file_is_built_again(builds: Callable[..., int], tmp_path: Path) -> None:
    builds()
    (file,) = (tmp_path / "tables").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert builds() == 2
    assert builds() == 2


def test_a_failing_build_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPISHOT_CACHE", str(tmp_path))

    def build() -> pa.Table:
        raise TableError("toy", ["wrong"])

    with pytest.raises(TableError):
        cached_table(make_card(), manifest(), ["a"], __name__, build)
    assert not list(tmp_path.rglob("*"))


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("EPISHOT_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="Set EPISHOT_CACHE"):
        assert cached_table(make_card(), manifest(), ["a"], __name__, table).equals(table())

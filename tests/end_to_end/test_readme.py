"""What the README shows must work: its plugins pass the checks, its card describes a valid task."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from epishot.benchmark.compact import read_compact
from epishot.leaderboard.board import Loaded, build_board
from epishot.leaderboard.format import interval, number
from epishot.methods import find_method
from epishot.methods.check import run_checks
from epishot.tasks import TaskCard
from epishot.tasks.schema import BASE_FIELDS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(("file", "name"), [("nearest.py", "Nearest"), ("mine.py", "Knn")])
def test_example_methods_keep_the_contract(file: str, name: str, tmp_path: Path) -> None:
    (code,) = [block for kind, block in BLOCKS if kind == "python" and f"# {file}" in block]
    (tmp_path / file).write_text(code)
    results = run_checks(find_method(f"{tmp_path / file}:{name}"))
    assert [result.name for result in results if result.status == "fail"] == []
    assert sum(result.status == "pass" for result in results) >= 12


def test_example_card_and_columns_are_those_of_the_schema() -> None:
    (text,) = [block for kind, block in BLOCKS if kind == "json"]
    card = TaskCard.model_validate(json.loads(text))
    (columns,) = [block.split() for kind, block in BLOCKS if not kind and block.startswith("pair_id")]
    assert set(columns) <= {field.name for field in BASE_FIELDS} | set(card.feature_names)


def test_figures_in_the_readme_are_those_of_the_published_board() -> None:
    board = build_board(Loaded(*pair) for pair in read_compact(Path(__file__).parents[2] / "leaderboard"))
    published = {
        (table.key.task, row.name): f"{number(row.macro.value)} {interval(row.macro.interval())}"
        for table in board.tables
        for row in table.rows
        if table.key.protocol == "cell+chrom" and table.key.k == 0 and row.macro is not None
    }
    results = README.partition("## Results")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| ([a-z][a-z-]+)(?: \(control\))? \| (.+?) \| (.+?) \|$", results, re.MULTILINE)
    assert len(shown) >= 10
    for name, *texts in shown:
        for task, text in zip(("bengi", "crispr"), texts, strict=True):
            assert text.replace("*", "") == published[task, name]

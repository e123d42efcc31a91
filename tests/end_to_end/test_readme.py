"""What the README shows must work: its plugins pass the checks, its card describes a valid task."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

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

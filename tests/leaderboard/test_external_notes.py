"""External rows say what they are, and nothing in them is taken for markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from epishot.benchmark.records import ExternalFacts
from epishot.leaderboard.board import Board, Loaded, build_board
from epishot.leaderboard.export import board_json
from epishot.leaderboard.format import code_span
from epishot.leaderboard.markdown import board_markdown

FACTS = ExternalFacts(
    file="a`<img src=x>`|b.tsv",
    sha256="f" * 64,
    columns={"score": "pred"},
    joined_by="pair id",
    rows=120,
    matched=100,
    outside=0,
    unmatched={"pair id not in the task": 20},
    repeats=3,
    conflicts=0,
    other_labels=0,
    query=90,
    missing=7,
    fill=0.0,
    scale="ranks",
    inverse=False,
    notes=("7 of 90 query pairs had no prediction and score 0 (7.8 %)",),
)


@pytest.fixture
def board(make: Callable[..., Loaded]) -> Board:
    shared = {"kind": "external", "regimes": ("none",), "external": FACTS, "budget": 7.0, "command": "epishot `<b>`"}
    return build_board([make("rule", 0.2, kind="control"), make("theirs", 0.6, **shared)])


def test_external_rows_stand_in_every_table_with_their_notes(board: Board) -> None:
    assert [{row.name: row.kind for row in table.rows}["theirs"] for table in board.tables] == ["external"] * 2
    assert all({row.name: row.beats_control for row in table.rows}["theirs"] for table in board.tables)
    text = board_markdown(board)
    assert text.count("External row theirs: 7 of 90 query pairs had no prediction and score 0 (7.8 %).") == 2
    assert "external k=0" in text
    (line,) = [line for line in text.splitlines() if "external, not re-runnable)" in line]
    assert "83 of 90 query pairs predicted, 20 rows of no pair, 3 repeats, 0 conflicts" in line
    assert "ffffffffffffffff" in line


def test_names_of_files_and_commands_are_printed_literally(board: Board) -> None:
    text = board_markdown(board)
    # Whatever is not code and not escaped would be taken for markup.
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert "<img" not in outside
    assert "<b>" not in outside
    assert FACTS.file in text


@pytest.mark.parametrize("text", ["plain", "a`b", "``", "a``b`c", "`"])
def test_code_spans_hold_any_backticks(text: str) -> None:
    fence = re.match("`+", code_span(text)).group()  # type: ignore[union-attr]
    inner = code_span(text).removeprefix(fence).removesuffix(fence)
    assert inner.strip() == text
    assert fence not in re.findall("`+", inner)


def test_the_json_export_keeps_the_matching_report(board: Board) -> None:
    provenance = {one["method"]["name"]: one for one in json.loads(board_json(board))["provenance"]}
    assert ExternalFacts.model_validate(provenance["theirs"]["external"]) == FACTS
    assert "external" not in provenance["rule"]

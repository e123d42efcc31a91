from __future__ import annotations

import re

import pytest

from epishot.leaderboard.board import build_board
from epishot.leaderboard.latex import board_latex, escape_latex


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b", r"a\_b"),
        ("50 % & #1", r"50 \% \& \#1"),
        ("{x}", r"\{x\}"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ("x\n\ty", "x y"),
        ("≈control", r"$\approx$control"),
        ("$1^~", r"\$1\textasciicircum{}\textasciitilde{}"),
    ],
)
def test_special_characters_are_printed_literally(text: str, latex: str) -> None:
    assert escape_latex(text) == latex


def test_no_name_can_run_a_command() -> None:
    escaped = escape_latex(r"\input{/etc/passwd}")
    assert escaped == r"\textbackslash{}input\{/etc/passwd\}"
    # What is left of commands are the escapes themselves.
    assert set(re.findall(r"\\[a-zA-Z]+", escaped)) == {r"\textbackslash"}


def test_every_table_has_its_rows_with_the_tie_group_in_bold(make) -> None:
    board = build_board(
        [
            make("best_one", 0.6),
            make("twin", 0.5995, own_noise=0.01),
            make("low", 0.2, kind="control", regimes=("none",)),
            make("ceiling", 0.8, kind="reference", regimes=("none",)),
        ]
    )
    text = board_latex(board)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == len(board.tables) == 2
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(set(labels)) == 2
    assert text.count(r"\textbf{best\_one}") == 2
    assert text.count(r"\textbf{twin}") == 2
    assert r"\textbf{low}" not in text
    assert r"\textbf{ceiling}" not in text
    assert r"\textbf{.600} {\scriptsize [.5" in text


def test_all_lines_of_a_table_have_as_many_columns_as_it_declares(make) -> None:
    gone = (("B", 16),)
    for headline in ("all", "zero"):
        board = build_board([make("a&b", 0.4, infeasible=gone, headline=headline), make("m", 0.3, headline=headline)])
        for block in board_latex(board).split(r"\begin{table}")[1:]:
            columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", block)
            assert columns is not None
            lines = [line for line in block.splitlines() if line.endswith(r"\\")]
            assert len(lines) == 5
            assert {len(re.split(r"(?<!\\)&", line)) for line in lines} == {len(columns[1])}


def test_failed_infeasible_and_undefined_cells_are_named(make) -> None:
    text = board_latex(build_board([make("m", 0.4, failed=("B",)), make("ok", -0.05)]))
    assert "& failed & n/a" in text
    assert "$-$.050" in text
    text = board_latex(build_board([make("m", 0.4, infeasible=(("B", 16),))]))
    assert text.count("& infeasible &") == 1

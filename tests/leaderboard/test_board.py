from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from epishot.leaderboard.board import build_board
from epishot.leaderboard.export import board_csv, board_json, write_board
from epishot.leaderboard.format import escape_csv, escape_markdown, kind_marks, number
from epishot.leaderboard.markdown import BEGIN, END
from epishot.leaderboard.terminal import print_board
from epishot.tasks.errors import EpishotError


def rows_of(board, k):
    (table,) = [t for t in board.tables if t.key.k == k]
    return {row.name: row for row in table.rows}, table


def test_macro_is_the_mean_of_corrected_values_and_replicates(make) -> None:
    one = make("m", 0.4)
    rows, _ = rows_of(build_board([one]), 0)
    assert rows["m"].macro.value == pytest.approx(0.4)
    np.testing.assert_allclose(rows["m"].macro.replicates, one.replicates[:2].mean(axis=0), rtol=1e-6)


def test_order_groups_and_control_marks(make) -> None:
    board = build_board(
        [
            make("good", 0.6),
            make("twin", 0.5995, own_noise=0.01),
            make("weak", 0.2005, own_noise=0.01),
            make("base", 0.2, kind="control", regimes=("none",)),
            make("listed", 0.3, kind="control", marks="TC", regimes=("none",)),
            make("ceiling", 0.8, kind="reference", regimes=("none",)),
        ]
    )
    rows, table = rows_of(board, 0)
    assert [row.name for row in table.rows] == ["ceiling", "good", "twin", "listed", "weak", "base"]
    assert {name: row.group for name, row in rows.items()} == {
        "ceiling": None,
        "good": 1,
        "twin": 1,
        "listed": 2,
        "weak": 3,
        "base": 3,
    }
    assert (table.best_control, table.best_plain_control) == ("listed", "base")
    # Unmarked methods are compared with the best control that does not read the candidate list.
    assert rows["good"].beats_control is True
    assert rows["weak"].beats_control is False
    assert rows["base"].beats_control is None


def test_zero_shot_rows_stand_at_every_k(make) -> None:
    board = build_board([make("m", 0.4), make("pooled", 0.5, regimes=("none",))])
    rows, _ = rows_of(board, 16)
    assert rows["pooled"].zero_shot
    assert not rows["m"].zero_shot
    assert rows["pooled"].macro.value == pytest.approx(0.5)


def test_infeasible_cells_leave_the_macro_of_every_row(make) -> None:
    gone = (("B", 16),)
    board = build_board([make("m", 0.4, infeasible=gone), make("pooled", 0.5, regimes=("none",))])
    rows, table = rows_of(board, 16)
    assert table.macro_cells == ("A",)
    assert table.cells[1].infeasible == "too few pairs"
    np.testing.assert_allclose(
        rows["pooled"].macro.replicates, make("pooled", 0.5, regimes=("none",)).replicates[0], rtol=1e-6
    )


def test_a_failed_cell_gives_no_macro_and_is_shown(make) -> None:
    board = build_board([make("m", 0.4, failed=("B",)), make("ok", 0.3)])
    rows, _ = rows_of(board, 0)
    assert rows["m"].macro is None
    assert rows["m"].group is None
    assert rows["m"].problems == {"B": "failed: ValueError: boom"}
    assert rows["ok"].group == 1


def test_tiny_cells_have_no_macro_above_zero_shots(make) -> None:
    board = build_board([make("m", 0.4, headline="zero"), make("a", 0.3, headline="zero")])
    rows, table = rows_of(board, 16)
    assert rows["m"].macro is None
    assert "too small" in table.macro_reason
    assert [row.name for row in table.rows] == ["m", "a"]
    assert rows_of(board, 0)[0]["m"].macro is not None


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("task_hash", "x" * 64, "versions of the task"),
        ("episode_set", "x" * 64, "episode sets"),
        ("budget", 0.1, "training budgets"),
        ("evaluator", "0", "versions of the evaluator"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused_by_name(make, field, value, words) -> None:
    with pytest.raises(EpishotError, match=f"'a' and 'b'.*{words}"):
        build_board([make("a", 0.4), make("b", 0.3, **{field: value})])


def test_no_means_over_cells_where_there_is_no_macro(make) -> None:
    tiny = rows_of(build_board([make("m", 0.4, headline="zero")]), 16)[0]["m"]
    assert tiny.metrics == {}
    full = rows_of(build_board([make("m", 0.4)]), 16)[0]["m"]
    assert full.metrics["auroc"] == pytest.approx(0.7)


def test_pooled_metrics_over_other_cells_are_not_shown(make) -> None:
    zero_shot = make("pooled", 0.5, regimes=("none",))
    assert rows_of(build_board([zero_shot]), 0)[0]["pooled"].metrics["cell_pooled_aupr"] == 0.5
    board = build_board([make("m", 0.4, infeasible=(("B", 16),)), zero_shot])
    rows, _ = rows_of(board, 16)
    assert "cell_pooled_aupr" not in rows["pooled"].metrics


def test_a_row_that_orders_nothing_says_so(make) -> None:
    tied = (10 / 100 - 0.13) / (1 - 0.13)
    rows, _ = rows_of(build_board([make("prior", tied), make("m", 0.3)]), 0)
    assert rows["prior"].constant
    assert not rows["m"].constant
    assert "constant" in kind_marks(rows["prior"])


def test_rows_with_fewer_seeds_say_so_unless_they_need_only_one(make) -> None:
    records = [
        make("three", 0.4, seeds=3, deterministic=False),
        make("one", 0.3, seeds=1, deterministic=False),
        make("fixed", 0.2, seeds=1),
    ]
    rows, _ = rows_of(build_board(records), 0)
    assert {name: row.seeds for name, row in rows.items()} == {"three": None, "one": 1, "fixed": None}


def test_infeasible_cells_have_no_interval_in_the_files(make) -> None:
    board = build_board([make("m", 0.4, infeasible=(("B", 16),)), make("pooled", 0.5, regimes=("none",))])
    lines = [line for line in csv.DictReader(io.StringIO(board_csv(board))) if line["status"] == "infeasible"]
    assert len(lines) == 2
    assert all(line["low"] == line["corrected"] == "" for line in lines)


def test_a_file_without_markers_keeps_its_text(make, tmp_path: Path) -> None:
    (tmp_path / "LEADERBOARD.md").write_text("# Mine\n\nBy hand.\n")
    write_board(build_board([make("m", 0.4)]), tmp_path)
    text = (tmp_path / "LEADERBOARD.md").read_text()
    assert text.startswith("# Mine\n\nBy hand.\n\n" + BEGIN)


def test_files_are_equal_whatever_the_order_of_records_and_keep_text_around_the_markers(make, tmp_path: Path) -> None:
    records = [make("m", 0.4), make("=cmd|x", 0.3), make("c", 0.1, kind="control", regimes=("none",))]
    write_board(build_board(records), tmp_path / "one")
    write_board(build_board(records[::-1]), tmp_path / "two")
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    board = tmp_path / "one" / "LEADERBOARD.md"
    board.write_text(board.read_text().replace(BEGIN, "Kept.\n" + BEGIN).replace(END, END + "\nAlso kept."))
    write_board(build_board(records[:1]), tmp_path / "one")
    text = board.read_text()
    assert "Kept." in text
    assert "Also kept." in text
    assert "cmd" not in text


def test_cost_stays_out_of_the_leaderboard(make) -> None:
    first, second = make("m", 0.4), make("m", 0.4)
    second = type(second)(second.record.model_copy(update={"cost": {"fit_s": 99.0}}), second.replicates)
    assert board_csv(build_board([first])) == board_csv(build_board([second]))
    assert board_json(build_board([first])) == board_json(build_board([second]))


def test_csv_and_json_hold_full_precision_and_no_formulas(make) -> None:
    board = build_board([make("=evil()", 1 / 3)])
    lines = list(csv.DictReader(io.StringIO(board_csv(board))))
    assert lines[0]["method"] == "'=evil()"
    assert float(lines[0]["corrected"]) == 1 / 3
    rows = json.loads(board_json(board))["rows"]
    assert rows[0]["reasons"] == {"brier": "no-logits"}
    assert rows[2]["cell"] == ""
    assert rows[2]["metrics"]["corrected"] == pytest.approx(1 / 3)


def test_names_cannot_inject_markup() -> None:
    assert escape_markdown("<b>|x_y`") == "&lt;b&gt;\\|x\\_y\\`"
    assert escape_csv("@SUM(A1)") == "'@SUM(A1)"


@pytest.mark.parametrize(
    ("value", "text"), [(0.4123, ".412"), (-0.03, "-.030"), (1.0, "1.000"), (None, "n/a"), (-0.0001, ".000")]
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_terminal_shows_every_row_and_infeasible_cells(make) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    print_board(build_board([make("m", 0.4, infeasible=(("B", 16),)), make("other", 0.2)]), console)
    text = console.export_text()
    assert "infeasible" in text
    assert text.count("other") == 2


def test_a_method_that_was_not_run_here_is_shown_as_not_run(make) -> None:
    board = build_board([make("full", 0.4), make("half", 0.3, shots=(0,)), make("pooled", 0.5, regimes=("none",))])
    rows, _ = rows_of(board, 16)
    assert rows["half"].problems == {"A": "not run", "B": "not run"}
    assert rows["half"].macro is None
    assert rows["half"].group is None
    assert {line["status"] for line in csv.DictReader(io.StringIO(board_csv(board))) if line["method"] == "half"} == {
        "ok",
        "macro",
        "not run",
        "incomplete: no result in A, B",
    }


def test_a_cell_that_only_the_reference_lacks_stays_in_the_macro(make) -> None:
    oracle = make("within-cell", 0.6, kind="reference", regimes=("none",), infeasible=(("B", 0),))
    rows, table = rows_of(build_board([make("m", 0.4), oracle]), 0)
    assert table.macro_cells == ("A", "B")
    assert rows["m"].macro is not None
    assert rows["within-cell"].macro is None
    assert rows["within-cell"].problems == {"B": "infeasible: too few pairs"}


def test_files_hold_draws_seeds_and_why_a_mean_is_undefined(make) -> None:
    board = build_board([make("m", 0.4, seeds=3, deterministic=False)])
    lines = json.loads(board_json(board))["rows"]
    assert {(line["draws"], line["seeds"]) for line in lines if line["cell"]} == {(2, 3)}
    assert lines[2]["cell"] == ""
    assert lines[2]["reasons"]["brier"] == "no-logits"

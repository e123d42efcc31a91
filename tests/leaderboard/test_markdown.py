from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import norm

from epishot.leaderboard.board import build_board
from epishot.leaderboard.curves import curve_panels
from epishot.leaderboard.markdown import board_markdown
from epishot.leaderboard.markdown_notes import cells_note, curve_table, resolution_note
from epishot.leaderboard.separable import resolution, smallest_sign_p


def test_the_smallest_separable_difference_is_where_tie_groups_switch(make) -> None:
    """A row just within the printed difference ties with the top row, one just beyond it does not."""
    needed = resolution(build_board([make("top", 0.5), make("probe", 0.3, own_noise=0.02)]).tables[0])
    assert needed is not None
    for factor, groups in ((0.98, {1}), (1.02, {1, 2})):
        rows = build_board([make("top", 0.5), make("probe", 0.5 - factor * needed.largest, own_noise=0.02)]).tables[0]
        assert {row.group for row in rows.rows} == groups


def test_resolution_is_the_paired_error_times_the_quantile_of_holms_first_step(make) -> None:
    loaded = [make(name, value, own_noise=0.01) for name, value in (("a", 0.5), ("b", 0.4), ("c", 0.1))]
    found = resolution(build_board(loaded).tables[0])
    assert found is not None
    top, *others = [one.replicates[:2].astype(float).mean(axis=0) for one in loaded]
    expected = [norm.isf(0.0125) * np.std(top - other, ddof=1) for other in others]
    assert (found.smallest, found.largest) == pytest.approx((min(expected), max(expected)), rel=1e-5)
    assert found.comparisons == 2
    assert found.ties == ()


def test_neighbours_that_tie_are_named_in_order(make) -> None:
    rows = [("a", 0.6), ("a_2", 0.5999), ("c", 0.4), ("d", 0.2), ("e", 0.1999)]
    table = build_board([make(name, value, own_noise=0.01) for name, value in rows]).tables[0]
    found = resolution(table)
    assert found is not None
    assert found.ties == (("a", "a_2"), ("d", "e"))
    assert "a ≈ a\\_2; d ≈ e." in resolution_note(table)


def test_a_table_with_one_row_claims_nothing(make) -> None:
    assert resolution_note(build_board([make("only", 0.5)]).tables[0]) == ""


def test_few_cells_cannot_rank_cell_lines_at_large() -> None:
    assert smallest_sign_p(5) == pytest.approx(0.0625)
    assert "p = .0625 at best" in cells_note(5)
    assert "no ranking for cell lines at large" in cells_note(5)
    assert "no ranking" not in cells_note(6)
    assert "critical-difference" in cells_note(9)
    assert "critical-difference" not in cells_note(13)


def test_learning_curves_follow_rows_over_k(make) -> None:
    board = build_board(
        [
            make("learner", 0.4, shots=(0, 16, 64)),
            make("pooled", 0.5, regimes=("none",)),
            make("ceiling", 0.8, kind="reference", regimes=("none",)),
        ]
    )
    (panel,) = curve_panels(board)
    assert panel.shots == (0, 16, 64)
    assert panel.same_cells
    assert [curve.name for curve in panel.curves] == ["ceiling", "pooled", "learner"]
    pooled = panel.curves[1]
    assert pooled.zero_shot
    assert [point.value for point in pooled.points if point] == pytest.approx([0.5] * 3)
    text = curve_table(panel)
    assert "| Method | k = 0<br>2 cells | k = 16<br>2 cells | k = 64<br>2 cells |" in text
    assert text.count("**.500**") == 3
    assert "may not be compared" not in text


def test_curves_over_different_cells_say_so(make) -> None:
    board = build_board([make("m", 0.4, infeasible=(("B", 16),)), make("n", 0.3, infeasible=(("B", 16),))])
    (panel,) = curve_panels(board)
    assert panel.cells == (("A", "B"), ("A",))
    assert "means over different cells and may not be compared" in curve_table(panel)


def test_cells_too_small_for_a_macro_have_no_curves(make) -> None:
    assert curve_panels(build_board([make("m", 0.4, headline="zero")])) == []


def test_names_are_escaped_wherever_they_stand(make) -> None:
    name = "x_<b>|y"
    board = build_board([make(name, 0.4, kind="control", regimes=("none",)), make(f"{name}2", 0.39, own_noise=0.01)])
    text = board_markdown(board)
    assert "<b>" not in text
    assert not re.search(r"(?<!\\)\|y", text)
    assert "Best control: x\\_&lt;b&gt;\\|y." in text


def test_a_board_without_context_controls_names_one_control(make) -> None:
    board = build_board([make("m", 0.4), make("listed", 0.3, kind="control", marks="TC", regimes=("none",))])
    assert "Best control: listed.\n" in board_markdown(board)


def test_undefined_metrics_say_why(make) -> None:
    board = build_board([make("m", 0.4), make("gap", 0.3, failed=("B",))])
    text = board_markdown(board)
    # The fixture knows AUROC, has no logits for Brier, and says nothing of the others.
    assert re.search(r"Why n/a: .*no-logits for Brier \(m\)", text)
    assert "no result in B for AUROC, distance-matched AUPR, Brier" in text
    assert "(gap)" in text


def test_the_oracle_of_real_tasks_is_explained(make) -> None:
    assert "within-cell, boosted trees" in board_markdown(build_board([make("m", 0.4)]))

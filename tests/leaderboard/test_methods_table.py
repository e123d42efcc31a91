"""METHODS.md: cost per fit, the gain from support with its paired interval, and the cells in which a row leads."""

from __future__ import annotations

from pathlib import Path

import pytest

from epishot.leaderboard.board import Loaded, build_board
from epishot.leaderboard.export import write_board
from epishot.leaderboard.methods_table import methods_markdown


def cells(text: str, name: str) -> list[str]:
    """The row of a method in the first table."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


@pytest.fixture
def risen(make):
    """A method whose support adds .05 in every cell and resample."""

    def build(name: str, value: float) -> Loaded:
        plain = make(name, value, marks="T", own_noise=0.0)
        entries, replicates = [], plain.replicates.copy()
        for entry in plain.record.entries:
            if entry.k:
                replicates[entry.replicates] = plain.replicates[entry.replicates - 2] + 0.05
                entry = entry.model_copy(update={"metrics": {**entry.metrics, "corrected": value + 0.05}})
            entries.append(entry)
        return Loaded(plain.record.model_copy(update={"entries": tuple(entries)}), replicates)

    return build


def test_what_a_method_reads_costs_and_gains(make, risen) -> None:
    text = methods_markdown(build_board([make("base", 0.4, regimes=("none",)), risen("shot", 0.3)]))
    assert cells(text, "shot") == ["shot", "T", "F", "labelled", "0.9", ".300", ".350", "+0.050 [+0.050, +0.050]", ""]
    assert cells(text, "base")[:5] == ["base", "", "F", "none", "0.9"]
    assert cells(text, "base")[7] == ""  # no support, no gain


def test_leads_name_the_cells_and_the_shots(make, risen) -> None:
    text = methods_markdown(build_board([make("base", 0.32, regimes=("none",)), risen("shot", 0.3)]))
    assert cells(text, "base")[-1] == "A (k = 0), B (k = 0)"
    assert cells(text, "shot")[-1] == "A (k = 16), B (k = 16)"
    text = methods_markdown(build_board([make("base", 0.4, regimes=("none",)), risen("shot", 0.3)]))
    assert cells(text, "base")[-1] == "A, B"


def test_reference_rows_lead_nothing_and_tables_without_a_macro_say_why(make) -> None:
    ceiling = make("ceiling", 0.9, kind="reference", headline="zero")
    text = methods_markdown(build_board([ceiling, make("m", 0.4, headline="zero")]))
    assert "| ceiling " not in text
    assert cells(text, "m")[-1] == "A, B"
    assert cells(text, "m")[6:8] == ["n/a", ""]
    assert "No macro mean at k = 16: the cells are too small" in text


def test_the_file_is_written_beside_the_board(make, tmp_path: Path) -> None:
    write_board(build_board([make("m", 0.4)]), tmp_path)
    assert (tmp_path / "METHODS.md").read_text().startswith("# The methods side by side")

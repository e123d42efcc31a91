"""ENERGY.md: what the potential ranks is read off the records only where they show it; controls carry their notes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from epishot.leaderboard.board import Loaded, build_board
from epishot.leaderboard.config_notes import config_notes
from epishot.leaderboard.energy_table import coupling_of, energy_markdown
from epishot.leaderboard.export import board_csv, board_json, write_board
from epishot.leaderboard.markdown import board_markdown
from epishot.leaderboard.page.model import page_model


def configured(loaded: Loaded, **config: object) -> Loaded:
    method = loaded.record.method.model_copy(update={"config": json.dumps(config)})
    return Loaded(loaded.record.model_copy(update={"method": method}), loaded.replicates)


@pytest.fixture
def energy(make: Callable[..., Loaded]) -> Callable[..., Loaded]:
    def build(
        name: str, value: float, kind: str, *, rise: float = 0.0, unseen: str = "raise", **more: object
    ) -> Loaded:
        one = configured(
            make(name, value),
            coupling={"kind": kind},
            environment={"student": "mean", "teacher": "id_table", "unseen": unseen},
            **more,
        )
        entries = tuple(
            entry.model_copy(update={"metrics": {**entry.metrics, "corrected": value + rise}}) if entry.k else entry
            for entry in one.record.entries
        )
        return Loaded(one.record.model_copy(update={"entries": entries}), one.replicates)

    return build


def cells(text: str, name: str) -> list[str]:
    """The row of a method in the first table."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_scalar_coupling_shows_its_own_value_as_that_of_u(energy) -> None:
    board = build_board([energy("energy-a", 0.4, "additive"), energy("energy-m", 0.3, "affine", rise=0.05)])
    text = energy_markdown(board)
    assert cells(text, "energy-a")[:4] == ["energy-a", "additive", "mean, taught by id\\_table", ".400"]
    assert cells(text, "energy-m")[3] == "moved"
    assert cells(text, "energy-m")[5].startswith(".350")


def test_a_coupling_that_looks_at_the_pair_needs_a_row_of_u(energy) -> None:
    film = energy("energy-f", 0.4, "film")
    assert cells(energy_markdown(build_board([film])), "energy-f")[3] == "n/a"
    potential = energy("energy-f[readout=potential]", 0.37, "film", readout="potential")
    text = energy_markdown(build_board([film, potential]))
    assert cells(text, "energy-f")[3] == ".370"
    assert "readout" not in text.replace("(readout = potential)", "")


def test_the_file_is_written_for_energy_methods_alone(make, energy, tmp_path: Path) -> None:
    plain = build_board([make("m", 0.4)])
    assert energy_markdown(plain) == ""
    assert "ENERGY.md" not in {path.name for path in write_board(plain, tmp_path / "plain")}
    both = build_board([make("m", 0.4), energy("energy-a", 0.3, "additive")])
    (path,) = [path for path in write_board(both, tmp_path / "both") if path.name == "ENERGY.md"]
    assert "k = 0: m **.400** [" in path.read_text()


def test_configurations_before_sections_are_read(make) -> None:
    assert coupling_of(configured(make("energy-a", 0.4), coupling="bilinear").record.method) == "bilinear"
    assert coupling_of(configured(make("other", 0.4), coupling="bilinear").record.method) == ""


def test_what_only_negative_controls_do_is_said_beside_the_row(energy) -> None:
    table = energy("energy-t", 0.4, "additive", unseen="mean")
    losses = {"pull": {"weight": 1, "leak": True}, "task": {"weight": 1, "leak": False}}
    mixed = energy("energy-x", 0.3, "additive", sampler={"mixed_support": True}, losses=losses)
    board = build_board([table, mixed, energy("energy-a", 0.2, "additive")])
    note = "a cell that training has not seen gets the mean of the table of training cells (unseen = mean)"
    text = board_markdown(board)
    assert text.count(f"Row energy-t: {note}.") == len(board.tables)
    assert "Row energy-x: in training a support is drawn from all cells at once" in text
    assert "against their declaration (leak): pull." in text
    assert "Row energy-a" not in text
    assert f"energy-t: {note}." in energy_markdown(board)
    rows = {row["name"]: row["notes"] for row in page_model(board)["sections"][0]["tables"][0]["rows"]}
    assert rows["energy-t"] == [note]
    assert {tuple(line["notes"]) for line in json.loads(board_json(board))["rows"] if line["method"] == "energy-t"} == {
        (note,)
    }
    assert {
        line["notes"] for line in csv.DictReader(io.StringIO(board_csv(board))) if line["method"] == "energy-t"
    } == {note}


@pytest.mark.parametrize("config", ["", "[1]", "{}", '{"environment": 3, "losses": {"a": 1}}'])
def test_any_configuration_can_be_looked_at(config: str, make) -> None:
    facts = make("m", 0.4).record.method.model_copy(update={"config": config})
    assert config_notes(facts) == ()
    assert coupling_of(facts.model_copy(update={"name": "energy-m"})) == ""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from epishot.benchmark.cli import run_app
from epishot.benchmark.compact import replicates_digest, write_compact
from epishot.leaderboard.board import build_board
from epishot.leaderboard.curves import curve_panels
from epishot.leaderboard.families import leading
from epishot.leaderboard.figure_cost import draw_cost
from epishot.leaderboard.figure_curves import draw_curves
from epishot.leaderboard.figure_format import FigureFormat
from epishot.leaderboard.figure_heatmap import draw_heatmap
from epishot.leaderboard.figure_style import drawing, looks, spread
from epishot.leaderboard.figures import write_figures
from epishot.tasks.errors import EpishotError

pytest.importorskip("matplotlib")


@pytest.fixture
def board(make):
    tied = (10 / 100 - 0.13) / (1 - 0.13)
    return build_board(
        [
            make("learner", 0.4, shots=(0, 16, 64)),
            make("$x_1$ <b>", 0.5, regimes=("none",)),
            make("distance", 0.2, kind="control", regimes=("none",)),
            make("constant", tied, kind="control", regimes=("none",)),
            make("gene-prior", tied, kind="control", regimes=("none",)),
            make("ceiling", 0.8, kind="reference", regimes=("none",)),
        ]
    )


def styles(board):
    return looks({(row.name, row.kind) for table in board.tables for row in table.rows})


def texts(figure) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("kind", list(FigureFormat))
def test_the_same_board_gives_the_same_bytes(board, tmp_path: Path, kind: FigureFormat) -> None:
    first = write_figures(board, tmp_path / "one", kind)
    second = write_figures(board, tmp_path / "two", kind)
    assert [path.name for path in first] == [
        f"{name}.{kind.value}"
        for name in (
            "learning-curves",
            "cost-quality",
            "heatmap-toy-cell-none-natural-k0",
            "heatmap-toy-cell-labelled-natural-k16",
            "heatmap-toy-cell-labelled-natural-k64",
        )
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_svg_is_well_formed_and_holds_no_date(board, tmp_path: Path) -> None:
    for path in write_figures(board, tmp_path):
        text = path.read_text()
        ElementTree.fromstring(text)
        assert not re.search(r"<dc:date>|Matplotlib v", text)


def test_curves_show_every_row_and_its_values(board) -> None:
    with drawing():
        figure = draw_curves(board, styles(board))
    names = texts(figure)
    # Names are printed literally, and rows that order nothing share a label.
    assert {"learner", "$x_1$ <b>", "distance", "ceiling", "constant (and 1 alike)"} <= set(names)
    (panel,) = curve_panels(board)
    assert len(figure.axes) == 1
    heights = {tuple(np.round(np.unique(line.get_ydata()), 9)) for line in figure.axes[0].lines}
    assert {(0.4,), (0.5,), (0.2,), (0.8,)} <= heights
    assert panel.shots == (0, 16, 64)


def test_points_over_different_cells_are_not_joined(make) -> None:
    gone = (("B", 64),)
    board = build_board([make("m", 0.4, shots=(0, 16, 64), infeasible=gone), make("n", 0.3, shots=(0, 16, 64))])
    with drawing():
        figure = draw_curves(board, styles(board))
    assert max(len(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() not in ("", "None")) == 2
    assert "64\n1 cell" in texts(figure)


def test_cost_is_per_fit_and_leaves_out_references(board) -> None:
    with drawing():
        figure = draw_cost(board, styles(board))
    # 1.75 CPU seconds over 2 fits.
    points = [line.get_xdata() for line in figure.axes[0].lines if line.get_marker() not in ("", "None")]
    assert len(points) == 5
    assert np.unique(np.concatenate(points)) == pytest.approx(0.875)
    assert "ceiling" not in texts(figure)


def test_cost_needs_a_cost(make) -> None:
    with drawing():
        assert draw_cost(build_board([make("m", 0.4, cost={})]), {}) is None


def test_heat_map_names_what_is_not_there(make) -> None:
    records = [make("m", 0.4, infeasible=(("B", 16),)), make("bad", 0.3, failed=("A",))]
    tables = {table.key.k: table for table in build_board(records).tables}
    with drawing():
        zero, shots = texts(draw_heatmap(tables[0])), texts(draw_heatmap(tables[16]))
    assert zero.count("failed") == 1
    assert zero.count("n/a") == 1
    assert zero.count(".40") == 3
    assert shots.count("infeasible") == 2
    assert shots.count(".40") == 2


def test_methods_have_colours_of_their_own_and_controls_none() -> None:
    found = looks([(f"m{i}", "method") for i in range(8)] + [("c", "control"), ("r", "reference")])
    assert len({(look.colour, look.marker) for look in found.values()}) == 10
    red, green, blue = (int(found["c"].colour[i : i + 2], 16) for i in (1, 3, 5))
    assert red == green == blue
    assert found["r"].dash == "--"


@pytest.mark.parametrize("wanted", [[0.5, 0.5, 0.5], [0.1, 0.9], [0.3, 0.32, 0.1, 0.31, 0.9]])
def test_labels_keep_their_order_and_distance(wanted: list[float]) -> None:
    placed = spread(wanted, 0.05)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(np.array(placed)[order]) >= 0.05 - 1e-12).all()
    assert np.mean(placed) == pytest.approx(np.mean(wanted))
    if len(wanted) == 2:
        assert placed == wanted


def test_without_matplotlib_the_remedy_is_named(board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EpishotError, match=r"pip install 'epishot\[figures\]'"):
        write_figures(board, tmp_path)


def test_the_command_names_the_files_it_wrote(make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = make("m", 0.4)
    digest = replicates_digest(one.replicates)
    write_compact(tmp_path, one.record.model_copy(update={"replicates_sha256": digest}), one.replicates)
    assert run_app(["leaderboard", "figures", "--board", str(tmp_path), "--format", "png"]) == 0
    named = {Path(line) for line in capsys.readouterr().out.split()}
    assert named == set((tmp_path / "figures").iterdir())
    assert tmp_path / "figures" / "learning-curves.png" in named


def test_of_a_large_family_the_best_curves_are_drawn_and_the_caption_says_so(make) -> None:
    many = [make(f"energy-{number}", 0.3 + 0.01 * number, shots=(0, 16, 64)) for number in range(9)]
    board = build_board(
        [*many, make("protonet", 0.1, shots=(0, 16, 64)), make("distance", 0.2, kind="control", regimes=("none",))]
    )
    (panel,) = curve_panels(board)
    rows = [(curve.name, curve.kind) for curve in panel.curves]
    assert leading(rows, 3) == {"energy-8", "energy-7", "energy-6", "distance", "protonet"}
    assert leading(rows, 9) == {name for name, _ in rows}
    others = [("energy-8[readout=potential]", "method"), ("maml[steps=3]", "method"), *rows]
    assert leading(others, 3) == leading(rows, 3) | {"maml[steps=3]"}
    assert leading(rows, 9, 2) == {"energy-8", "energy-7", "distance"}
    with drawing():
        assert any("begin alike the best 6" in text for text in texts(draw_curves(board, styles(board))))

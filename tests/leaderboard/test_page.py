"""The page as a file: valid data, nothing that runs or loads but its own script, equal bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from epishot.benchmark.cli import run_app
from epishot.benchmark.compact import replicates_digest, write_compact
from epishot.leaderboard.board import build_board
from epishot.leaderboard.export import write_board
from epishot.leaderboard.page import build
from epishot.leaderboard.page.build import embedded_json, page_html
from epishot.leaderboard.page.metrics import METRICS

HOSTILE = '</script><script>alert(1)</script><img src="https://example.org/x" onerror=alert(2)>&amp;\u2028@STYLE@'


class Parts(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag
        if tag in ("script", "style"):
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style"):
            self.texts[-1] += data


def parse(page: str) -> Parts:
    parts = Parts()
    parts.feed(page)
    return parts


def data_of(page: str) -> dict:
    _, data, _ = parse(page).texts
    return json.loads(data)


def test_data_hold_what_the_board_holds(make) -> None:
    board = build_board([make("m", 0.4), make("low", 0.1, failed=("B",)), make("c", 0.2, kind="control")])
    (section,) = data_of(page_html(board))["sections"]
    assert [(table["k"], [row["name"] for row in table["rows"]]) for table in section["tables"]] == [
        (table.key.k, [row.name for row in table.rows]) for table in board.tables
    ]
    first = board.tables[0]
    assert section["tables"][0]["rows"][0]["macro"]["corrected"] == pytest.approx(first.rows[0].macro.value, abs=1e-6)
    assert section["tables"][0]["rows"][0]["interval"] == pytest.approx(first.rows[0].macro.interval(), abs=1e-6)
    assert section["tables"][0]["rows"][-1]["problems"] == {"B": "failed: ValueError: boom"}
    place = [metric.id for metric in METRICS if metric.scope == "cell"].index("auroc")
    entry = section["records"]["m"]["entries"][0]
    assert (entry["at"], entry["values"][place]) == (["A", "none", "natural", 0], 0.7)
    assert section["records"]["m"]["provenance"]["episode_set"] == "e" * 64
    assert section["records"]["m"]["audit"] == "not audited"


def test_names_and_reasons_cannot_leave_the_data_block(make) -> None:
    plain, hostile = page_html(build_board([make("m", 0.4)])), page_html(build_board([make(HOSTILE, 0.4)]))
    assert [tag for tag, _ in parse(hostile).elements] == [tag for tag, _ in parse(plain).elements]
    assert HOSTILE in data_of(hostile)["sections"][0]["records"]
    assert parse(hostile).texts[0] == parse(plain).texts[0]


def test_embedded_json_closes_nothing_and_reads_back() -> None:
    value = {"a": "<!--</SCRIPT>&]]>\u2028\u2029é", "b": [1.5, None]}
    text = embedded_json(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set("<>&") & set(text)
    with pytest.raises(ValueError, match="JSON"):
        embedded_json(float("nan"))


def test_nothing_is_loaded_and_only_its_own_script_may_run(make) -> None:
    parts = parse(page_html(build_board([make("m", 0.4)])))
    style, _, script = parts.texts
    for _, attributes in parts.elements:
        assert not {"src", "srcset", "data", "action", "style"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert "@import" not in style
    assert "url(" not in style
    assert set(re.findall(r"https?://[^\s\"']+", style + script)) == {"http://www.w3.org/2000/svg"}
    (policy,) = [a["content"] for tag, a in parts.elements if tag == "meta" and "http-equiv" in a]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for text in (style, script):
        assert "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy


def test_scripts_make_text_nodes_never_markup() -> None:
    folder = Path(build.__file__).parent / "script"
    assert {path.stem for path in folder.iterdir()} == set(build.SCRIPTS)
    for path in folder.iterdir():
        found = re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", path.read_text())
        assert found is None, path


def test_equal_records_give_equal_bytes_and_the_page_lies_beside_the_other_files(make, tmp_path: Path) -> None:
    records = [make("b", 0.4), make("a", 0.3), make("c", 0.1, kind="control", regimes=("none",))]
    assert page_html(build_board(records)) == page_html(build_board(records[::-1]))
    written = write_board(build_board(records), tmp_path)
    assert tmp_path / "leaderboard.html" in written
    assert (tmp_path / "leaderboard.html").read_text() == page_html(build_board(records))


def test_a_value_stands_once_however_many_k_show_it(make) -> None:
    few = [make("pooled", 0.4, regimes=("none",)), make("m", 0.3, shots=(0, 16))]
    many = [make("pooled", 0.4, regimes=("none",)), make("m", 0.3, shots=(0, 8, 16, 32, 64))]
    pooled = [data_of(page_html(build_board(one)))["sections"][0]["records"]["pooled"] for one in (few, many)]
    assert pooled[0] == pooled[1]


def test_an_empty_board_still_makes_a_page() -> None:
    assert data_of(page_html(build_board([])))["sections"] == []


def test_the_command_writes_one_file_and_says_where(make, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = make("m", 0.4)
    record = one.record.model_copy(update={"replicates_sha256": replicates_digest(one.replicates)})
    write_compact(tmp_path / "board", record, one.replicates)
    assert (
        run_app(["leaderboard", "html", "--board", str(tmp_path / "board"), "--out", str(tmp_path / "page.html")]) == 0
    )
    assert "page.html" in capfd.readouterr().out
    assert data_of((tmp_path / "page.html").read_text())["sections"][0]["task"] == "toy"
    assert [path.name for path in (tmp_path / "board").iterdir()] == ["records"]
    assert run_app(["leaderboard", "html", "--board", str(tmp_path / "board")]) == 0
    assert (tmp_path / "board" / "leaderboard.html").read_bytes() == (tmp_path / "page.html").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["html", "--board", "nowhere"], "no records in nowhere"),
        (["--board", "nowhere", "html"], "after `html`"),
        (["htlm"], "htlm"),
    ],
)
def test_mistakes_name_the_remedy(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(["leaderboard", *arguments]) == 2
    assert said in capfd.readouterr().err

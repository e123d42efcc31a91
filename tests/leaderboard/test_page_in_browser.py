"""The page in headless Chromium: sorting, filtering, switching, keyboard, phone, themes; no error, no request."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from epishot.benchmark.records import ExternalFacts
from epishot.leaderboard.board import build_board
from epishot.leaderboard.page.build import page_html

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is not tested")

HOSTILE = "</script><img src=x onerror=\"document.title='hit'\">"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[api.Browser]:
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("no Chromium on this machine: the page is not tested in a browser")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield started
        started.close()


@pytest.fixture
def board_file(make, tmp_path: Path) -> Path:
    """Two tasks, two protocols, controls, a reference, an infeasible cell, a failed one, and a hostile name."""
    records = []
    for protocol in ("cell", "cell+chrom"):
        records += [
            make("good", 0.6, marks="T", protocol=protocol),
            make("twin", 0.5995, own_noise=0.01, protocol=protocol),
            make("weak", 0.3, own_noise=0.01, protocol=protocol, infeasible=(("B", 16),)),
            make("broken", 0.4, failed=("A",), protocol=protocol),
            make("base", 0.2, kind="control", regimes=("none",), protocol=protocol),
            make("ceiling", 0.8, kind="reference", regimes=("none",), protocol=protocol),
        ]
    records.append(make(HOSTILE, 0.5, task="another"))
    facts = ExternalFacts(
        file=HOSTILE,
        sha256="f" * 64,
        columns={"score": HOSTILE},
        joined_by="pair_id",
        rows=10,
        matched=9,
        outside=0,
        repeats=0,
        conflicts=0,
        other_labels=0,
        query=10,
        missing=1,
        fill=-1.5,
        scale="ranks",
        inverse=False,
        notes=(f"1 of 10 pairs {HOSTILE}",),
    )
    records.append(make("theirs", 0.4, task="another", kind="external", regimes=("none",), external=facts))
    records.append(make("tiny", 0.4, task="small", headline="zero"))
    path = tmp_path / "page.html"
    path.write_text(page_html(build_board(records)))
    return path


@pytest.fixture
def opened(browser: api.Browser, board_file: Path) -> Iterator[Callable[..., api.Page]]:
    """Open the page; at the end of the test there must have been no error, no dialog and no request but itself."""
    trouble: list[str] = []
    contexts = []

    def open_page(address: str = "#task=toy", **options: object) -> api.Page:
        context = browser.new_context(**({"viewport": {"width": 1300, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: trouble.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (trouble.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: request.url.startswith(board_file.as_uri()) or trouble.append(request.url))
        page.goto(board_file.as_uri() + address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def names(page: api.Page) -> list[str]:
    return page.locator("#table tbody .name").all_inner_texts()


def column(page: api.Page, index: int) -> list[str]:
    return page.locator(f"#table tbody tr > :nth-child({index})").all_inner_texts()


def head(page: api.Page, name: str) -> api.Locator:
    return page.locator("#table thead th").filter(has=page.get_by_role("button", name=name, exact=True))


def test_opens_on_the_headline_in_the_order_of_the_board(opened) -> None:
    page = opened("#task=toy")
    assert page.locator("#board-title").inner_text() == "toy, cell+chrom, zero-shot (k = 0)"
    assert names(page) == ["ceiling", "good", "twin", "weak", "base", "broken"]
    assert head(page, "Mean").get_attribute("aria-sort") == "descending"
    assert column(page, 2) == ["–", "1", "1", "2", "3", "n/a"]
    # A failed cell is named in words, and is no number anywhere.
    assert page.locator("#table td.failed").all_inner_texts() == ["failed"]
    assert "broken, A: failed: ValueError: boom" in page.locator("#notes").inner_text()
    assert "no ranking for cell lines at large" in page.locator("#notes").inner_text()
    assert page.locator("[data-row=good] th .tag").all_inner_texts() == ["T"]
    assert page.locator("[data-row=good]").get_by_text("not audited").count() == 1


def test_sorting_by_click_and_by_keyboard(opened) -> None:
    page = opened()
    page.get_by_role("button", name="Method", exact=True).click()
    assert names(page) == ["ceiling", "base", "broken", "good", "twin", "weak"]
    assert head(page, "Method").get_attribute("aria-sort") == "ascending"
    assert head(page, "Mean").get_attribute("aria-sort") == "none"
    page.keyboard.press("Enter")
    assert names(page) == ["ceiling", "weak", "twin", "good", "broken", "base"]
    assert head(page, "Method").get_attribute("aria-sort") == "descending"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    # Rows without a mean stand last whichever way.
    assert names(page) == ["ceiling", "good", "twin", "weak", "base", "broken"]
    page.keyboard.press("Space")
    assert names(page) == ["ceiling", "base", "weak", "twin", "good", "broken"]


def test_filtering_by_text_and_kind(opened) -> None:
    page = opened()
    page.get_by_label("Filter", exact=True).fill("w")
    assert names(page) == ["twin", "weak"]
    assert page.get_by_role("status").inner_text().startswith("2 of 6 rows")
    assert page.locator("#forest text").filter(has_text="weak").count() == 1
    assert page.locator("#forest text").filter(has_text="good").count() == 0
    page.get_by_label("Filter", exact=True).fill("no such row")
    assert page.locator("#nothing").is_visible()
    page.get_by_role("button", name="Show all rows").click()
    assert len(names(page)) == 6
    page.get_by_label("controls").uncheck()
    page.get_by_label("references").uncheck()
    assert names(page) == ["good", "twin", "weak", "broken"]


def test_switching_task_protocol_k_and_metric(opened) -> None:
    page = opened()
    page.get_by_role("radio", name="16", exact=True).check()
    assert page.locator("#board-title").inner_text() == "toy, cell+chrom, k = 16, labelled, natural"
    # At k = 16 the cell B is infeasible for all rows, and the mean is over one cell.
    assert "of 1 cell" in head(page, "Mean").inner_text()
    assert page.locator("#table td.infeasible").count() == 6
    assert "k=0" in page.locator("[data-row=base] th").inner_text()
    page.get_by_role("radio", name="cell", exact=True).check()
    assert page.locator("#board-title").inner_text() == "toy, cell, k = 16, labelled, natural"
    page.get_by_label("Metric").select_option("auroc")
    assert page.locator("[data-row=good] td.mean").inner_text() == ".700"
    page.get_by_label("Metric").select_option("aupr")
    # Raw AUPR has no mean over cells; rows keep the order of the board.
    assert head(page, "Mean").count() == 0
    assert names(page)[:3] == ["ceiling", "good", "twin"]
    assert page.locator("[data-row=good] td").nth(1).inner_text() == f"{0.6 * 0.87 + 0.13:.3f}".lstrip("0")
    assert "task=toy&protocol=cell&" in page.url
    page.get_by_label("Task").select_option("small")
    page.get_by_label("Metric").select_option("corrected")
    page.get_by_role("radio", name="16", exact=True).check()
    assert "too small" in page.locator("#notes").inner_text()
    assert "no tie groups" in page.locator("#forest").inner_text()


def test_a_view_can_be_bookmarked_and_nonsense_is_settled(opened) -> None:
    page = opened("#task=toy&protocol=cell&k=16&metric=auroc")
    assert page.locator("#board-title").inner_text() == "toy, cell, k = 16, labelled, natural"
    assert page.get_by_label("Metric").input_value() == "auroc"
    page = opened("#task=<img>&protocol=__proto__&k=1e9&metric=constructor")
    assert page.get_by_label("Metric").input_value() == "corrected"
    assert names(page)


def test_keyboard_alone_reaches_everything(opened) -> None:
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the table"
    page.locator("#k input:checked").focus()
    page.keyboard.press("ArrowRight")
    assert "k = 16" in page.locator("#board-title").inner_text()
    assert page.evaluate("document.activeElement.value") == "16"
    page.locator("[data-row=good] .name").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="good")
    assert "epishot run --suite toy" in dialog.inner_text()
    assert "e" * 64 in dialog.inner_text()
    assert "brier" not in dialog.inner_text()
    assert "Brier score: no-logits" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.textContent") == "good"
    page.locator("#board").focus()
    assert page.evaluate("document.activeElement.getAttribute('role')") == "region"


def test_every_control_and_figure_has_a_name(opened) -> None:
    page = opened()
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input")].filter((e) => !(e.textContent.trim()
           || e.getAttribute("aria-label") || e.labels?.[0]?.textContent.trim())).map((e) => e.outerHTML)"""
    )
    assert unnamed == []
    assert page.locator("svg[role=img]:not([aria-label])").count() == 0
    assert page.locator("figure svg[role=img]").count() == 3
    assert page.locator("#table th[scope=row]").count() == page.locator("#table tbody tr").count()
    assert page.locator("#table thead th:not([aria-sort])").count() == 0
    assert page.locator("table > caption").count() == page.locator("table").count()


def test_figures_say_in_numbers_what_they_draw(opened) -> None:
    page = opened("#task=toy&k=16")
    for figure in ("forest", "curves", "cost"):
        page.locator(f"#{figure} summary").click()
    assert page.locator("#forest details tbody tr").filter(has_text="good").inner_text().split("\t")[:3] == [
        "good",
        "1",
        ".600",
    ]
    assert page.locator("#curves details tbody tr").filter(has_text="base").inner_text().split() == [
        "base",
        ".200",
        ".200",
    ]
    # 1.75 s of CPU in all.
    assert page.locator("#cost details tbody tr").filter(has_text="good").inner_text().split() == [
        "good",
        "1.75",
        ".600",
    ]
    # The mean at k = 16 is over other cells than at k = 0: no line may join the two.
    assert "cannot be compared" in page.locator("#curves figcaption").inner_text()
    assert page.locator("#curves path[d*=L]").count() == 0
    page.get_by_label("Curves and cost show").select_option("A")
    assert page.locator("#curves path[d*=L]").count() > 0
    assert page.locator("#heat thead tr").last.inner_text().split("\t") == ["k 0", "k 16"] * 2
    chip = page.locator("[data-chip=good]")
    chip.press("Space")
    assert chip.get_attribute("aria-pressed") == "false"
    assert page.evaluate("document.activeElement.dataset.chip") == "good"


def test_hostile_names_are_text(opened) -> None:
    page = opened("#task=another")
    assert names(page) == [HOSTILE, "theirs"]
    page.locator("#table .name").first.click()
    assert page.locator("#details h2").inner_text() == HOSTILE
    assert page.locator("img").count() == 0
    assert page.title() == "EPIShot leaderboard"


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_scrolls_the_table_not_the_page(opened, width: int) -> None:
    page = opened("#task=toy&k=16", viewport={"width": width, "height": 800}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(
        "[...document.querySelectorAll('figure svg')].every((e) => e.getBoundingClientRect().right <= innerWidth)"
    )
    page.locator("#board").evaluate("(board) => { board.scrollLeft = 300; }")
    # The names stay while the numbers move.
    assert page.locator("[data-row=good] .name").evaluate("(e) => e.getBoundingClientRect().left") >= 0
    page.locator("[data-row=good] .name").tap()
    assert page.get_by_role("dialog").evaluate("(e) => e.getBoundingClientRect().right <= innerWidth")


def test_light_dark_and_the_switch_between_them(opened) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = opened(color_scheme="light"), opened(color_scheme="dark")
    assert light.evaluate(ground) != dark.evaluate(ground)
    button = light.get_by_role("button", name="Theme")
    button.click()
    button.click()
    assert button.inner_text() == "Theme: dark"
    assert light.evaluate(ground) == dark.evaluate(ground)
    light.reload()
    assert light.evaluate(ground) == dark.evaluate(ground)


_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const painted = (...colours) => {
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const luminance = (channels) => channels.map((c) => linear(c / 255))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const grounds = (node) =>
    (node ? [...grounds(node.parentElement), getComputedStyle(node).backgroundColor] : ["white"]);
  const poor = [];
  const texts = "p, h1, h2, h3, td, th, td small, th small, .tag, button, label, dt, dd, summary, figcaption";
  for (const e of document.querySelectorAll(texts)) {
    if (!e.offsetParent || !e.textContent.trim()) continue;
    const under = grounds(e), style = getComputedStyle(e);
    const both = [luminance(painted(...under)), luminance(painted(...under, style.color))].sort((a, b) => b - a);
    const ratio = (both[0] + 0.05) / (both[1] + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${e.tagName} ${e.className} ${e.textContent.slice(0, 30)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(opened, scheme: str) -> None:
    page = opened("#task=toy&k=16", color_scheme=scheme)
    assert page.evaluate(_CONTRAST) == []


def test_external_rows_say_where_they_come_from(opened) -> None:
    page = opened("#task=another")
    assert page.locator("[data-row=theirs] .tag").all_inner_texts() == ["external"]
    assert f"External row theirs: 1 of 10 pairs {HOSTILE}." in page.locator("#notes").inner_text()
    page.locator("[data-row=theirs] .name").click()
    text = page.get_by_role("dialog").inner_text()
    for words in ("not re-runnable", "f" * 64, "9 of 10; the others score -1.5", HOSTILE):
        assert words in text
    assert page.locator("img").count() == 0
    page.keyboard.press("Escape")
    page.get_by_label("external").uncheck()
    assert names(page) == [HOSTILE]

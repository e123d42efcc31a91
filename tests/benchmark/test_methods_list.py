"""`epishot methods`: the source says what the classes do, one line each; `show` prints the live configuration."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from epishot.benchmark import declared as module
from epishot.benchmark.cli import run_app
from epishot.benchmark.cli_methods import outline
from epishot.benchmark.declared import declared
from epishot.methods.registry import METHODS
from epishot.tasks.registry import load_reference

FAULTY = Path(__file__).with_name("faulty_methods.py")


@pytest.mark.parametrize("name", METHODS.names())
def test_the_source_says_what_the_class_declares(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    point = METHODS.origin(name)
    address = point[point.index("(") + 1 : -1] if "(" in point else point
    if not address.startswith("epishot."):
        pytest.skip("another package's method is imported")
    # A class that another test has loaded is registered as an object.
    monkeypatch.setattr(METHODS, "reference", lambda _: address)
    if not name.startswith("pooled-"):  # these are changed when they are made
        monkeypatch.setattr(METHODS, "get", lambda _: pytest.fail("it was imported"))
    found, cls = declared(name), load_reference(address)
    assert found.summary == cls.summary  # type: ignore[attr-defined]
    assert found.capabilities == cls.capabilities()  # type: ignore[attr-defined]


def test_what_the_source_does_not_say_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "reference", lambda _: "epishot.benchmark.specs:PROTOCOLS")
    assert declared("constant").summary == "the same score for every pair"
    source = module._source("epishot.baselines.controls")
    for name in ("__name__", "np"):
        with pytest.raises(module._NotWrittenError):
            source.value(name)


@pytest.mark.parametrize("width", [80, 120, 160])
def test_the_list_has_one_line_each(
    width: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert run_app(["methods"]) == 0
    lines = capfd.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines[1 : 1 + len(METHODS.names())]]
    assert listed == METHODS.names()
    assert max(map(len, lines)) <= width
    assert ("positions" in " ".join(lines)) == (width >= 100)


def test_show_prints_the_live_configuration_and_its_digest(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(["methods", "show", "maml", "--json", "--set", "maml.inner_steps=7"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown["name"] == "maml[inner_steps=7]"
    assert shown["config"]["inner_steps"] == 7
    digest = hashlib.sha256(json.dumps(shown["config"], sort_keys=True).encode()).hexdigest()
    assert shown["config_sha256"] == digest
    assert run_app(["methods", "show", "maml", "--set", "maml.inner_steps=7"]) == 0
    text = capfd.readouterr().out
    assert f"sha256 {digest}" in text
    assert "inner_steps = 7" in text
    assert run_app(["methods", "show", f"{FAULTY}:Good"]) == 0
    assert "no options" in capfd.readouterr().out


def test_nested_sections_are_indented() -> None:
    config = {"coupling": {"kind": "affine", "rank": 4}, "share": 0.1, "stages": [{"name": "a"}, {"losses": ["x"]}]}
    config["losses"] = {"rank": {"weight": 0.5, "ramp": [0, 1]}, "task": {"weight": 1}}
    assert list(outline(config)) == [
        "share = 0.1",
        "coupling",
        '  kind = "affine"',
        "  rank = 4",
        "stages[0]",
        '  name = "a"',
        "stages[1]",
        '  losses = ["x"]',
        "losses",
        "  rank  weight=0.5  ramp=[0, 1]",
        "  task  weight=1",
    ]

"""The registry: decorators, lazy references, files, third-party packages, and what happens when they break."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from epishot.tasks.errors import DuplicateNameError, EpishotError, UnknownNameError
from epishot.tasks.registry import Registry, load_reference

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a tiny package: a module and the metadata that pip would write for its entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(package: str, code: str, **points: str) -> None:
        (tmp_path / f"{package}.py").write_text(code)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {target}\n" for name, target in points.items())
        (info / "entry_points.txt").write_text(f"[epishot.testing]\n{lines}")
        monkeypatch.delitem(sys.modules, package, raising=False)

    return make


def test_names_are_listed_without_importing_anything(install: Install) -> None:
    install("lazy_plugin_pkg", "raise RuntimeError('imported')", shy="lazy_plugin_pkg:thing")
    registry: Registry[object] = Registry("thing", group="epishot.testing")
    registry.add("other", "no.such.module:attribute")
    assert registry.names() == ["other", "shy"]
    assert "shy" in registry
    assert "lazy_plugin_pkg" not in sys.modules


def test_a_third_party_entry_is_loaded_once_and_says_where_it_is_from(install: Install) -> None:
    install("good_plugin_pkg", "class Thing: pass", good="good_plugin_pkg:Thing")
    registry: Registry[type] = Registry("thing", group="epishot.testing")
    assert registry.origin("good") == "good_plugin_pkg (good_plugin_pkg:Thing)"
    first = registry.get("good")
    assert first.__name__ == "Thing"
    assert registry.get("good") is first


@pytest.mark.parametrize("code", ["1 / 0", "raise SystemExit(3)", "def broken(:", "import no_such_module_at_all"])
def test_a_broken_package_is_named_and_breaks_nothing_else(install: Install, code: str) -> None:
    install("broken_plugin_pkg", code, bad="broken_plugin_pkg:thing")
    registry: Registry[object] = Registry("thing", group="epishot.testing")
    registry.add("good", object)
    assert dict(registry.load_all()) == {"good": object}
    assert set(registry.failures()) == {"bad"}
    with pytest.raises(EpishotError, match=r"'bad' from broken_plugin_pkg .*cannot be loaded"):
        registry.get("bad")
    assert registry.get("good") is object


def test_an_entry_that_the_check_refuses_is_a_failure(install: Install) -> None:
    install("wrong_plugin_pkg", "thing = 3", wrong="wrong_plugin_pkg:thing")

    def check(candidate: object) -> type:
        if not isinstance(candidate, type):
            raise EpishotError("not a class")
        return candidate

    registry = Registry("thing", group="epishot.testing", check=check)
    with pytest.raises(EpishotError, match=r"wrong_plugin_pkg.*not a class"):
        registry.get("wrong")
    assert "not a class" in registry.failures()["wrong"]


def test_two_packages_that_claim_one_name_do_not_break_each_other(install: Install) -> None:
    install("aaa_plugin_pkg", "thing = 1", same="aaa_plugin_pkg:thing")
    install("bbb_plugin_pkg", "thing = 2\nmore = 3", same="bbb_plugin_pkg:thing", more="bbb_plugin_pkg:more")
    registry: Registry[int] = Registry("thing", group="epishot.testing")
    assert registry.get("same") == 1
    assert registry.get("more") == 3
    assert "bbb_plugin_pkg:thing claims a name that is already taken by aaa_plugin_pkg" in registry.failures()["same"]


def test_no_package_takes_over_a_name_of_the_suite(install: Install) -> None:
    install("aaa_thief_pkg", "thing = 1", same="aaa_thief_pkg:thing")
    install("zzz_helper_pkg", "", same="epishot.tasks.errors:TableError")
    registry: Registry[object] = Registry("thing", group="epishot.testing")
    assert getattr(registry.get("same"), "__name__", None) == "TableError"


def test_duplicate_names_are_refused_but_registering_the_same_thing_again_is_not() -> None:
    registry: Registry[object] = Registry("thing")
    registry.add("x", dict)
    registry.add("x", dict)
    with pytest.raises(DuplicateNameError, match=r"thing name 'x' is already taken by builtins:dict; choose another"):
        registry.add("x", list)
    assert registry.get("x") is dict


def test_unknown_names_get_near_names() -> None:
    registry: Registry[object] = Registry("thing")
    registry.add("protonet", dict)
    with pytest.raises(UnknownNameError, match=r"no thing named 'protnet'. Did you mean 'protonet'"):
        registry.get("protnet")


def test_a_lazy_reference_is_imported_on_use() -> None:
    registry: Registry[object] = Registry("thing")
    registry.add("decoder", "json:JSONDecoder")
    registry.add("nothing", "json:NoSuchThing")
    import json

    assert registry.get("decoder") is json.JSONDecoder
    with pytest.raises(EpishotError, match=r"'nothing' from json:NoSuchThing cannot be loaded"):
        registry.get("nothing")


def test_a_file_is_loaded_once_per_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("class Mine: pass\n")
    first = load_reference(f"{file}:Mine")
    assert load_reference(f"{tmp_path}/./mine.py:Mine") is first


@pytest.mark.parametrize(
    ("reference", "match"),
    [
        ("no_colon", "is not of the form"),
        (":Name", "is not of the form"),
        ("missing.py:Name", "There is no file"),
        ("json:JSONDecodr", "Did you mean 'JSONDecode"),
        ("no_such_package_anywhere:x", "Importing 'no_such_package_anywhere' failed"),
    ],
)
def test_references_that_lead_nowhere_say_why(reference: str, match: str) -> None:
    with pytest.raises(EpishotError, match=match):
        load_reference(reference)


def test_a_file_that_fails_or_exits_is_reported(tmp_path: Path) -> None:
    for name, code in (("fails", "1 / 0"), ("leaves", "raise SystemExit")):
        (tmp_path / f"{name}.py").write_text(code)
        with pytest.raises(EpishotError, match=f"Importing .*{name}.py' failed"):
            load_reference(f"{tmp_path}/{name}.py:x")

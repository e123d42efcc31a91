"""Provenance tells where a number comes from, and nothing of the machine's folders or variables."""

from __future__ import annotations

import re

import pytest

from epishot.benchmark import provenance


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["run", "--suite", "demo"], "epishot run --suite demo"),
        (["run", "--suite", "demo", "--store", "/home/me/runs", "--jobs", "2"], "epishot run --suite demo"),
        (["run", "--suite", "demo", "--timeout=60", "--board", "b/", "--jobs=2"], "epishot run --suite demo"),
        (["run", "--store=/home/me/runs", "--board=b", "--suite", "v1"], "epishot run --suite v1"),
        (["run", "--task", "/data/mine", "--shots", "0,16"], "epishot run --task mine --shots 0,16"),
        (["run", "--task", "/data/mine/", "--shots", "0"], "epishot run --task mine --shots 0"),
        (["run", "--task=./mine//"], "epishot run --task=mine"),
        (["run", "--method", "/home/me/p.py:A"], "epishot run --method p.py:A"),
        (["run", "--method=../p.py:A", "--methods", "a,b"], "epishot run --method=p.py:A --methods a,b"),
        (["run", "--task", r"C:\data\mine"], "epishot run --task mine"),
        (["run", "--task", "./x/f.py:make@cells=3,pairs=9"], "epishot run --task f.py:make@cells=3,pairs=9"),
        (["run", "--cells", "Cell one"], "epishot run --cells 'Cell one'"),
        (["run", "--set", "maml.x=/home/me/w"], "epishot run --set maml.x=w"),
        (["run", "--set=./p.py:A.x=/home/me/w"], "epishot run --set=w"),
        (["run", "--set", 'a.b={"c":1}'], """epishot run --set 'a.b={"c":1}'"""),
    ],
)
def test_the_command_has_no_folders(arguments: list[str], printed: str) -> None:
    assert provenance.printable_command(arguments) == printed


def test_versions_cover_what_computes() -> None:
    import numpy

    found = provenance.versions()
    assert set(found) == {"python", "epishot", "numpy", "scipy", "scikit-learn", "torch"}
    assert found["numpy"] == numpy.__version__


def test_the_commit_is_a_hash_or_a_version() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?|epishot \S+", provenance.commit())


def test_the_environment_names_no_host_and_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPISHOT_DATA", "/secret/place")
    text = str(provenance.environment())
    assert "secret" not in text
    assert "/" not in text

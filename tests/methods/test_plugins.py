"""Methods of other packages: by entry point, by decorator, by file; a broken one breaks nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[1] / "plugins"

#: Runs in a process of its own, as a user's shell would: prints what the suite knows and how one check ends.
PROBE = """
import importlib, json, sys
for module in {imports!r}:
    importlib.import_module(module)
from epishot.methods import METHODS, find_method, method_address
from epishot.methods.check import run_checks
loaded = dict(METHODS.load_all()) if {load_all!r} else {{}}
report = {{"names": METHODS.names(), "loaded": sorted(loaded), "failures": METHODS.failures()}}
if {method!r}:
    cls = find_method({method!r})
    report["address"] = method_address(cls)
    report["summary"] = cls.summary
    report["checks"] = {{r.name: [r.status.value, r.finding] for r in run_checks(cls)}}
print(json.dumps(report))
"""


def install(plugin: str, site: Path) -> None:
    """What `pip install` does for a pure Python package, without network: its modules and its metadata."""
    source = PLUGINS / plugin
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    for package in source.iterdir():
        if package.is_dir():
            shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project.get("entry-points", {})
    lines = [
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in points.items())
        for group, points in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def probe(
    site: Path,
    method: str = "",
    *,
    imports: tuple[str, ...] = (),
    load_all: bool = False,
    **environment: str,
) -> dict:
    code = PROBE.format(method=method, imports=list(imports), load_all=load_all)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(site), **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_keeps_the_contract(report: dict) -> None:
    assert {name: r for name, r in report["checks"].items() if r[0] == "fail"} == {}
    assert sum(r[0] == "pass" for r in report["checks"].values()) >= 10


def test_an_installed_package_is_found_by_its_entry_point(tmp_path):
    assert "nearest" not in probe(tmp_path)["names"]
    install("by_entry_point", tmp_path)
    report = probe(tmp_path, "nearest")
    assert report["summary"] == "nearer pairs first, from another package"
    assert report["address"] == "nearest_plugin:Nearest"
    assert_keeps_the_contract(report)


def test_an_imported_class_is_found_by_its_decorator(tmp_path):
    install("by_decorator", tmp_path)
    assert "support-weighted" not in probe(tmp_path)["names"]
    report = probe(tmp_path, "support-weighted", imports=("weighted_plugin",))
    assert report["address"] == "weighted_plugin:SupportWeighted"
    assert_keeps_the_contract(report)


def test_a_class_is_found_by_its_file(tmp_path):
    file = shutil.copy(PLUGINS / "by_file" / "neighbours.py", tmp_path)
    report = probe(tmp_path, f"{file}:Neighbours")
    assert report["address"] == f"{Path(file).resolve()}:Neighbours"
    assert "neighbours" not in report["names"]
    assert_keeps_the_contract(report)


def test_a_broken_plugin_is_named_and_everything_else_works(tmp_path):
    install("broken", tmp_path)
    install("by_entry_point", tmp_path)
    report = probe(tmp_path, "nearest", load_all=True)
    assert {"constant", "nearest", "support-ridge"} <= set(report["loaded"])
    assert not {"no-module", "no-method"} & set(report["loaded"])
    assert "a_library_that_nobody_has" in report["failures"]["no-module"]
    assert_keeps_the_contract(report)


@pytest.mark.parametrize(
    ("name", "environment", "finding"),
    [
        ("no-module", {}, "'no-module' from broken-plugin (broken_plugin:Method) cannot be loaded"),
        ("no-method", {"BROKEN_PLUGIN_IMPORTS": "1"}, "3 is not a subclass of epishot.methods.Method"),
    ],
)
def test_asking_for_a_broken_plugin_names_its_package_and_the_cause(tmp_path, name, environment, finding):
    install("broken", tmp_path)
    code = (
        "from epishot.methods import METHODS, find_method\n"
        "from epishot.tasks.errors import EpishotError\n"
        f"try:\n    find_method({name!r})\nexcept EpishotError as error:\n    print(error)\n"
        f"print({name!r} in METHODS.failures())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path), **environment},
        check=True,
    )
    assert finding in done.stdout
    assert done.stdout.splitlines()[-1] == "True"


def test_no_package_can_take_a_built_in_name(tmp_path):
    install("impostor", tmp_path)
    report = probe(tmp_path, "constant")
    assert report["address"] == "epishot.baselines.controls:Constant"
    (finding,) = [cause for cause in report["failures"].values() if "impostor_plugin:Constant" in cause]
    assert "claims a name that is already taken by epishot" in finding


def test_plugins_are_scored_on_the_leaderboard_beside_the_built_in_methods(tmp_path):
    install("by_entry_point", tmp_path)
    install("broken", tmp_path)
    file = shutil.copy(PLUGINS / "by_file" / "neighbours.py", tmp_path)
    where = f"--method {file}:Neighbours --store {tmp_path / 'runs'}"
    what = "--task synthetic@cells=3,pairs=400 --protocol cell --methods constant,nearest"
    command = f"run {what} {where} --shots 0 --draws 1 --seeds 1 --jobs 1"
    done = subprocess.run(
        [str(Path(sys.executable).parent / "epishot"), *command.split()],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("constant", "nearest", "neighbours"):
        assert f" {name} " in done.stdout

"""learn2learn is optional: without it everything else works, and the one command that installs it is told."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from epishot.baselines.learn2learn_import import INSTALL, RELEASE, Learn2learn, learn2learn
from epishot.benchmark.cli import run_app
from epishot.benchmark.declared import declared
from epishot.benchmark.described import describe, locate
from epishot.benchmark.specs import MethodSpec
from epishot.tasks.errors import MethodError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "learn2learn", None)  # what Python enters for a module that may not be found
    learn2learn.cache_clear()
    yield
    learn2learn.cache_clear()


@pytest.mark.usefixtures("absent")
def test_absence_is_told_with_the_command() -> None:
    with pytest.raises(MethodError, match="not installed") as error:
        learn2learn()
    assert INSTALL in str(error.value)
    with pytest.raises(MethodError, match=re.escape(INSTALL)):
        describe(locate(MethodSpec("maml-learn2learn", "{}")))


@pytest.mark.usefixtures("absent")
def test_the_list_says_that_it_is_unavailable_and_why(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert INSTALL in (declared("maml-learn2learn").unavailable or "")
    assert declared("maml").unavailable is None
    monkeypatch.setenv("COLUMNS", "160")
    assert run_app(["methods"]) == 0
    shown = capfd.readouterr()
    (row,) = (line for line in shown.out.splitlines() if line.startswith("maml-learn2learn"))
    assert "(unavailable)" in row
    assert f"'maml-learn2learn' is unavailable: learn2learn is not installed; install it with: {INSTALL}" in shown.err


def test_a_run_without_it_stops_at_once(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['learn2learn'] = None\n")
    command = "run --task synthetic --methods maml-learn2learn --shots 16 --draws 1 --store"
    done = subprocess.run(
        [str(Path(sys.executable).with_name("epishot")), *command.split(), str(tmp_path / "store")],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert INSTALL in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_installation_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "learn2learn").mkdir()
    (tmp_path / "learn2learn" / "__init__.py").write_text("raise RuntimeError('the root was run')\n")
    program = """
import sys
from epishot.baselines.learn2learn_import import learn2learn
try:
    learn2learn()
except Exception as error:
    print(type(error).__name__, error)
assert "learn2learn" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.startswith("MethodError learn2learn is installed but cannot be imported (ModuleNotFoundError")
    assert "--force-reinstall" in done.stdout


def test_the_root_is_not_run_and_its_missing_names_are_explained(library: Learn2learn) -> None:
    program = """
import sys
from epishot.baselines.learn2learn_import import learn2learn
assert learn2learn().version
for heavy in ("gym", "torchvision", "pytorch_lightning", "qpth"):
    assert heavy not in sys.modules, heavy
import learn2learn as l2l
assert l2l.algorithms.MAML is learn2learn().maml
assert l2l.utils.clone_module
try:
    l2l.clone_module
except AttributeError as error:
    assert "without its root" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    assert library.version == RELEASE


def test_makefile_and_documentation_give_the_command_that_messages_give() -> None:
    words = shlex.split(INSTALL)
    assert words[-1] == f"learn2learn=={RELEASE}"
    assert INSTALL in (ROOT / "docs" / "learn2learn.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    (line,) = (line for line in makefile.splitlines() if f"learn2learn=={RELEASE}" in line)
    assert set(words) <= set(shlex.split(line))
    (recipe,) = re.findall(r"^test: .*\n((?:\t.*\n)+)", makefile, re.M)
    assert "EPISHOT_REQUIRE_LEARN2LEARN=1" in recipe

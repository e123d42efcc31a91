"""The digest of a method's source changes with the method, and with nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from epishot.benchmark import method_code as module
from epishot.benchmark.method_code import method_code
from epishot.methods.registry import METHODS
from epishot.tasks.errors import EpishotError


def sources(address: str) -> set[str]:
    """Names of the modules behind an address, by the module's own walk."""
    seen: set[str] = set()
    found = module._find(address.partition(":")[0])
    waiting = [found]
    while waiting:
        one = waiting.pop()
        if one.name not in seen:
            seen.add(one.name)
            waiting.extend(module._imported(one, module._OWN, None))
    return seen


def test_editing_a_plugin_or_its_neighbour_changes_the_digest(tmp_path: Path) -> None:
    plugin, helper = tmp_path / "plugin.py", tmp_path / "helper.py"
    plugin.write_text("import helper\nclass A: pass\n")
    helper.write_text("x = 1\n")
    (tmp_path / "stranger.py").write_text("x = 1\n")
    first = method_code(f"{plugin}:A")
    assert method_code(f"{plugin}:A") == first
    (tmp_path / "stranger.py").write_text("x = 2\n")
    assert method_code(f"{plugin}:A") == first
    helper.write_text("x = 2\n")
    second = method_code(f"{plugin}:A")
    assert second != first
    plugin.write_text("import helper\nclass A: y = 1\n")
    assert method_code(f"{plugin}:A") not in (first, second)


def test_the_package_of_a_plugin_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "codeplugin"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("def f():\n    from .deep import g\nclass A: pass\n")
    (package / "deep.py").write_text("import codeplugin.deeper\n")
    (package / "deeper.py").write_text("x = 1\n")
    (package / "other.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    first = method_code("codeplugin.a:A")
    (package / "other.py").write_text("x = 2\n")
    assert method_code("codeplugin.a:A") == first
    (package / "deeper.py").write_text("x = 2\n")
    assert method_code("codeplugin.a:A") != first


def test_the_packages_own_methods_do_not_drag_in_each_other() -> None:
    maml = sources("epishot.baselines.maml:Maml")
    energy = sources("epishot.methods.energy.presets:EnergyAdditive")
    controls = sources("epishot.baselines.controls:Constant")
    assert "epishot.methods.base" in maml & energy & controls
    assert not any(name.startswith("epishot.methods.energy") for name in maml | controls)
    assert "epishot.baselines.maml" not in energy | controls
    assert "epishot.methods.energy.method" in energy
    assert not any(name.startswith(("epishot.tasks", "epishot.benchmark")) for name in maml | energy | controls)


def test_every_registered_method_has_a_digest_without_being_imported() -> None:
    program = """
import sys
from epishot.benchmark.method_code import method_code
from epishot.methods.registry import METHODS
references = [METHODS.reference(name) for name in METHODS.names()]
digests = [method_code(reference) for reference in references if reference.startswith("epishot.")]
assert len(digests) >= 15, digests
assert "torch" not in sys.modules and "sklearn" not in sys.modules
assert not [m for m in sys.modules if m.startswith("epishot.baselines.")]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert METHODS.names()


def test_a_missing_source_is_told() -> None:
    with pytest.raises(EpishotError, match="no source"):
        method_code("nowhere.at.all:A")

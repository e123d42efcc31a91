"""The digest of a method's source changes with the method, and with nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from epishot.benchmark import method_code as module
from epishot.benchmark.method_code import _imported, _Module, method_code
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
            waiting.extend(module._imported(one, None))
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


def write(folder: Path, **sources: str) -> None:
    """Files below a folder; `a__b` is a/b.py."""
    for name, source in sources.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)


@pytest.mark.parametrize("helper", ["pkg/__init__", "pkg/near", "pkg/sub/__init__", "pkg/sub/deep", "bare/far", "late"])
def test_a_plugin_files_helpers_are_followed_through_packages(tmp_path: Path, helper: str) -> None:
    write(
        tmp_path,
        plugin="from pkg.near import f\nimport bare.far\nclass A:\n    def fit(self):\n        import late\n",
        late="x = 1\n",
        bare__far="x = 1\n",
        pkg__near="from .sub.deep import g\n",
        pkg__sub__deep="x = 1\n",
        pkg__stranger="x = 1\n",
        **{"pkg/__init__": "", "pkg/sub/__init__": ""},
    )
    first = method_code(f"{tmp_path / 'plugin.py'}:A")
    (tmp_path / "pkg" / "stranger.py").write_text("x = 2\n")
    assert method_code(f"{tmp_path / 'plugin.py'}:A") == first
    with (tmp_path / f"{helper}.py").open("a") as file:
        file.write("# edited\n")
    assert method_code(f"{tmp_path / 'plugin.py'}:A") != first


def test_a_plugin_file_inside_a_package_is_followed_by_the_packages_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, insidepkg__plugin="from insidepkg.helper import f\nclass A: pass\n", insidepkg__helper="x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    address = f"{tmp_path / 'insidepkg' / 'plugin.py'}:A"
    first = method_code(address)
    (tmp_path / "insidepkg" / "helper.py").write_text("x = 2\n")
    assert method_code(address) != first


def test_installed_libraries_below_a_plugins_folder_are_not_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "env" / "lib" / "site-packages"
    write(tmp_path, plugin="import somelibrary, json\nclass A: pass\n")
    write(library, somelibrary="x = 1\n")
    monkeypatch.syspath_prepend(str(library))
    first = method_code(f"{tmp_path / 'plugin.py'}:A")
    (library / "somelibrary.py").write_text("x = 2\n")
    assert method_code(f"{tmp_path / 'plugin.py'}:A") == first


@pytest.mark.parametrize("module", ["deeper", "lazy", "__init__", "sub/far"])
def test_every_module_of_a_plugins_own_package_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    package = f"codeplugin_{module.strip('_').replace('/', '_')}"
    write(
        tmp_path,
        **{
            f"{package}__a": "from .deep import g\nlater = import_module('.lazy', __package__)\nclass A: pass\n",
            f"{package}__deep": f"import {package}.deeper\n",
            f"{package}__deeper": "x = 1\n",
            f"{package}__lazy": "x = 1\n",
            f"{package}__sub__far": "def broken(:\n",
            f"{package}/__init__": "",
            "another_package/__init__": "",
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    first = method_code(f"{package}.a:A")
    assert method_code(f"{package}.a:A") == first
    (tmp_path / "another_package" / "__init__.py").write_text("x = 2\n")
    assert method_code(f"{package}.a:A") == first
    with (tmp_path / package / f"{module}.py").open("a") as file:
        file.write("# edited\n")
    assert method_code(f"{package}.a:A") != first


def test_the_packages_own_methods_do_not_drag_in_each_other() -> None:
    maml = sources("epishot.baselines.maml:Maml")
    energy = sources("epishot.methods.energy.presets:EnergyAdditive")
    controls = sources("epishot.baselines.controls:Constant")
    assert "epishot.methods.base" in maml & energy & controls
    assert not any(name.startswith("epishot.methods.energy") for name in maml | controls)
    assert "epishot.baselines.maml" not in energy | controls
    assert "epishot.methods.energy.method" in energy
    assert {"epishot.methods.energy.config.refusals", "epishot.methods.energy.presets.pieces"} <= energy
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


def test_audits_are_no_part_of_a_method(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    imports = ["from epishot.methods.audits.finding import Finding", "from epishot.methods.energy.audit.audit import a"]
    plugin.write_text("\n".join(["from epishot.methods.features import Scale", *imports]))
    found = {module.name for module in _imported(_Module("plugin", plugin), None)}
    assert found == {"epishot.methods.features"}

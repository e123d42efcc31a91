"""Options on the command line: read as they are meant, shown in the row's name, and found again in a record."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from epishot.benchmark.cli import run_app
from epishot.benchmark.cli_settings import settings_by_method
from epishot.benchmark.overrides import arguments_in, configured_name
from epishot.tasks.errors import EpishotError

FAULTY = Path(__file__).with_name("faulty_methods.py")
TASK = "synthetic@cells=3,pairs=300"


def read(*settings: str, references: tuple[str, ...] = ("maml", "energy-cmdn")) -> dict[str, object]:
    return {name: json.loads(text) for name, text in settings_by_method(settings, references).items()}


def test_values_are_json_or_text_and_paths_nest() -> None:
    given = ("maml.order=first", "energy-cmdn.encoder.width=64", "energy-cmdn.encoder.scale=raw", "maml.sizes=[1,2]")
    assert read(*given) == {
        "maml": {"order": "first", "sizes": [1, 2]},
        "energy-cmdn": {"encoder": {"width": 64, "scale": "raw"}},
    }
    assert read('maml.a="7"', "maml.b=x=y", "maml.c=null", "maml.d=NaN") == {
        "maml": {"a": "7", "b": "x=y", "c": None, "d": "NaN"}
    }


def test_names_with_dots_and_plugins_are_recognised() -> None:
    assert read("a.b.c=1", references=("a", "a.b")) == {"a.b": {"c": 1}}
    plugin = f"{FAULTY}:Good"
    assert read("good.x=1", references=(plugin,)) == {plugin: {"x": 1}}
    assert read(f"{plugin}.x=1", references=(plugin,)) == {plugin: {"x": 1}}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["maml.steps"], "METHOD.option=value"),
        (["maml=3"], "METHOD.option=value"),
        (["maml..x=3"], "METHOD.option=value"),
        (["energy-cmd.x=3"], "Did you mean 'energy-cmdn'"),
        (["maml.a=1", "maml.a=1"], "'a' of 'maml' twice"),
        (['maml.a={"b":1}', "maml.a.c=2"], "'a' of 'maml' twice"),
    ],
)
def test_mistakes_are_named(settings: list[str], said: str) -> None:
    with pytest.raises(EpishotError, match=re.escape(said)):
        read(*settings)


def test_the_row_is_named_by_its_options() -> None:
    assert configured_name("maml", {}) == "maml"
    assert configured_name("maml", {"steps": 5}) == "maml[steps=5]"
    nested = {"losses": {"rank": {"weight": 0.5}}, "encoder": {"scale": "raw"}}
    assert configured_name("e", nested) == "e[encoder.scale=raw,losses.rank.weight=0.5]"


def test_no_two_configurations_share_a_name() -> None:
    different: list[dict] = [
        {"a": 64},
        {"a": "64"},
        {"a": "6 4"},
        {"a": [6, 4]},
        {"a": [64]},
        {"a": {"b": 1}},
        {"a.b": 1},
        {"a": {}},
        {"a": ""},
        {"a": True},
        {"a": "true"},
        {"a": "x" * 200},
        {"a": "x" * 201},
    ]
    names = [configured_name("m", one) for one in different]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"m\[[A-Za-z0-9._+=,-]*\]", name)
        assert len(name) < 150


@pytest.mark.parametrize("arguments", [{"a": {"b": 1, "c": "x"}, "d": 2.5}, {"a": {"b": [1, 2]}}, {"d": "6 4"}])
def test_the_options_are_found_again_in_the_configuration(arguments: dict) -> None:
    config = {"a": {"b": 0, "c": "y", "e": 0}, "d": 0, "f": 0}
    config = {**config, **arguments, "a": {**config["a"], **arguments.get("a", {})}}  # type: ignore[dict-item]
    assert json.loads(arguments_in(configured_name("m", arguments), json.dumps(config))) == arguments
    with pytest.raises(EpishotError, match="does not say how"):
        arguments_in("m[z=1]", json.dumps(config))


def run(store: Path, *more: str) -> int:
    grid = ["--task", TASK, "--protocol", "cell", "--shots", "0,8", "--draws", "2", "--seeds", "1"]
    return run_app(["run", *grid, "--jobs", "1", "--store", str(store), *more])


def test_a_configured_row_stands_beside_the_plain_one_and_verifies(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store, board = tmp_path / "runs", tmp_path / "board"
    assert run(store, "--methods", "support-ridge") == 0
    assert run(store, "--methods", "support-ridge", "--set", "support-ridge.C=9", "--dry-run") == 0
    assert "support-ridge[C=9]" in capfd.readouterr().out
    assert run(store, "--methods", "support-ridge", "--set", "support-ridge.C=9") == 0
    folder = store / "board/records/synthetic-cells3-pairs300/cell"
    rows = {path.stem: json.loads(path.read_text()) for path in folder.glob("support-ridge*.json")}
    assert set(rows) == {"support-ridge", "support-ridge[C=9]"}
    plain, changed = (json.loads(rows[name]["method"]["config"]) for name in sorted(rows))
    assert changed == {**plain, "C": 9.0}
    assert not set(rows["support-ridge"]["run_keys"]) & set(rows["support-ridge[C=9]"]["run_keys"])

    assert run_app(["publish", str(store), "--to", str(board), "--methods", "support-ridge[C=9],ceiling"]) == 0
    capfd.readouterr()
    verify = ["verify", str(board), "--archive", str(store / "archive"), "--details"]
    assert run_app([*verify, "--rerun", "support-ridge[C=9]", "--sample", "1"]) == 0
    out = capfd.readouterr().out
    assert "with other options" in out
    assert "bit-equal" in out
    # The row under the plain name would be refused: its configuration is not the default.
    for suffix in (".json", ".replicates.parquet"):
        where = board / folder.relative_to(store / "board")
        (where / f"support-ridge[C=9]{suffix}").rename(where / f"support-ridge{suffix}")
    record = where / "support-ridge.json"
    record.write_text(record.read_text().replace('"name": "support-ridge[C=9]"', '"name": "support-ridge"'))
    assert run_app(["verify", str(board), "--details"]) == 1
    assert "config is" in " ".join(capfd.readouterr().out.split())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--set", "support-ridge.c=9"], "has no option 'c'. Its options: C."),
        (["--set", "constant.x=1"], "has no option 'x'. Its options: none."),
        (["--set", "maml.x=1"], "names none of the methods to run"),
        (["--suite", "demo", "--set", "maml.x=1"], "leave out --set"),
    ],
)
def test_unknown_options_are_one_sentence(
    more: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if "--suite" in more:
        assert run_app(["run", "--store", str(tmp_path), *more]) == 2
    else:
        assert run(tmp_path / "runs", "--methods", "support-ridge,constant", *more) == 2
    err = capfd.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1

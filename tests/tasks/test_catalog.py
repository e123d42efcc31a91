"""The catalog: by name, with arguments, from a file, from a folder; plugins from a separate package."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from epishot.tasks import load_task, register_task
from epishot.tasks.catalog import TASKS, describe, forget_tasks
from epishot.tasks.errors import DuplicateNameError, EpishotError, UnknownNameError
from epishot.tasks.task import Task

#: A task as a user would write it in a file or package of their own.
FACTORY = '''
from epishot.tasks import Feature, Source, Task, TaskCard, build_table, register_task
import pandas as pd


def tiny(seed: int = 0, scale: float = 1.0, cells: str = "AB") -> Task:
    """A tiny task for tests."""
    card = TaskCard(
        name="tiny", version=f"{seed}-{scale}", summary="tiny", source=Source(repository="generated", revision="1"),
        genome_build="toy", licence="MIT", citation="none", label_meaning="toy", cells=tuple(cells),
        features=(Feature(name="x", unit="a.u.", side="pair"),), support_pool_chromosomes=("chr1",),
        coordinates="none",
    )
    rows = [
        {"pair_id": f"{c}{i}", "cell": c, "enhancer_id": f"e{i}", "gene_id": "g", "distance": None,
         "label": i % 2, "x": scale * i + seed}
        for c in cells for i in range(4)
    ]
    return Task(card=card, table=build_table(pd.DataFrame(rows), card, where="tiny"))


def wrong():
    """Not a task."""
    return 3


def fails():
    raise KeyError("inner")


def needs(n):
    return n
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FACTORY)
    return path


@pytest.fixture
def registered() -> Iterator[None]:
    TASKS.names()  # entry points are scanned once; restoring must not lose them
    before = dict(TASKS._entries)
    yield
    TASKS._entries.clear()
    TASKS._entries.update(before)


def test_a_factory_in_a_file_is_loaded_with_typed_arguments(file: Path) -> None:
    task = load_task(f"{file}:tiny")
    assert (task.card.version, task.card.cells) == ("0-1.0", ("A", "B"))
    other = load_task(f"{file}:tiny@seed=2,scale=0.5,cells=XYZ")
    assert other.card.cells == ("X", "Y", "Z")
    assert other.table["features"].to_pylist()[1] == [2.5]
    assert load_task(f"{file}:tiny@scale=2").card.version == "0-2"
    assert load_task(f"{file}:tiny@cells=12").card.cells == ("1", "2")  # text stays text


def test_a_task_is_built_once_per_process_and_arguments(file: Path) -> None:
    assert load_task(f"{file}:tiny") is load_task(f"{file}:tiny")
    assert load_task(f"{file}:tiny@seed=1,scale=2.0") is load_task(f"{file}:tiny@scale=2.0,seed=1")
    assert load_task(f"{file}:tiny@seed=1") is not load_task(f"{file}:tiny")


def test_tasks_that_are_let_go_of_are_freed_and_built_again(file: Path) -> None:
    task = load_task(f"{file}:tiny")
    assert task.columns.label.size
    watched = weakref.ref(task)
    del task
    assert watched() is not None
    forget_tasks()
    gc.collect()
    assert watched() is None
    assert len(load_task(f"{file}:tiny")) > 0


@pytest.mark.parametrize(
    ("reference", "match"),
    [
        ("tiny@seeds=2", r"has no argument 'seeds'\. Did you mean 'seed'\? It takes seed, scale, cells"),
        ("tiny@seed=two", "seed=two must be a whole number"),
        ("tiny@seed=1.5", "seed=1.5 must be a whole number"),
        ("tiny@scale=big", "scale=big must be a number"),
        ("tiny@seed", "write arguments as name@key=value,key=value"),
        ("tiny@seed=1,seed=2", "each key once"),
        ("wrong", "returned int, not a Task"),
        ("fails", "Building task .*mine.py:fails' failed: KeyError: 'inner'"),
        ("needs", "needs n; give every parameter a default"),
        ("tinny", "has no 'tinny'. Did you mean 'tiny'"),
    ],
)
def test_mistakes_are_one_clear_sentence(file: Path, reference: str, match: str) -> None:
    with pytest.raises(EpishotError, match=match) as caught:
        load_task(f"{file}:{reference}")
    assert "Traceback" not in str(caught.value)


def test_unknown_names_get_near_names_and_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no task named 'bengy'. Did you mean 'bengi'"):
        load_task("bengy")
    with pytest.raises(UnknownNameError, match=r"There is no folder .*nowhere: give a folder that holds card.json"):
        load_task(str(tmp_path / "nowhere"))
    with pytest.raises(EpishotError, match=r"There is no .*card.json"):
        load_task(str(tmp_path))


def test_a_folder_is_read_again_only_when_it_changed(tmp_path: Path, file: Path) -> None:
    import pyarrow.parquet as pq

    task = load_task(f"{file}:tiny")
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "card.json").write_text(task.card.model_dump_json())
    pq.write_table(task.table, folder / "pairs.parquet")
    loaded = load_task(str(folder))
    assert loaded.content_hash == task.content_hash
    assert load_task(f"{folder}/") is loaded
    (folder / "card.json").write_text(task.card.model_copy(update={"summary": "changed"}).model_dump_json())
    assert load_task(str(folder)).card.summary == "changed"


def test_the_decorator_registers_and_refuses_duplicates(registered: None, file: Path) -> None:
    def mine(seed: int = 0) -> Task:
        """My own."""
        return load_task(f"{file}:tiny@seed={seed}")

    assert register_task("my-task")(mine) is mine
    assert load_task("my-task@seed=3").card.version == "3-1.0"
    assert "My own." in [info.summary for info in describe().tasks]
    with pytest.raises(DuplicateNameError, match="task name 'crispr' is already taken"):
        register_task("crispr")(mine)
    with pytest.raises(EpishotError, match="'a@b' is not a task name"):
        register_task("a@b")(mine)


def test_every_task_of_the_suite_is_listed_with_a_summary() -> None:
    catalog = describe()
    names = {info.name for info in catalog.tasks}
    expected = {"crispr", "bengi", "bengi-hic6", "bengi-ctcf", "bengi-rnapii", "synthetic", "synthetic-null"}
    assert names >= expected | {"synthetic-shortcut"}
    assert all(info.summary and len(info.summary) <= 100 for info in catalog.tasks if info.origin.startswith("epishot"))
    assert not set(catalog.failures) & names


SEPARATE = """
import sys
sys.path.insert(0, sys.argv[1])
from epishot.tasks import describe, load_task
from epishot.tasks.errors import EpishotError

heavy = {"pandas", "torch", "datasets", "scipy", "sklearn"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
catalog = describe()
light = not heavy & set(sys.modules)
assert light, heavy & set(sys.modules)
info = next(info for info in catalog.tasks if info.name == "their-task")
print(info.summary, "|", info.origin)
print(catalog.failures["their-broken"])
print(load_task("their-task@seed=4").card.version)
try:
    load_task("their-broken")
except EpishotError as error:
    print(error)
assert any(info.name == "crispr" for info in catalog.tasks)
"""


def test_a_separate_package_adds_a_task_and_its_broken_one_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "their_pkg.py").write_text(
        FACTORY.replace("import pandas as pd\n", "").replace(
            "    card = TaskCard(", "    import pandas as pd\n\n    card = TaskCard("
        )
    )
    (tmp_path / "their_broken_pkg.py").write_text("import no_such_dependency\n")
    info = tmp_path / "their_pkg-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-pkg\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[epishot.tasks]\ntheir-task = their_pkg:tiny\ntheir-broken = their_broken_pkg:tiny\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", SEPARATE, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    summary, failure, version, error = done.stdout.splitlines()
    assert summary == "A tiny task for tests. | their-pkg (their_pkg:tiny)"
    assert "No module named 'no_such_dependency'" in failure
    assert version == "4-1.0"
    assert error.startswith("The task 'their-broken' from their-pkg (their_broken_pkg:tiny) cannot be loaded")

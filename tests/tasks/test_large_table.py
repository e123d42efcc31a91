"""Parquet tables are validated in chunks and mapped: the same table, and the same problems, as of the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from epishot.benchmark.scale_task import write_scale_task
from epishot.tasks import folder as folders
from epishot.tasks.errors import TableError
from epishot.tasks.folder import load_folder, read_card
from epishot.tasks.task import Task
from epishot.tasks.validate import build_table


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folders, "_CHUNK_ROWS", 150)
    monkeypatch.setenv("EPISHOT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scale_task(tmp_path / "task", 1000, 4)


def change(folder: Path, rows: list[int], column: str, value: object) -> None:
    frame = pq.read_table(folder / "pairs.parquet").to_pandas()
    frame.loc[rows, column] = value
    pq.write_table(pa.Table.from_pandas(frame), folder / "pairs.parquet")


def test_chunks_give_the_table_of_the_whole(folder: Path) -> None:
    frame: pd.DataFrame = pq.read_table(folder / "pairs.parquet").to_pandas()
    card = read_card(folder / "card.json")
    whole = Task(card, build_table(frame, card, where="x"))
    mapped = load_folder(folder)
    assert mapped.table["pair_id"].num_chunks > 1
    assert mapped.table["features"].num_chunks == 1
    assert mapped.content_hash == whole.content_hash
    assert (mapped.columns.features == whole.columns.features).all()


def test_features_are_a_view_of_the_file(folder: Path) -> None:
    task = load_folder(folder)
    assert not task.columns.features.flags.owndata
    assert not task.columns.features.flags.writeable


def test_a_mapped_table_is_found_again_and_never_stale(folder: Path, tmp_path: Path) -> None:
    first = load_folder(folder).content_hash
    kept = tmp_path / "cache" / "tables"
    assert load_folder(folder).content_hash == first
    assert len(list(kept.iterdir())) == 1
    change(folder, [0], "f0", 9.0)
    assert load_folder(folder).content_hash != first


def test_problems_of_later_chunks_are_named_by_their_row_in_the_file(folder: Path, tmp_path: Path) -> None:
    frame = pq.read_table(folder / "pairs.parquet").to_pandas()
    change(folder, [3, 700], "distance", -1.0)
    change(folder, [900], "pair_id", frame["pair_id"][2])
    with pytest.raises(TableError) as caught:
        load_folder(folder)
    text = "\n".join(caught.value.problems)
    assert "row 4, column 'distance'" in text
    assert "row 701, column 'distance'" in text
    assert "row 901, column 'pair_id'" in text
    assert "row 3" in text
    assert not list((tmp_path / "cache" / "tables").iterdir())


def test_a_cell_without_rows_is_noticed_at_the_end(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["cells"].append("c9")
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(TableError, match="cell 'c9' of the card has no rows"):
        load_folder(folder)

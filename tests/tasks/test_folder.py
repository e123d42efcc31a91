"""A user's own folder: card.json + pairs file; whatever is wrong is said in plain words."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from epishot.tasks.errors import EpishotError, TableError
from epishot.tasks.folder import load_folder

CARD: dict[str, Any] = {
    "name": "mine",
    "version": "1",
    "summary": "my own pairs",
    "source": {"repository": "https://example.org/mine", "revision": "abc"},
    "genome_build": "hg38",
    "licence": "CC0",
    "citation": "me",
    "label_meaning": "1 = contact",
    "cells": ["A", "B"],
    "features": [{"name": "DNase", "unit": "RPM", "side": "enhancer"}],
    "support_pool_chromosomes": ["chr1"],
}

PAIRS = pd.DataFrame(
    {
        "pair_id": ["p1", "p2", "p3"],
        "cell": ["A", "B", "B"],
        "enhancer_id": ["e1", "e2", "e3"],
        "enhancer_chrom": ["chr1", "chr1", "chr2"],
        "enhancer_start": [0, 100, 200],
        "enhancer_end": [50, 150, 250],
        "promoter_chrom": ["chr1", "chr1", "chr2"],
        "promoter_start": [1000, 1100, 1200],
        "promoter_end": [1001, 1101, 1201],
        "gene_id": ["NA", "g2", "g3"],
        "distance": [975.0, 975.0, 975.0],
        "label": [1, 0, None],
        "DNase": [0.5, 1.5, 2.5],
    }
)


def write(folder: Path, name: str = "pairs.tsv", frame: pd.DataFrame = PAIRS, **card: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "card.json").write_text(json.dumps({**CARD, **card}))
    path = folder / name
    frame = frame.astype({"label": "Int8"}) if "label" in frame and frame is PAIRS else frame
    if ".parquet" in name:
        frame.to_parquet(folder / "pairs.parquet")
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress((folder / "pairs.parquet").read_bytes()))
            (folder / "pairs.parquet").unlink()
    else:
        frame.to_csv(path, sep="\t" if ".tsv" in name else ",", index=False)
    return folder


@pytest.mark.parametrize("name", [f"pairs.{kind}{gz}" for kind in ("tsv", "csv", "parquet") for gz in ("", ".gz")])
def test_every_file_format_gives_the_same_task(tmp_path: Path, name: str) -> None:
    task = load_folder(write(tmp_path / "data", name))
    assert task.card.name == "mine"
    assert task.table["label"].to_pylist() == [1, 0, None]
    assert task.table["gene_id"].to_pylist() == ["NA", "g2", "g3"]  # a gene called NA is not a missing value
    assert task.table["features"].to_pylist() == [[0.5], [1.5], [2.5]]
    assert task.content_hash == load_folder(write(tmp_path / "reference", "pairs.csv")).content_hash


def test_a_saved_ep_table_is_a_folder_too(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    task = load_folder(write(tmp_path / "data"))
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "card.json").write_text(task.card.model_dump_json())
    pq.write_table(task.table, saved / "pairs.parquet")
    again = load_folder(saved)
    assert again.table.equals(task.table)
    assert again.content_hash == task.content_hash


def test_problems_of_the_card_are_all_listed(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", licenze="MIT", cells=["A"], features=[{"name": "DNase", "side": "left"}])
    card = json.loads((folder / "card.json").read_text())
    del card["licence"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(EpishotError) as caught:
        load_folder(folder)
    text = str(caught.value)
    assert "card.json: the task card has 5 problem(s)" in text
    assert "licenze: unknown key (did you mean 'licence'?)" in text
    assert "licence: is missing" in text
    assert "features.1.unit: is missing" in text
    assert "features.1.side: input should be 'enhancer'" in text
    assert "found 'left'" in text
    assert "cells: tuple should have at least 2 items" in text
    assert "pydantic" not in text


def test_contradictions_on_the_card_are_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(EpishotError, match=r"card: activity names no feature: \['H3K27ac'\]"):
        load_folder(write(tmp_path / "data", activity=["H3K27ac"]))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", r"card.json is not JSON: line 1, column 2"),
        ("[1]", "the task card has 1 problem"),
        ('{"name": "a", "name": "b"}', "gives 'name' more than once"),
    ],
)
def test_a_card_that_is_no_card(tmp_path: Path, content: str, match: str) -> None:
    folder = write(tmp_path / "data")
    (folder / "card.json").write_text(content)
    with pytest.raises(EpishotError, match=match):
        load_folder(folder)


def test_missing_and_ambiguous_files_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    write(folder, "pairs.csv.gz")
    with pytest.raises(EpishotError, match=r"holds pairs.tsv, pairs.csv.gz: keep one pairs file"):
        load_folder(folder)
    (folder / "pairs.tsv").unlink()
    (folder / "pairs.csv.gz").unlink()
    with pytest.raises(EpishotError, match=r"holds no pairs file: add one of pairs.tsv, "):
        load_folder(folder)
    (folder / "card.json").unlink()
    with pytest.raises(EpishotError, match=r"There is no .*card.json: write the task card there"):
        load_folder(folder)


def test_problems_of_the_pairs_name_file_row_column_and_value(tmp_path: Path) -> None:
    frame = PAIRS.astype(object)
    frame.loc[1, "DNase"] = "high"
    frame.loc[2, "cell"] = "C"
    frame = frame.assign(EffectSize=0.5)
    folder = write(tmp_path / "data", "pairs.csv", frame)
    with pytest.raises(TableError) as caught:
        load_folder(folder)
    text = "\n".join(caught.value.problems)
    assert caught.value.total == 3
    assert "pairs.csv, row 2, column 'DNase': 'high' is not a number" in text
    assert "pairs.csv, row 3, column 'cell': 'C' is not a cell of the card (A, B)" in text
    assert "pairs.csv: column 'EffectSize' is neither in the schema nor a feature on the card" in text


def test_files_that_are_not_what_their_name_says(tmp_path: Path) -> None:
    for name in ("pairs.parquet", "pairs.tsv.gz"):
        folder = write(tmp_path / name.replace(".", "_"), name)
        (folder / name).write_text("not that")
        with pytest.raises(EpishotError, match=f"{name} cannot be read"):
            load_folder(folder)
    folder = write(tmp_path / "ragged")
    lines = (folder / "pairs.tsv").read_text().splitlines()
    (folder / "pairs.tsv").write_text("\n".join([*lines[:2], lines[2] + "\textra"]) + "\n")
    with pytest.raises(EpishotError, match=r"pairs.tsv cannot be read: CSV parse error: .*Expected 13 columns, got 14"):
        load_folder(folder)
    (folder / "pairs.tsv").write_text("")
    with pytest.raises(EpishotError, match=r"pairs.tsv cannot be read"):
        load_folder(folder)


def test_a_repeated_column_and_windows_line_ends(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "pairs.csv")
    text = (folder / "pairs.csv").read_text()
    (folder / "pairs.csv").write_bytes(("\ufeff" + text.replace("\n", "\r\n")).encode())
    assert len(load_folder(folder)) == 3
    (folder / "pairs.csv").write_text(text.replace("gene_id", "pair_id"))
    with pytest.raises(TableError, match="column 'pair_id' occurs more than once"):
        load_folder(folder)

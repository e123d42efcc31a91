"""The task object: its content hash and its numpy columns."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from epishot.tasks.card import Feature, Source, TaskCard
from epishot.tasks.errors import EpishotError
from epishot.tasks.schema import arrow_schema
from epishot.tasks.task import Task

Rows = list[dict[str, Any]]


def card(**changes: Any) -> TaskCard:
    facts: dict[str, Any] = {
        "name": "toy",
        "version": "1",
        "summary": "toy",
        "source": Source(repository="generated", revision="1"),
        "genome_build": "toy",
        "licence": "MIT",
        "citation": "none",
        "label_meaning": "toy",
        "cells": ("B", "A"),
        "features": tuple(Feature(name=name, unit="a.u.", side="pair") for name in ("x", "y")),
        "support_pool_chromosomes": ("chr1",),
        "coordinates": "partial",
        "sequence_length": (4, 3),
    }
    return TaskCard(**{**facts, **changes})


def rows() -> Rows:
    base = {"assay": "a", "genome_build": "toy", "promoter_strand": "+", "transcript_id": "t", "gene_symbol": "s"}
    place = {"enhancer_chrom": "chr2", "enhancer_start": 10, "enhancer_end": 30}
    place |= {"promoter_chrom": "chr10", "promoter_start": 2500, "promoter_end": 2501}
    dna = {"enhancer_sequence": "ACGT", "promoter_sequence": "NAC"}
    made: Rows = []
    for i in range(7):
        ids = {"pair_id": f"p{i}", "cell": "AB"[i % 2], "enhancer_id": f"e{i % 3}", "gene_id": f"g{i % 2}"}
        made.append({**base, **place, **dna, **ids, "distance": 7.0 * i, "label": i % 2, "features": [i, -i / 2]})
    made[3] |= {"enhancer_chrom": None, "enhancer_start": None, "enhancer_end": None, "distance": None}
    made[4] |= {"label": None, "promoter_strand": "-", "enhancer_sequence": "TTGA"}
    made[5] |= {"promoter_chrom": None, "promoter_start": None, "promoter_end": None, "promoter_strand": ""}
    return made


def task(of: Rows | None = None, **changes: Any) -> Task:
    return Task(card(**changes), pa.Table.from_pylist(of or rows(), schema=arrow_schema(2, sequences=True)))


def test_the_hash_does_not_depend_on_chunks_slices_or_files(tmp_path: Path) -> None:
    whole = task()
    pieces = pa.concat_tables([whole.table.slice(0, 2), whole.table.slice(2, 4), whole.table.slice(6)])
    assert pieces["label"].num_chunks == 3
    pq.write_table(whole.table, tmp_path / "t.parquet", row_group_size=2)
    padded = pa.Table.from_pylist(rows()[:2] + rows() + rows()[:1], schema=whole.table.schema).slice(2, 7)
    for table in (pieces, pq.read_table(tmp_path / "t.parquet"), padded, whole.table.combine_chunks()):
        assert replace(whole, table=table).content_hash == whole.content_hash


def test_the_hash_survives_a_trip_through_datasets(tmp_path: Path) -> None:
    import datasets

    whole = task()
    whole.to_dataset().save_to_disk(str(tmp_path / "d"))
    again = datasets.load_from_disk(str(tmp_path / "d")).data.table.cast(whole.table.schema)
    assert replace(whole, table=again).content_hash == whole.content_hash


def test_the_hash_is_the_same_in_another_process() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        "import test_task; print(test_task.task().content_hash)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == task().content_hash


def _set(row: int, **values: Any) -> Callable[[Rows], Rows]:
    def change(table: Rows) -> Rows:
        table[row] = {**table[row], **values}
        return table

    return change


CHANGES: dict[str, Callable[[Rows], Rows]] = {
    "label": _set(0, label=1),
    "label null": _set(0, label=None),
    "label 0 for null": _set(4, label=0),
    "distance": _set(2, distance=14.0000001),
    "distance 0 for null": _set(3, distance=0.0),
    "start 0 for null": _set(3, enhancer_start=0),
    "feature": _set(6, features=[6.0, -3.0000002]),
    "features swapped": _set(6, features=[-3.0, 6.0]),
    "text": _set(1, gene_symbol="z"),
    "chrom empty for null": _set(3, enhancer_chrom=""),
    "sequence": _set(1, promoter_sequence="NAG"),
    "text moved between rows": lambda t: _set(1, transcript_id="")(_set(0, transcript_id="tt")(t)),
    "text moved between columns": _set(0, gene_symbol="", transcript_id="ts"),
    "row order": lambda t: [t[1], t[0], *t[2:]],
    "one row less": lambda t: t[:-1],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_hash_changes_with_any_value(change: Callable[[Rows], Rows]) -> None:
    assert task(change(rows())).content_hash != task().content_hash


def test_the_hash_covers_card_and_references() -> None:
    whole = task()
    assert task(version="2").content_hash != whole.content_hash
    scores = np.linspace(0, 1, len(whole))
    first = replace(whole, references={"ceiling": scores}).content_hash
    assert first != whole.content_hash
    assert replace(whole, references={"oracle": scores}).content_hash != first
    assert replace(whole, references={"ceiling": scores + 1e-16 * (scores == 0)}).content_hash != first


def test_columns_hold_the_values_of_the_table() -> None:
    whole = task()
    columns = whole.columns
    assert columns.cell.tolist() == [1, 0, 1, 0, 1, 0, 1]  # codes follow the card, not the table
    assert columns.label.tolist() == [0, 1, 0, 1, -1, 1, 0]
    np.testing.assert_array_equal(columns.distance, [0, 7, 14, np.nan, 28, 35, 42])
    np.testing.assert_array_equal(columns.features, [[i, -i / 2] for i in range(7)])
    assert columns.chromosomes == ("chr10", "chr2")
    assert columns.chrom.tolist() == [1, 1, 1, -1, 1, 1, 1]
    assert columns.promoter_chrom.tolist() == [0, 0, 0, 0, 0, -1, 0]
    assert columns.tss.tolist() == [2500] * 5 + [-1, 2500]
    assert columns.enhancer_start.tolist() == [10, 10, 10, -1, 10, 10, 10]
    assert columns.strand.tolist() == [1, 1, 1, 1, -1, 0, 1]
    assert (columns.promoter_bin[columns.tss >= 0] == columns.promoter_bin[0]).all()
    assert columns.promoter_bin[5] == -1


def test_identities_are_equal_exactly_where_the_names_are() -> None:
    columns = task().columns
    names = [(row["enhancer_id"], row["gene_id"]) for row in rows()]
    for i, (element, gene) in enumerate(names):
        for j, (other_element, other_gene) in enumerate(names):
            assert (columns.element[i] == columns.element[j]) == (element == other_element)
            assert (columns.gene[i] == columns.gene[j]) == (gene == other_gene)
            assert (columns.pair[i] == columns.pair[j]) == ((element, gene) == (other_element, other_gene))


def test_chunked_features_are_joined() -> None:
    whole = task()
    pieces = pa.concat_tables([whole.table.slice(0, 3), whole.table.slice(3)])
    np.testing.assert_array_equal(replace(whole, table=pieces).columns.features, whole.columns.features)


def test_sequences_are_codes_of_the_asked_rows() -> None:
    whole = task()
    found = whole.sequences("enhancer", np.array([4, 0]))
    assert found is not None
    assert found.tolist() == [[3, 3, 2, 0], [0, 1, 2, 3]]
    assert whole.sequences("promoter", np.array([1])).tolist() == [[4, 0, 1]]  # type: ignore[union-attr]


def test_cells_are_found_by_name() -> None:
    whole = task()
    assert whole.cell_rows("A").tolist() == [0, 2, 4, 6]
    with pytest.raises(EpishotError, match="Task 'toy' has no cell 'C'; its cells are B, A"):
        whole.cell_rows("C")
    with pytest.raises(EpishotError, match="Column 'cell' holds 'A', which the card does not list"):
        _ = task(cells=("B", "C")).columns


def test_the_package_is_imported_lazily() -> None:
    code = (
        "import sys, epishot.tasks as tasks; from epishot.tasks import load_task, Task, TaskCard, Protocol; "
        "heavy = {'pandas', 'torch', 'datasets', 'scipy', 'sklearn'} & set(sys.modules); assert not heavy, heavy; "
        "missing = [name for name in tasks.__all__ if getattr(tasks, name, None) is None]; assert not missing, missing"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr

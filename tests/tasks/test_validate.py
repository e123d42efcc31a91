"""Validation names every problem by file, row, column and value, and lets valid tables through unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from epishot.tasks.card import Feature, Source, TaskCard
from epishot.tasks.errors import TableError
from epishot.tasks.problems import SHOWN_PER_KIND
from epishot.tasks.schema import BASE_FIELDS, arrow_schema
from epishot.tasks.validate import build_table

N = 8


def make_card(**changes: Any) -> TaskCard:
    facts: dict[str, Any] = {
        "name": "toy",
        "version": "1",
        "summary": "toy",
        "source": Source(repository="generated", revision="1"),
        "genome_build": "hg19",
        "licence": "MIT",
        "citation": "none",
        "label_meaning": "toy",
        "cells": ("A", "B"),
        "features": (
            Feature(name="DNase", unit="RPM", side="enhancer"),
            Feature(name="CTCF", unit="RPM", side="window"),
        ),
        "support_pool_chromosomes": ("chr1",),
    }
    return TaskCard(**{**facts, **changes})


def make_frame(n: int = N) -> pd.DataFrame:
    rows = np.arange(n)
    return pd.DataFrame(
        {
            "pair_id": [f"p{i}" for i in rows],
            "cell": ["A" if i % 2 else "B" for i in rows],
            "assay": "HiC",
            "genome_build": "hg19",
            "enhancer_id": [f"e{i}" for i in rows],
            "enhancer_chrom": ["chr1" if i % 3 else "chr2" for i in rows],
            "enhancer_start": 1000 * rows,
            "enhancer_end": 1000 * rows + 500,
            "promoter_chrom": "chr1",
            "promoter_start": 5000 * rows,
            "promoter_end": 5000 * rows + 1,
            "promoter_strand": "+",
            "transcript_id": "t",
            "gene_id": [f"g{i}" for i in rows],
            "gene_symbol": "",
            "distance": 4000.5 + rows,
            "label": rows % 2,
            "DNase": rows / 7,
            "CTCF": 1.0 + rows,
        }
    )


def problems_of(frame: pd.DataFrame, card: TaskCard | None = None, **options: Any) -> TableError:
    with pytest.raises(TableError) as caught:
        build_table(frame, card or make_card(), where="pairs.tsv", **options)
    return caught.value


def put(column: str, row: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        return frame

    return change


def test_a_valid_frame_becomes_a_table_of_the_schema_with_the_same_values() -> None:
    frame = make_frame()
    table = build_table(frame[frame.columns[::-1]], make_card(), where="pairs.tsv")
    assert table.schema.equals(arrow_schema(2))
    assert all(column.num_chunks == 1 for column in table.columns)
    for field in BASE_FIELDS:
        assert table[field.name].to_pylist() == frame[field.name].tolist()
    features = np.array(table["features"].to_pylist(), dtype=np.float32)
    np.testing.assert_array_equal(features, frame[["DNase", "CTCF"]].to_numpy(np.float32))


def test_text_that_spells_numbers_is_read_and_empty_text_is_missing() -> None:
    frame = make_frame().astype(str)
    frame.loc[3, ["label", "distance"]] = ""
    table = build_table(frame, make_card(), where="pairs.tsv")
    assert table["label"].to_pylist() == [0, 1, 0, None, 0, 1, 0, 1]
    assert table["distance"].to_pylist()[2:5] == [4002.5, None, 4004.5]
    assert table["enhancer_end"].to_pylist() == [1000 * i + 500 for i in range(N)]


def test_absent_optional_columns_are_filled_with_what_the_card_says() -> None:
    frame = make_frame().drop(columns=["genome_build", "assay", "promoter_strand", "transcript_id", "gene_symbol"])
    table = build_table(frame, make_card(), where="pairs.tsv")
    assert set(table["genome_build"].to_pylist()) == {"hg19"}
    for name in ("assay", "promoter_strand", "transcript_id", "gene_symbol"):
        assert set(table[name].to_pylist()) == {""}


def test_a_saved_table_validates_again_with_its_list_column() -> None:
    table = build_table(make_frame(), make_card(), where="pairs.tsv")
    assert build_table(table.to_pandas(), make_card(), where="again").equals(table)
    bare = make_card(features=())
    empty = build_table(make_frame().drop(columns=["DNase", "CTCF"]), bare, where="pairs.tsv")
    assert empty.schema.equals(arrow_schema(0))
    assert build_table(empty.to_pandas(), bare, where="again").equals(empty)


@pytest.mark.parametrize(
    ("change", "column", "row", "value", "text"),
    [
        (put("label", 2, 2), "label", 3, "2", "is not 0, 1 or empty"),
        (put("label", 2, 0.5), "label", 3, "0.5", "is not 0, 1 or empty"),
        (put("label", 2, "yes"), "label", 3, "'yes'", "is not a number"),
        (put("cell", 4, "C"), "cell", 5, "'C'", "is not a cell of the card (A, B)"),
        (put("cell", 4, None), "cell", 5, "None", "is empty"),
        (put("pair_id", 0, ""), "pair_id", 1, "''", "is empty"),
        (put("gene_id", 0, 17), "gene_id", 1, "17", "is not text"),
        (put("genome_build", 7, "GRCh38"), "genome_build", 8, "'GRCh38'", "is not the card's genome build 'hg19'"),
        (put("promoter_strand", 1, "."), "promoter_strand", 2, "'.'", "is not '+', '-' or empty"),
        (put("enhancer_end", 3, 2999), "enhancer_end", 4, "2999", "is smaller than enhancer_start"),
        (put("enhancer_start", 3, -1), "enhancer_start", 4, "-1", "is negative"),
        (put("promoter_start", 3, 14999.5), "promoter_start", 4, "14999.5", "is not a whole number"),
        (put("enhancer_start", 3, "3k"), "enhancer_start", 4, "'3k'", "is not a number"),
        (put("promoter_end", 3, None), "promoter_end", 4, "None", "is empty, but the card says"),
        (put("enhancer_chrom", 3, ""), "enhancer_chrom", 4, "''", "is empty, but the card says"),
        (put("distance", 6, -0.5), "distance", 7, "-0.5", "is negative"),
        (put("distance", 6, np.inf), "distance", 7, "inf", "is not finite"),
        (put("distance", 6, "far"), "distance", 7, "'far'", "is not a number"),
        (put("CTCF", 5, np.nan), "CTCF", 6, "nan", "is empty, but a feature needs a value"),
        (put("CTCF", 5, ""), "CTCF", 6, "''", "is empty, but a feature needs a value"),
        (put("DNase", 5, -np.inf), "DNase", 6, "-inf", "is not finite"),
        (put("DNase", 5, 1e39), "DNase", 6, "1e+39", "does not fit into float32"),
        (put("DNase", 5, "nan"), "DNase", 6, "'nan'", "is not a number"),
    ],
)
def test_one_wrong_value_is_one_problem_with_file_row_column_and_value(
    change: Callable[[pd.DataFrame], pd.DataFrame], column: str, row: int, value: str, text: str
) -> None:
    error = problems_of(change(make_frame()))
    assert error.total == 1
    assert error.problems[0].startswith(f"pairs.tsv, row {row}, column {column!r}: {value} {text}")
    assert "nothing was written" in str(error)


def test_missing_unknown_and_repeated_columns_are_named() -> None:
    frame = make_frame().drop(columns=["distance", "CTCF"]).assign(EffectSize=1.0, enhancer_sequence="ACGT")
    text = "\n".join(problems_of(frame).problems)
    assert "column 'distance' is missing" in text
    assert "column 'CTCF' is missing" in text
    assert "column 'EffectSize' is neither in the schema nor a feature on the card" in text
    assert "'enhancer_sequence' is neither" in text
    assert "gives no sequence_length" in text
    repeated = make_frame()
    repeated = pd.concat([repeated, repeated[["label"]]], axis=1)
    assert "column 'label' occurs more than once" in str(problems_of(repeated))
    assert "the table has no rows" in str(problems_of(make_frame(0)))


def test_every_problem_is_counted_and_the_first_of_each_kind_are_spelled_out() -> None:
    frame = make_frame(40)
    frame["label"] = 7
    frame.loc[11, "distance"] = -1.0
    frame.loc[39, "cell"] = "Z"
    error = problems_of(frame)
    assert error.total == 42
    labels = [text for text in error.problems if "'label'" in text]
    assert len(labels) == SHOWN_PER_KIND + 1
    assert f"{40 - SHOWN_PER_KIND} more row(s)" in labels[-1]
    assert any("row 12, column 'distance'" in text for text in error.problems)
    assert any("row 40, column 'cell'" in text for text in error.problems)


def test_random_corruptions_are_all_found_where_they_are() -> None:
    rng = np.random.default_rng(5)
    bad = {"label": 3, "distance": -2.0, "DNase": np.nan, "cell": "Z", "promoter_end": -7}
    for _ in range(20):
        frame = make_frame(300)
        expected = set()
        for column, value in bad.items():
            frame[column] = frame[column].astype(object)
            for row in rng.choice(300, size=int(rng.integers(0, SHOWN_PER_KIND + 1)), replace=False):
                frame.loc[row, column] = value
                expected.add((int(row) + 1, column))
        if not expected:
            continue
        error = problems_of(frame)
        found = {
            (row, column)
            for row, column in expected
            if any(text.startswith(f"pairs.tsv, row {row}, column {column!r}: ") for text in error.problems)
        }
        assert found == expected
        # A negative end is also smaller than its start: two findings on one value.
        assert error.total == len(expected) + sum(column == "promoter_end" for _, column in expected)


def test_rows_are_numbered_within_the_file_they_come_from() -> None:
    frame = make_frame()
    frame["label"] = frame["label"].astype(object)
    frame.loc[[2, 3, 7], "label"] = 9
    error = problems_of(frame, files=[("one.tsv", 3), ("two.tsv", 5)])
    places = [text.partition(", column")[0] for text in error.problems]
    assert places == ["one.tsv, row 3", "two.tsv, row 1", "two.tsv, row 5"]


def test_repeated_pairs_are_refused_and_contradictions_called_so() -> None:
    frame = make_frame()
    frame.loc[5, "pair_id"] = "p1"  # both label 1
    frame.loc[6, "pair_id"] = "p3"  # label 0 against 1
    error = problems_of(frame)
    assert error.total == 2
    contradiction, repetition = error.problems
    assert "row 7, column 'pair_id': 'p3' contradicts pairs.tsv, row 4" in contradiction
    assert "label 0 against 1" in contradiction
    assert "row 6, column 'pair_id': 'p1' repeats pairs.tsv, row 2" in repetition


def test_zero_length_elements_are_kept() -> None:
    frame = make_frame()
    frame.loc[4, "enhancer_end"] = frame.loc[4, "enhancer_start"]
    assert build_table(frame, make_card(), where="x")["enhancer_end"][4].as_py() == 4000


def test_coordinates_follow_the_word_on_the_card() -> None:
    columns = [name for name in make_frame().columns if name.startswith(("enhancer_", "promoter_"))]
    coordinates = [name for name in columns if name.endswith(("chrom", "start", "end"))]
    without = make_frame().drop(columns=coordinates)
    table = build_table(without, make_card(coordinates="none"), where="x")
    assert all(table[name].null_count == N for name in coordinates)
    assert len(problems_of(without).problems) == len(coordinates)
    assert problems_of(make_frame(), make_card(coordinates="none")).total == N * len(coordinates)
    partial = make_frame().astype(dict.fromkeys(coordinates, object))
    partial.loc[2, [name for name in coordinates if name.startswith("enhancer")]] = None
    table = build_table(partial, make_card(coordinates="partial"), where="x")
    assert table["enhancer_start"].null_count == table["enhancer_chrom"].null_count == 1
    partial.loc[3, "promoter_start"] = None
    error = problems_of(partial, make_card(coordinates="partial"))
    assert error.total == 1
    assert "row 4, column 'promoter_start': None is empty while the promoter has other" in error.problems[0]


def test_a_pool_without_rows_and_a_cell_without_rows_are_refused() -> None:
    error = problems_of(make_frame(), make_card(support_pool_chromosomes=("chr9",), cells=("A", "B", "C")))
    assert any("support_pool_chromosomes (chr9) occurs" in text for text in error.problems)
    assert any("cell 'C' of the card has no rows" in text for text in error.problems)
    build_table(make_frame(), make_card(support_pool_chromosomes=("1",)), where="x")


def test_sequences_have_the_lengths_of_the_card_and_five_letters() -> None:
    card = make_card(sequence_length=(4, 2))
    frame = make_frame().assign(enhancer_sequence="ACGT", promoter_sequence="NA")
    table = build_table(frame, card, where="x")
    assert table.schema.equals(arrow_schema(2, sequences=True))
    frame.loc[1, "enhancer_sequence"] = "ACGTA"
    frame.loc[2, "promoter_sequence"] = "xA"
    frame.loc[3, "promoter_sequence"] = ""
    error = problems_of(frame, card)
    text = "\n".join(error.problems)
    assert error.total == 3
    assert "row 2, column 'enhancer_sequence': 'ACGTA' has 5 bases; the card says 4" in text
    assert "row 3, column 'promoter_sequence': 'xA' has characters other than" in text
    assert "row 4, column 'promoter_sequence': '' has 0 bases; the card says 2" in text
    missing = problems_of(make_frame(), card)
    assert "column 'promoter_sequence' is missing" in str(missing)


def test_list_features_of_the_wrong_length_are_named() -> None:
    frame = make_frame().drop(columns=["DNase", "CTCF"])
    frame["features"] = [[1.0, 2.0]] * (N - 1) + [[1.0]]
    error = problems_of(frame)
    assert error.total == 1
    assert "row 8, column 'features': [1.0] is not a list of the card's 2 features" in error.problems[0]


def test_a_numeric_column_where_text_belongs_is_named() -> None:
    frame = make_frame()
    frame["gene_id"] = np.arange(N)
    assert "column 'gene_id' holds int64, but must be text" in str(problems_of(frame))


def test_a_feature_may_not_be_called_like_a_schema_column() -> None:
    card = make_card(features=(Feature(name="label", unit="x", side="pair"),))
    assert "the card names a feature 'label'" in str(problems_of(make_frame().drop(columns=["DNase", "CTCF"]), card))


def test_arrow_backed_categorical_and_nullable_columns_are_read() -> None:
    frame = make_frame()
    plain = build_table(frame, make_card(), where="x")
    frame["cell"] = frame["cell"].astype("category")
    frame["label"] = frame["label"].astype("Int8")
    frame["enhancer_start"] = frame["enhancer_start"].astype("int64[pyarrow]")
    frame["gene_id"] = frame["gene_id"].astype(pd.ArrowDtype(pa.large_string()))
    frame["DNase"] = frame["DNase"].astype("Float64")
    assert build_table(frame, make_card(), where="x").equals(plain)
    frame["label"] = frame["label"] == 1
    assert build_table(frame, make_card(), where="x").equals(plain)

"""From a pandas frame to a valid EP table, or to the full list of what is wrong with it.

The checks run on whole columns, so that a million rows take seconds. Nothing is repaired silently: the
only values filled in are those of columns that may be absent (see `build_table`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .card import TaskCard
from .parse import (
    Number,
    SourceValues,
    has_listed_features,
    is_empty,
    mask_of,
    read_features,
    read_number,
    read_sequence,
    read_text,
)
from .problems import ProblemList
from .schema import BASE_FIELDS, arrow_schema

if TYPE_CHECKING:
    import pandas as pd

#: Text that may not be empty: without it a row has no identity.
IDENTITY = ("pair_id", "cell", "enhancer_id", "gene_id")
#: Text that a source may lack; an absent column becomes empty strings.
OPTIONAL_TEXT = ("assay", "promoter_strand", "transcript_id", "gene_symbol")
SIDES = ("enhancer", "promoter")
COORDINATES = tuple(f"{side}_{part}" for side in SIDES for part in ("chrom", "start", "end"))
SEQUENCES = tuple(f"{side}_sequence" for side in SIDES)


def build_table(frame: pd.DataFrame, card: TaskCard, *, where: str, files: Sequence[tuple[str, int]] = ()) -> pa.Table:
    """Validate `frame` against the schema and the card and return it as an EP table.

    Columns are those of `schema.BASE_FIELDS`, one column per feature of the card (or a list column
    `features`), and the two sequence columns if the card gives their lengths. Columns may come in any
    order. May be absent: `genome_build` (the card's), `assay`, `promoter_strand`, `transcript_id` and
    `gene_symbol` (empty text), coordinates unless the card says they are complete (null). Empty text and
    NaN count as missing in the nullable columns (coordinates, distance, label).

    Args:
        frame: n rows, text or numbers as read.
        card: the task card.
        where: file or source named in the problems.
        files: (file name, rows) in row order, when the frame joins several files.

    Returns:
        n rows of `schema.arrow_schema(len(card.features))`, one chunk per column.

    Raises:
        TableError: lists every problem found, by file, row (1-based, header not counted), column and value.
    """
    problems = ProblemList(where, files)
    n = len(frame)
    if n == 0:
        problems.add("the table has no rows")
    _check_columns(frame, card, problems)
    if frame.columns.has_duplicates:
        problems.raise_if_any()
    present = set(frame.columns)
    arrays: dict[str, pa.Array] = {}
    for name in (*IDENTITY, *OPTIONAL_TEXT, "genome_build", "enhancer_chrom", "promoter_chrom"):
        if name in present and (text := read_text(frame[name], name, problems)) is not None:
            arrays[name] = text
    _check_text(frame, card, arrays, problems)
    _check_coordinates(frame, card, arrays, problems)
    if "distance" in present:
        number = read_number(frame["distance"], "distance", problems)
        problems.add_rows(number.value < 0, "distance", number.source, "is negative")
        arrays["distance"] = pa.array(number.value, mask=number.unusable)
    if "label" in present:
        number = read_number(frame["label"], "label", problems)
        wrong = ~number.unusable & (number.value != 0) & (number.value != 1)
        problems.add_rows(wrong, "label", number.source, "is not 0, 1 or empty")
        label = np.where(number.unusable | wrong, -1, number.value).astype(np.int8)
        arrays["label"] = pa.array(label, mask=label < 0)
    if "pair_id" in arrays:
        _check_unique(arrays, problems)
    arrays["features"] = read_features(frame, card, problems)
    if card.sequence_length is not None:
        for name, length in zip(SEQUENCES, card.sequence_length, strict=True):
            if name in present and (bases := read_sequence(frame[name], name, length, problems)) is not None:
                arrays[name] = bases
    problems.raise_if_any()
    schema = arrow_schema(len(card.features), sequences=card.sequence_length is not None)
    fill = {"genome_build": card.genome_build, **dict.fromkeys(OPTIONAL_TEXT, "")}
    for field in schema:
        if field.name not in arrays:
            value = pa.scalar(fill.get(field.name), type=field.type)
            arrays[field.name] = pa.repeat(value, n)
    return pa.Table.from_arrays([arrays[f.name].cast(f.type) for f in schema], schema=schema)


def _check_columns(frame: pd.DataFrame, card: TaskCard, problems: ProblemList) -> None:
    base = [field.name for field in BASE_FIELDS]
    optional = {"genome_build", *OPTIONAL_TEXT}
    if card.coordinates != "complete":
        optional |= set(COORDINATES)
    features = ["features"] if has_listed_features(frame, card) else list(card.feature_names)
    sequences = list(SEQUENCES) if card.sequence_length is not None else []
    known = {*base, *features, *sequences}
    for name in dict.fromkeys(frame.columns[frame.columns.duplicated()]):
        problems.add(f"column {name!r} occurs more than once")
    for name in [*base, *features, *sequences]:
        if name not in frame.columns and name not in optional:
            problems.add(f"column {name!r} is missing")
    for name in frame.columns:
        if name not in known:
            hint = " (the card gives no sequence_length)" if name in SEQUENCES else ""
            problems.add(f"column {name!r} is neither in the schema nor a feature on the card{hint}")
    for name in set(card.feature_names) & {*base, *SEQUENCES, "features"}:
        problems.add(f"the card names a feature {name!r}, which is a column of every EP table")


def _check_text(frame: pd.DataFrame, card: TaskCard, arrays: dict[str, pa.Array], problems: ProblemList) -> None:
    def listed(name: str, allowed: Sequence[str], what: str) -> None:
        if name in arrays:
            outside = ~mask_of(pc.is_in(arrays[name], value_set=pa.array(list(allowed), pa.string())))
            problems.add_rows(outside & ~is_empty(arrays[name]), name, SourceValues(frame[name]), what)

    for name in (*IDENTITY, "genome_build"):
        if name in arrays:
            problems.add_rows(is_empty(arrays[name]), name, SourceValues(frame[name]), "is empty")
    for name in OPTIONAL_TEXT:
        if name in arrays:
            arrays[name] = pc.fill_null(arrays[name], "")
    listed("cell", card.cells, f"is not a cell of the card ({', '.join(card.cells)})")
    listed("genome_build", [card.genome_build], f"is not the card's genome build {card.genome_build!r}")
    listed("promoter_strand", ["+", "-"], "is not '+', '-' or empty")
    if "cell" in arrays and len(frame):
        for cell in card.cells:
            if not mask_of(pc.equal(arrays["cell"], cell)).any():
                problems.add(f"cell {cell!r} of the card has no rows")


def _check_coordinates(frame: pd.DataFrame, card: TaskCard, arrays: dict[str, pa.Array], problems: ProblemList) -> None:
    for side in SIDES:
        names = [f"{side}_{part}" for part in ("chrom", "start", "end")]
        if not set(names) & set(frame.columns):
            continue
        given: dict[str, np.ndarray] = {}
        numbers: dict[str, Number] = {}
        for name in names:
            if name not in frame.columns or (name.endswith("chrom") and name not in arrays):
                given[name] = np.zeros(len(frame), dtype=bool)
            elif name.endswith("chrom"):
                given[name] = ~is_empty(arrays[name])
                arrays[name] = pc.if_else(pa.array(given[name]), arrays[name], pa.scalar(None, pa.string()))
            else:
                number = numbers[name] = read_number(frame[name], name, problems)
                given[name] = ~number.empty
                whole = number.value == np.floor(number.value)
                problems.add_rows(~whole, name, number.source, "is not a whole number")
                problems.add_rows(number.value < 0, name, number.source, "is negative")
                # 2**53 bounds what float64 holds exactly; no genome comes near it.
                large = number.value > 2.0**53
                problems.add_rows(large, name, number.source, "is too large for a coordinate")
                arrays[name] = pa.array(np.where(large, 0, number.value).astype(np.int64), mask=number.unusable)
        start, end = numbers.get(names[1]), numbers.get(names[2])
        if start is not None and end is not None:
            inverted = ~(start.unusable | end.unusable) & (end.value < start.value)
            problems.add_rows(inverted, names[2], end.source, f"is smaller than {names[1]}")
        for name in names:
            source = SourceValues(frame[name]) if name in frame.columns else [None] * len(frame)
            if card.coordinates == "complete":
                gaps = ~given[name] & np.array(name in arrays)
                problems.add_rows(gaps, name, source, "is empty, but the card says coordinates are complete")
            elif card.coordinates == "none":
                problems.add_rows(given[name], name, source, "is given, but the card says coordinates are none")
            else:
                partly = ~given[name] & (given[names[0]] | given[names[1]] | given[names[2]])
                problems.add_rows(partly, name, source, f"is empty while the {side} has other coordinates")
    _check_pool(card, arrays, problems)


def _check_pool(card: TaskCard, arrays: dict[str, pa.Array], problems: ProblemList) -> None:
    """A pool that names no chromosome of the table would leave every support empty."""
    if "enhancer_chrom" not in arrays:
        return
    found = sorted(set(pc.unique(arrays["enhancer_chrom"]).to_pylist()) - {None})
    bare = {name.removeprefix("chr") for name in card.support_pool_chromosomes}
    if found and not bare & {name.removeprefix("chr") for name in found}:
        pool = ", ".join(card.support_pool_chromosomes)
        problems.add(
            f"none of the card's support_pool_chromosomes ({pool}) occurs in column 'enhancer_chrom', "
            f"which holds {', '.join(found[:5])}{', ...' if len(found) > 5 else ''}"
        )


def _check_unique(arrays: dict[str, pa.Array], problems: ProblemList) -> None:
    """A pair occurs once; a second row of it either repeats the first or contradicts its label."""
    identity = arrays["pair_id"]
    codes = pc.fill_null(identity, "").dictionary_encode().indices.to_numpy(zero_copy_only=False)
    distinct, first_of_code = np.unique(codes, return_index=True)
    if len(distinct) == len(codes):
        return
    rows, first = np.arange(len(codes)), first_of_code[codes]
    again = (rows != first) & ~is_empty(identity)
    label = np.full(len(codes), -1)
    if "label" in arrays:
        label = pc.fill_null(arrays["label"], -1).to_numpy(zero_copy_only=False)
    contradictory = again & (label != label[first])
    shown = {-1: "none", 0: "0", 1: "1"}

    def contradicts(row: int) -> str:
        labels = f"label {shown[int(label[row])]} against {shown[int(label[first[row]])]}"
        return f"contradicts {problems.place(int(first[row]))}: the same pair with {labels}"

    source = identity.to_pylist()
    problems.add_rows(contradictory, "pair_id", source, contradicts)
    problems.add_rows(
        again & ~contradictory, "pair_id", source, lambda row: f"repeats {problems.place(int(first[row]))}"
    )

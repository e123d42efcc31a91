"""From pandas frames to a valid EP table, or to the full list of what is wrong with it.

The checks run on whole columns, so that a million rows take seconds, and chunk by chunk, so that a table may be larger
than the memory. Nothing is repaired silently: the only values filled in are those of columns that may be absent (see
`build_table`).
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
    checks = TableChecks(card, where=where, files=files)
    table = checks.table(frame)
    checks.finish()
    assert table is not None, "what has no table has problems"
    return table


class TableChecks:
    """Validates the chunks of one EP table in order, then what only the whole table shows.

    Args:
        card, where, files: see `build_table`.
    """

    def __init__(self, card: TaskCard, *, where: str, files: Sequence[tuple[str, int]] = ()) -> None:
        self._card = card
        self._problems = ProblemList(where, files)
        self._identity: list[pa.Array] = []
        self._label: list[np.ndarray] = []
        self._cells: set[str] = set(card.cells)
        self._chromosomes: set[str] = set()
        self._rows = 0

    def table(self, frame: pd.DataFrame) -> pa.Table | None:
        """The EP table of the next chunk of rows; None if anything was wrong so far (see `finish`).

        Raises:
            TableError: a column occurs twice, so that nothing can be read.
        """
        card, problems, n = self._card, self._problems, len(frame)
        problems.first_row = self._rows
        if not self._rows:
            _check_columns(frame, card, problems)
        if frame.columns.has_duplicates:
            problems.raise_if_any()
        self._rows += n
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
            self._label.append(label)
        arrays["features"] = read_features(frame, card, problems)
        if card.sequence_length is not None:
            for name, length in zip(SEQUENCES, card.sequence_length, strict=True):
                if name in present and (bases := read_sequence(frame[name], name, length, problems)) is not None:
                    arrays[name] = bases
        if "pair_id" in arrays:
            self._identity.append(arrays["pair_id"])
        if "cell" in arrays:
            self._cells -= set(pc.unique(arrays["cell"]).to_pylist())
        else:
            self._cells.clear()
        if "enhancer_chrom" in arrays:
            self._chromosomes |= set(pc.unique(arrays["enhancer_chrom"]).to_pylist()) - {None}
        if problems:
            return None
        schema = arrow_schema(len(card.features), sequences=card.sequence_length is not None)
        fill = {"genome_build": card.genome_build, **dict.fromkeys(OPTIONAL_TEXT, "")}
        for field in schema:
            if field.name not in arrays:
                value = pa.scalar(fill.get(field.name), type=field.type)
                arrays[field.name] = pa.repeat(value, n)
        return pa.Table.from_arrays([arrays[f.name].cast(f.type) for f in schema], schema=schema)

    def finish(self) -> None:
        """The checks of the whole table, after the last chunk.

        Raises:
            TableError: lists every problem found, in all chunks.
        """
        problems = self._problems
        problems.first_row = 0
        if not self._rows:
            problems.add("the table has no rows")
        else:
            for cell in self._card.cells:
                if cell in self._cells:
                    problems.add(f"cell {cell!r} of the card has no rows")
        _check_pool(self._card, self._chromosomes, problems)
        if self._identity:
            label = np.concatenate(self._label) if self._label else np.full(self._rows, -1)
            _check_unique(pa.chunked_array(self._identity), label, problems)
        problems.raise_if_any()


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


def _check_pool(card: TaskCard, chromosomes: set[str], problems: ProblemList) -> None:
    """A pool that names no chromosome of the table would leave every support empty."""
    found = sorted(chromosomes)
    bare = {name.removeprefix("chr") for name in card.support_pool_chromosomes}
    if found and not bare & {name.removeprefix("chr") for name in found}:
        pool = ", ".join(card.support_pool_chromosomes)
        problems.add(
            f"none of the card's support_pool_chromosomes ({pool}) occurs in column 'enhancer_chrom', "
            f"which holds {', '.join(found[:5])}{', ...' if len(found) > 5 else ''}"
        )


def _check_unique(identity: pa.ChunkedArray, label: np.ndarray, problems: ProblemList) -> None:
    """A pair occurs once; a second row of it either repeats the first or contradicts its label."""
    rows = _rows_of_equal_hash(identity)
    text = identity.take(pa.array(rows)).combine_chunks()
    codes = pc.fill_null(text, "").dictionary_encode().indices.to_numpy(zero_copy_only=False)
    first = rows[np.unique(codes, return_index=True)[1][codes]] if rows.size else rows
    again = (rows != first) & ~is_empty(text)
    repeated, contradictory = np.zeros(len(identity), dtype=bool), np.zeros(len(identity), dtype=bool)
    differs = label[rows] != label[first]
    contradictory[rows[again & differs]] = repeated[rows[again & ~differs]] = True
    first_of = dict(zip(rows.tolist(), first.tolist(), strict=True))
    shown = {-1: "none", 0: "0", 1: "1"}

    def contradicts(row: int) -> str:
        labels = f"label {shown[int(label[row])]} against {shown[int(label[first_of[row]])]}"
        return f"contradicts {problems.place(first_of[row])}: the same pair with {labels}"

    source = _Texts(identity)
    problems.add_rows(contradictory, "pair_id", source, contradicts)
    problems.add_rows(repeated, "pair_id", source, lambda row: f"repeats {problems.place(first_of[row])}")


def _rows_of_equal_hash(identity: pa.ChunkedArray) -> np.ndarray:
    """Rows whose text may occur twice, ascending: those that share a 64-bit hash with another row."""
    from pandas.util import hash_array

    hashes = [hash_array(chunk.to_numpy(zero_copy_only=False), categorize=False) for chunk in identity.chunks]
    key = np.concatenate(hashes)
    order = np.argsort(key)
    key = key[order]
    same = np.append(key[1:] == key[:-1], False)
    same[1:] |= same[:-1].copy()
    return np.sort(order[same])


class _Texts(Sequence[object]):
    """Texts of an Arrow column by position."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        return self._column[int(row)].as_py()

"""Read a table of predictions made elsewhere: one row per pair, whatever the columns are called.

Text stays text until it is matched; nothing is dropped or repaired here. Parquet, TSV and CSV, also gzipped.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..tasks.errors import EpishotError
from .external_columns import map_columns
from .external_names import expand_names

#: Text that stands for a missing score.
_NO_SCORE = ("", "na", "n/a", "null", "none")


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """Predictions as read, m rows.

    Attributes:
        name: file name without folders. sha256: digest (hex) of the file's bytes.
        columns: the file's column by meaning.
        text: (m,) strings by meaning, null where nothing is there; composite names are taken apart.
        score: (m,) float64; NaN where there is no number.
        score_text: (m,) strings, the scores as written, for messages.
    """

    name: str
    sha256: str
    columns: Mapping[str, str]
    text: Mapping[str, pa.Array]
    score: np.ndarray
    score_text: pa.Array

    def __len__(self) -> int:
        return len(self.score)


def read_predictions(path: Path, given: Mapping[str, str]) -> PredictionTable:
    """Read a prediction file.

    Args:
        path: `.tsv`, `.txt`, `.csv` or `.parquet`, also with `.gz`; lines `##...` above the header are skipped.
        given: column by meaning, for columns that are not recognised (see `map_columns`).

    Raises:
        EpishotError: no such file, not of its format, no rows, no score column, or scores that are not numbers.
    """
    try:
        data = path.read_bytes()
        content = gzip.decompress(data) if path.suffix == ".gz" else data
        kind = Path(path.name.removesuffix(".gz")).suffix.lower()
        if kind == ".parquet":
            columns, table = _read_parquet(content, given, path.name)
        elif kind in (".tsv", ".txt", ".csv"):
            columns, table = _read_text(content, "," if kind == ".csv" else "\t", given, path.name)
        else:
            raise EpishotError(
                f"{path.name} is not a .tsv, .csv or .parquet file (or .gz of one): rename or convert it."
            )
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, pa.ArrowException) as error:
        raise EpishotError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from error
    if not table.num_rows:
        raise EpishotError(f"{path.name} has no rows.")
    text = {role: _as_text(table[name], name, path.name) for role, name in columns.items() if role != "score"}
    score, score_text = _scores(table[columns["score"]], columns["score"], path.name)
    return PredictionTable(
        path.name, hashlib.sha256(data).hexdigest(), columns, expand_names(text, path.name), score, score_text
    )


def _read_parquet(content: bytes, given: Mapping[str, str], where: str) -> tuple[dict[str, str], pa.Table]:
    import pyarrow.parquet as pq

    header = pq.read_schema(pa.BufferReader(content)).names
    columns = map_columns(header, given, where)
    return columns, pq.read_table(pa.BufferReader(content), columns=sorted(set(columns.values())))


def _read_text(content: bytes, delimiter: str, given: Mapping[str, str], where: str) -> tuple[dict[str, str], pa.Table]:
    from pyarrow import csv as arrow_csv

    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    skipped, first = 0, lines.readline()
    while first.startswith("##") or (first and not first.strip()):
        skipped, first = skipped + 1, lines.readline()
    if not first:
        raise EpishotError(f"{where} has no header line.")
    header = [name.strip().removeprefix("#") for name in next(csv.reader([first], delimiter=delimiter))]
    columns = map_columns(header, given, where)
    table = arrow_csv.read_csv(
        pa.BufferReader(content),
        read_options=arrow_csv.ReadOptions(skip_rows=skipped + 1, column_names=header),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            strings_can_be_null=False,
            include_columns=sorted(set(columns.values())),
        ),
    )
    return columns, table


def _as_text(column: pa.ChunkedArray, name: str, where: str) -> pa.Array:
    """Text of a column; whole numbers written as floats (1000.0) as whole numbers; empty text as null."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    try:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if pa.types.is_floating(array.type):
            array = array.cast(pa.int64())
        text = array.cast(pa.string())
    except pa.ArrowException as error:
        raise EpishotError(f"{where}: column {name!r} holds {array.type}, which is neither text nor whole.") from error
    trimmed = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _scores(column: pa.ChunkedArray, name: str, where: str) -> tuple[np.ndarray, pa.Array]:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    if pa.types.is_floating(array.type) or pa.types.is_integer(array.type):
        value = pc.fill_null(array.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
        return value.copy(), array.cast(pa.string())
    if pa.types.is_boolean(array.type):
        return _scores(pa.chunked_array([array.cast(pa.int8())]), name, where)
    text = _as_text(column, name, where)
    nothing = pc.is_in(pc.utf8_lower(pc.fill_null(text, "")), value_set=pa.array(_NO_SCORE))
    numbers = pc.if_else(nothing, pa.scalar(None, pa.string()), text)
    try:
        value = pc.fill_null(numbers.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False).copy()
    except pa.ArrowInvalid:
        for row, word in enumerate(numbers.to_pylist()):
            if word is not None and not _is_number(word):
                raise EpishotError(
                    f"{where}, row {row + 1}, column {name!r}: {word[:60]!r} is not a number; is it the score? "
                    "Name another column with --columns score=NAME."
                ) from None
        # What only Python takes for a number, such as 1_000, is not worth a guess.
        raise EpishotError(
            f"{where}: column {name!r} holds numbers that cannot be read; write them as 0.123."
        ) from None
    return value, text


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True

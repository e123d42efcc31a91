"""A user's own EP data: a folder with `card.json` and `pairs.tsv`, `.csv` or `.parquet` (gzip allowed)."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import BaseModel, ValidationError

from .card import Feature, Source, TaskCard
from .errors import EpishotError
from .schema import SCHEMA_VERSION
from .sources import cache_folder
from .task import Task

if TYPE_CHECKING:
    import pandas as pd

CARD_FILE = "card.json"
PAIR_FILES = tuple(f"pairs.{kind}{packed}" for kind in ("tsv", "csv", "parquet") for packed in ("", ".gz"))
#: Rows of a Parquet file that are validated at a time.
_CHUNK_ROWS = 1 << 18
#: Columns read as numbers; everything else that is not a feature is text.
_NUMBERS = ("enhancer_start", "enhancer_end", "promoter_start", "promoter_end", "distance", "label")


def load_folder(folder: Path) -> Task:
    """The task of a folder that holds a card and one pairs file.

    The pairs file has one row per EP pair with the columns of the EP table (see `build_table`) and one
    column per feature, named as on the card. Empty cells are missing values; "NA" is text. A `.parquet` file is read in
    chunks and kept in the cache as files that are mapped, so that millions of pairs need little memory.

    Raises:
        EpishotError: a file is missing or cannot be read, or the card is invalid (all its problems are listed).
        TableError: the pairs break the schema or contradict the card.
    """
    from .validate import build_table

    card = read_card(folder / CARD_FILE)
    path = pair_file(folder)
    if path.suffix == ".parquet":
        return Task(card=card, table=_mapped_table(path, card))
    return Task(card=card, table=build_table(read_pairs(path, card), card, where=str(path)))


def _mapped_table(path: Path, card: TaskCard) -> pa.Table:
    """The table of a Parquet file, in files of the cache that are mapped: it may be larger than the memory."""
    from .large_table import map_table, write_table
    from .table_cache import shared_code
    from .validate import TableChecks

    with path.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    key = hashlib.sha256(f"{SCHEMA_VERSION}\n{card.model_dump_json()}\n{content}\n{shared_code()}".encode())
    kept = cache_folder() / "tables" / f"{card.name}-{key.hexdigest()[:32]}"
    if (found := map_table(card, kept)) is not None:
        return found
    checks = TableChecks(card, where=str(path))

    def checked() -> Iterator[pa.Table]:
        for frame in _parquet_chunks(path):
            if (table := checks.table(frame)) is not None:
                yield table
        checks.finish()

    return write_table(checked(), card, kept)


def _parquet_chunks(path: Path) -> Iterator[pd.DataFrame]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_CHUNK_ROWS):
                yield batch.to_pandas()
            if not file.metadata.num_rows:
                yield file.schema_arrow.empty_table().to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise EpishotError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from error


def read_card(path: Path) -> TaskCard:
    """The task card in a JSON file.

    Raises:
        EpishotError: there is no such file, it is not JSON, or the card is invalid.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique_keys)
    except FileNotFoundError:
        raise EpishotError(f"There is no {path}: write the task card there (JSON).") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EpishotError(f"{path} cannot be read: {error}.") from error
    except json.JSONDecodeError as error:
        raise EpishotError(f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from error
    try:
        return TaskCard.model_validate(content)
    except ValidationError as error:
        problems = [_card_problem(dict(finding)) for finding in error.errors()]
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise EpishotError(f"{path}: the task card has {len(problems)} problem(s).\n{listed}") from None


def pair_file(folder: Path) -> Path:
    """The one pairs file of a folder.

    Raises:
        EpishotError: there is none, or more than one.
    """
    found = [folder / name for name in PAIR_FILES if (folder / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise EpishotError(f"{folder} holds {names}: keep one pairs file.")
    raise EpishotError(f"{folder} holds no pairs file: add one of {', '.join(PAIR_FILES)}.")


def read_pairs(path: Path, card: TaskCard) -> pd.DataFrame:
    """The pairs file as a frame; columns that do not read as numbers stay text for validation to report.

    Raises:
        EpishotError: the file is not of its format.
    """
    try:
        if ".parquet" in path.name:
            import pyarrow.parquet as pq

            table = pq.read_table(io.BytesIO(gzip.decompress(path.read_bytes())))
        else:
            table = _read_text_table(path, "\t" if ".tsv" in path.name else ",", card)
    except (OSError, EOFError, gzip.BadGzipFile, pa.ArrowException) as error:
        raise EpishotError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from error
    return table.to_pandas()


def _read_text_table(path: Path, delimiter: str, card: TaskCard) -> pa.Table:
    from pyarrow import csv

    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as stream:
        header = stream.readline().decode("utf-8", "replace").strip("\ufeff\r\n").split(delimiter)
    header = [name.strip('"') for name in header]
    table = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=False),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False),
    )
    numeric = {*_NUMBERS, *card.feature_names}
    return pa.table(
        [_as_numbers(table[i]) if name in numeric else table[i] for i, name in enumerate(table.column_names)],
        names=table.column_names,
    )


def _as_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Float64 if every non-empty text spells a number; the text itself otherwise, so that it can be shown."""
    import pyarrow.compute as pc

    try:
        return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column).cast(pa.float64())
    except pa.ArrowInvalid:
        return column


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """JSON would keep the last of two equal keys without a word."""
    keys = [key for key, _ in pairs]
    if repeated := {key for key in keys if keys.count(key) > 1}:
        raise EpishotError(f"{CARD_FILE} gives {', '.join(map(repr, sorted(repeated)))} more than once.")
    return dict(pairs)


def _card_problem(finding: dict[str, object]) -> str:
    """One pydantic finding in plain words."""
    location = finding["loc"]
    assert isinstance(location, tuple)
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in location) or "card"
    match finding["type"]:
        case "missing":
            return f"{where}: is missing"
        case "extra_forbidden":
            models: dict[object, type[BaseModel]] = {"features": Feature, "source": Source}
            known = models.get(location[0], TaskCard) if len(location) > 1 else TaskCard
            near = difflib.get_close_matches(str(location[-1]), known.model_fields, n=1)
            return f"{where}: unknown key" + (f" (did you mean {near[0]!r}?)" if near else "")
        case "value_error":
            return f"{where}: {str(finding['msg']).removeprefix('Value error, ')}"
        case _:
            message = str(finding["msg"])
            return f"{where}: {message[:1].lower()}{message[1:]}, found {finding['input']!r}"

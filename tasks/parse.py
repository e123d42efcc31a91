"""One source column -> one typed array. What cannot be read is recorded as a problem, never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .card import TaskCard
from .problems import ProblemList

if TYPE_CHECKING:
    import pandas as pd


class SourceValues(Sequence[object]):
    """The values of a column as the source has them, by position, without a million Python objects."""

    def __init__(self, column: pd.Series) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        return self._column.iloc[row]


class Number(NamedTuple):
    """A numeric column of n rows.

    Attributes:
        value: (n,) float64, finite; 0 where there is no usable value.
        unusable: (n,) bool, empty or recorded as a problem.
        empty: (n,) bool, nothing there.
        source: the n values as the source has them.
    """

    value: np.ndarray
    unusable: np.ndarray
    empty: np.ndarray
    source: Sequence[object]


def mask_of(condition: pa.Array) -> np.ndarray:
    """An Arrow boolean as a numpy mask; null counts as false."""
    return pc.fill_null(condition, False).to_numpy(zero_copy_only=False).astype(bool)


def is_empty(array: pa.Array) -> np.ndarray:
    """Mask of the rows of a text column that are null or have no characters."""
    return mask_of(pc.equal(pc.fill_null(array, ""), ""))


def read_text(column: pd.Series, name: str, problems: ProblemList) -> pa.Array | None:
    """A text column as (n,) Arrow strings, null where missing; None if it holds something else."""
    try:
        array = pa.array(column, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        other = np.array([not (isinstance(value, str) or value is None or value != value) for value in column])
        problems.add_rows(other, name, SourceValues(column), "is not text")
        return None
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_null(array.type) or pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return array.cast(pa.string())
    problems.add(f"column {name!r} holds {array.type}, but must be text")
    return None


def read_number(column: pd.Series, name: str, problems: ProblemList) -> Number:
    """A numeric column, or text that spells finite numbers."""
    import pandas as pd

    source = SourceValues(column)
    if pd.api.types.is_numeric_dtype(column.dtype):
        value = column.to_numpy(dtype=np.float64, na_value=np.nan)
        empty = np.isnan(value)
        unread = np.zeros(len(value), dtype=bool)
    else:
        empty = (column.isna() | (column == "")).to_numpy(dtype=bool)
        value = pd.to_numeric(column.where(~empty), errors="coerce").to_numpy(np.float64, na_value=np.nan)
        unread = np.isnan(value) & ~empty
        problems.add_rows(unread, name, source, "is not a number")
    infinite = np.isinf(value)
    problems.add_rows(infinite, name, source, "is not finite")
    unusable = empty | unread | infinite
    return Number(np.where(unusable, 0.0, value), unusable, empty, source)


def read_sequence(column: pd.Series, name: str, length: int, problems: ProblemList) -> pa.Array | None:
    """A DNA column of `length` bases per row, upper-case A, C, G, T, N; None if it is not text."""
    array = read_text(column, name, problems)
    if array is None:
        return None
    source = SourceValues(column)
    filled = pc.fill_null(array, "")
    bases = mask_of(pc.match_substring_regex(filled, "^[ACGTN]*$"))
    problems.add_rows(~bases, name, source, "has characters other than A, C, G, T, N in upper case")
    found = pc.utf8_length(filled).to_numpy(zero_copy_only=False)
    problems.add_rows(found != length, name, source, lambda row: f"has {found[row]} bases; the card says {length}")
    return array


def has_listed_features(frame: pd.DataFrame, card: TaskCard) -> bool:
    """Whether features come as one list column `features` (as in a saved EP table), not one column each."""
    return "features" in frame.columns and not set(card.feature_names) & set(frame.columns)


def read_features(frame: pd.DataFrame, card: TaskCard, problems: ProblemList) -> pa.Array:
    """The card's features as (n,) fixed-size lists of float32; zeros where a problem was recorded."""
    n, width = len(frame), len(card.features)
    if has_listed_features(frame, card):
        columns = _split_list(frame["features"], card, problems)
    else:
        columns = {name: frame[name] for name in card.feature_names if name in frame.columns}
    if width == 0:
        return pa.array([[]] * n, pa.list_(pa.float32(), 0))
    matrix = np.zeros((n, width), dtype=np.float32)
    for position, name in enumerate(card.feature_names):
        if name not in columns:
            continue
        number = read_number(columns[name], name, problems)
        problems.add_rows(number.empty, name, number.source, "is empty, but a feature needs a value")
        with np.errstate(over="ignore"):
            matrix[:, position] = number.value
        problems.add_rows(np.isinf(matrix[:, position]), name, number.source, "does not fit into float32")
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), width)


def _split_list(column: pd.Series, card: TaskCard, problems: ProblemList) -> dict[str, pd.Series]:
    import pandas as pd

    width = len(card.features)
    try:
        array = pa.array(column, from_pandas=True)
        lengths = pc.fill_null(pc.list_value_length(array), -1).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        problems.add("column 'features' must hold one list of numbers per row")
        return {}
    wrong = lengths != width
    what = f"is not a list of the card's {width} features"
    problems.add_rows(wrong, "features", SourceValues(column), what)
    if wrong.any() or width == 0:
        return {}
    flat = np.asarray(pc.list_flatten(array).to_numpy(zero_copy_only=False), dtype=np.float64)
    matrix = flat.reshape(-1, width)
    return {name: pd.Series(matrix[:, position]) for position, name in enumerate(card.feature_names)}

"""Keys that task rows and prediction rows share: one whole number per distinct key, -1 for what has none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, eq=False)
class SharedKey:
    """One part of a key, or several parts joined.

    Attributes:
        task: (n,) int64, 0 <= code < size; -1 where the task has no value.
        file: (m,) int64 codes of the same values; -1 where the task has no such value.
        size: number of codes.
    """

    task: np.ndarray
    file: np.ndarray
    size: int

    def joined(self, other: SharedKey) -> SharedKey:
        """Both parts as one key: -1 where a part is, or where no task row has this combination."""
        task = np.where((self.task < 0) | (other.task < 0), -1, self.task * other.size + other.task)
        file = np.where((self.file < 0) | (other.file < 0), -1, self.file * other.size + other.file)
        return _shared(task, file)


def text_key(task: pa.Array | pa.ChunkedArray, file: pa.Array) -> SharedKey:
    """A key from text; null and empty text have none."""
    known = pc.unique(task).drop_null()
    known = known.filter(pc.not_equal(known, ""))
    return SharedKey(_index(task, known), _index(file, known), len(known))


def position_key(task: pa.Array | pa.ChunkedArray, file: pa.Array) -> SharedKey:
    """A key from whole numbers, which the file has as text; text that is no whole number has none."""
    digits = pc.match_substring_regex(file, r"^\d{1,15}(\.0*)?$")
    whole = pc.if_else(digits, pc.replace_substring_regex(file, r"\.0*$", ""), pa.scalar(None, pa.string()))
    numbers = pc.fill_null(whole.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    return _shared(pc.fill_null(task, -1).to_numpy().astype(np.int64), numbers)


def either(first: SharedKey, second: SharedKey) -> SharedKey:
    """The first key where the file's value is known by it, the second elsewhere.

    Both keys must be about the same thing in the task (a gene by its id and by its symbol). A value of the
    second that stands for several values of the first stands for the one that comes first in the task.
    """
    first_of = np.full(second.size + 1, -1, dtype=np.int64)
    usable = np.flatnonzero((second.task >= 0) & (first.task >= 0))[::-1]
    first_of[second.task[usable]] = first.task[usable]
    return SharedKey(first.task, np.where(first.file >= 0, first.file, first_of[second.file]), first.size)


def _shared(task: np.ndarray, file: np.ndarray) -> SharedKey:
    known = np.unique(task[task >= 0])
    return SharedKey(_codes(task, known), _codes(file, known), len(known))


def _codes(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    if not len(known):
        return np.full(len(values), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[place] == values, place, -1).astype(np.int64)


def _index(values: pa.Array | pa.ChunkedArray, known: pa.Array) -> np.ndarray:
    found = pc.fill_null(pc.index_in(values, value_set=known), -1)
    return np.asarray(found.to_numpy() if isinstance(found, pa.ChunkedArray) else found).astype(np.int64)

"""Values computed from tables of pairs, kept for as long as the tables live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import ReferenceType, WeakKeyDictionary, ref

from .base import PairTable

T = TypeVar("T")


class KeptByTable(Generic[T]):
    """One value for each table of pairs in its cell: a fit's query stays the same under all its supports.

    Tables are told apart by identity; their columns are not to be changed.
    """

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[PairTable, tuple[ReferenceType[PairTable], T]] = WeakKeyDictionary()

    def get(self, pairs: PairTable, cell_table: PairTable, compute: Callable[[], T]) -> T:
        """The value of `pairs` in the cell of `cell_table`, computed if it is not at hand."""
        kept = self._kept.get(pairs)
        if kept is not None and kept[0]() is cell_table:
            return kept[1]
        value = compute()
        self._kept[pairs] = (ref(cell_table), value)
        return value

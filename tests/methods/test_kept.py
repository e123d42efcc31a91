"""Values kept by table: one computation for each pair of tables in use, none kept for longer than they live."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest

from epishot.methods import features
from epishot.methods.base import PairTable
from epishot.methods.features import FeatureMatrix, Scale
from epishot.methods.kept import KeptByTable


def table(n: int = 5, seed: int = 0) -> PairTable:
    return PairTable(n, features=np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32))


def test_a_value_is_computed_once_for_a_table_in_its_cell() -> None:
    kept, calls = KeptByTable[int](), []
    pairs, cell = table(), table(9)

    def get(one: PairTable, whole: PairTable) -> int:
        return kept.get(one, whole, lambda: calls.append(1) or len(calls))

    assert [get(pairs, cell), get(pairs, cell)] == [1, 1]
    # An equal table is another table, and another cell another question.
    assert get(replace(pairs), cell) == 2
    assert get(pairs, replace(cell)) == 3
    assert get(pairs, pairs) == 4


def test_tables_of_a_support_do_not_drive_out_the_query() -> None:
    kept, cell, query = KeptByTable[str](), table(9), table()
    kept.get(query, cell, lambda: "query")
    pools = [table(seed=seed) for seed in range(20)]
    assert [kept.get(pool, cell, lambda: "pool") for pool in pools] == ["pool"] * 20
    assert kept.get(query, cell, lambda: "again") == "query"


def test_values_go_with_their_tables() -> None:
    kept, pairs, cell = KeptByTable[int](), table(), table(9)
    kept.get(pairs, cell, lambda: 1)
    del cell
    gc.collect()
    assert kept.get(pairs, table(9), lambda: 2) == 2
    del pairs
    gc.collect()
    assert len(kept._kept) == 0


def test_a_query_is_ranked_once_in_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    ranks = features.cell_ranks
    monkeypatch.setattr(features, "cell_ranks", lambda *given: calls.append(1) or ranks(*given))
    matrix, cell = FeatureMatrix(Scale.RANK), table(50)
    query = table(7, seed=1)
    first = matrix.of_cell(query, cell)
    expected = first.copy()
    # What a method does to its matrix does not come back.
    first[:] = 9
    np.testing.assert_array_equal(matrix.of_cell(query, cell), expected)
    assert len(calls) == 1

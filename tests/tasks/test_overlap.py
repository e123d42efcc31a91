"""The overlap audit must catch every planted overlap and accept what the protocol allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from epishot.tasks.errors import OverlapError
from epishot.tasks.overlap import audit_overlap, shared_loci
from epishot.tasks.splits import Protocol, Split, cell_splits


def _row(cell, element, gene, chrom="1", start=10, tss=None):
    coordinates = {} if tss is None else {"promoter_chrom": chrom, "promoter_start": tss, "promoter_end": tss}
    return {
        "cell": cell,
        "enhancer_id": element,
        "gene_id": gene,
        "enhancer_chrom": chrom,
        "enhancer_start": start,
        "enhancer_end": start + 10,
        **coordinates,
    }


def _split(protocol, train, pool, query):
    parts = (np.array(part, dtype=np.int64) for part in (train, pool, query))
    return Split(Protocol(protocol), "A", 0, *parts)


#: What the first row (pool or training) and the second (query) have in common.
OVERLAPS = {
    "gene": (("e1", "same"), ("e2", "same"), r"1 gene\(s\), e\.g\. 'same', in 1"),
    "element": (("same", "g1"), ("same", "g2"), r"1 element\(s\), e\.g\. 'same', in 1"),
    "1 kb promoter bin": (("e1", "g1", 5100), ("e2", "g2", 5999), r"1 kb promoter bin\(s\), e\.g\. 1:5000-6000"),
}


def _pair_of_rows(what, cell):
    (first, second, message) = OVERLAPS[what]
    made = []
    for owner, spec in ((cell, first), ("A", second)):
        element, gene, tss = (*spec, None)[:3]
        made.append(_row(owner, element, gene, tss=tss))
    return made, message


@pytest.mark.parametrize("what", OVERLAPS)
@pytest.mark.parametrize("protocol", list(Protocol))
def test_support_and_query_may_share_nothing(make_task, what, protocol):
    rows, message = _pair_of_rows(what, "A")
    task = make_task([*rows, _row("B", "e9", "g9")], cells=("A", "B"))
    with pytest.raises(OverlapError, match=message) as caught:
        audit_overlap(task, _split(protocol, [2], [0], [1]))
    assert "support pool and query share" in str(caught.value)


@pytest.mark.parametrize("what", OVERLAPS)
def test_training_and_query_may_share_nothing_under_the_strict_protocol(make_task, what):
    rows, message = _pair_of_rows(what, "B")
    task = make_task([*rows, _row("A", "e9", "g9")], cells=("A", "B"))
    with pytest.raises(OverlapError, match=message) as caught:
        audit_overlap(task, _split("cell+chrom", [0], [2], [1]))
    assert "training and query share" in str(caught.value)
    audit_overlap(task, _split("cell", [0], [2], [1]))


def test_neighbouring_bins_and_missing_identities_are_not_shared(make_task):
    rows = [
        _row("A", "e1", "g1", tss=4999),
        _row("A", "e2", "g2", tss=5000),
        _row("A", "e3", "g3"),
        _row("A", "e4", "g4"),
        _row("A", "e5", ""),
        _row("A", "e6", ""),
        _row("B", "e7", "g7"),
    ]
    task = make_task(rows, cells=("A", "B"))
    audit_overlap(task, _split("cell+chrom", [6], [0, 2, 4], [1, 3, 5]))


def test_the_count_is_of_rows_and_of_loci(make_task):
    rows = [_row("A", f"e{i}", f"g{i % 2}") for i in range(6)] + [_row("A", "q1", "g0"), _row("A", "q2", "g1")]
    task = make_task([*rows, _row("B", "x", "y")], cells=("A", "B"))
    with pytest.raises(OverlapError, match=r"share 2 gene\(s\).*in 6 support pool row"):
        audit_overlap(task, _split("cell", [8], [0, 1, 2, 3, 4, 5], [6, 7]))


def test_rows_of_the_wrong_cell_are_caught(make_task):
    task = make_task(cells=("A", "B", "C"), families=(("A", "B"),))
    good = cell_splits(task, "cell", cells=["A"])[0]
    audit_overlap(task, good)
    of_b = np.flatnonzero(task.columns.cell == 1)
    with pytest.raises(OverlapError, match="come from B"):
        audit_overlap(task, replace(good, train_rows=np.union1d(good.train_rows, of_b)))
    with pytest.raises(OverlapError, match="the query has rows of another cell"):
        audit_overlap(task, replace(good, query_rows=of_b))
    with pytest.raises(OverlapError, match="the support pool has rows of another cell"):
        audit_overlap(task, replace(good, pool_rows=of_b))


def test_a_row_in_pool_and_query_is_caught(make_task):
    task = make_task()
    good = cell_splits(task, "cell", cells=["A"])[0]
    with pytest.raises(OverlapError, match=r"1 row\(s\) are in both support pool and query"):
        audit_overlap(task, replace(good, pool_rows=np.append(good.pool_rows, good.query_rows[0])))


@pytest.mark.parametrize("protocol", list(Protocol))
def test_every_built_split_passes_and_shares_are_those_of_sets(make_task, protocol):
    task = make_task(seed=5, cells=("A", "B", "C", "D"), pairs_per_cell=60)
    table = task.table
    genes, elements = (np.array(table[name].to_pylist()) for name in ("gene_id", "enhancer_id"))
    for split in cell_splits(task, protocol):
        audit_overlap(task, split)
        shares = shared_loci(task, split)
        trained = set(genes[split.train_rows])
        pairs = set(zip(elements[split.train_rows], genes[split.train_rows], strict=True))
        query = list(zip(elements[split.query_rows], genes[split.query_rows], strict=True))
        assert shares["gene"] == np.mean([gene in trained for _, gene in query])
        assert shares["pair"] == np.mean([pair in pairs for pair in query])
        if protocol is Protocol.CELL_CHROM:
            assert set(shares.values()) == {0.0}
        else:
            assert shares["gene"] > shares["pair"] > 0


@pytest.mark.realdata
def test_shares_of_seen_loci_on_bengi(data_mirror):
    from epishot.tasks.catalog import load_task

    task = load_task("bengi")
    splits = cell_splits(task, "cell")
    # Published, over all rows of the held-out cell: genes 54-80 %, the very pair 3-21 %.
    whole = [replace(split, query_rows=task.cell_rows(split.cell)) for split in splits]
    for parts, genes, pairs in ((whole, (0.535, 0.795), (0.034, 0.212)), (splits, (0.531, 0.814), (0.028, 0.208))):
        shares = [shared_loci(task, split) for split in parts]
        for kind, expected in (("gene", genes), ("pair", pairs)):
            found = [share[kind] for share in shares]
            assert (min(found), max(found)) == pytest.approx(expected, abs=6e-4)

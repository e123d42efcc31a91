"""Cell splits: who trains, who is pool, who is query, and what is dropped."""

from __future__ import annotations

import numpy as np
import pytest

from epishot.tasks.errors import EpishotError
from epishot.tasks.overlap import audit_overlap
from epishot.tasks.splits import FOLDS, Protocol, cell_splits


def _bare(task, rows):
    names = np.array([name.removeprefix("chr") for name in task.columns.chromosomes])
    return set(names[task.columns.chrom[rows]])


def _row(cell, element, gene, chrom, label=0, **more):
    return {
        "cell": cell,
        "enhancer_id": element,
        "gene_id": gene,
        "enhancer_chrom": chrom,
        "enhancer_start": 10,
        "enhancer_end": 20,
        "promoter_chrom": chrom,
        "label": label,
        **more,
    }


def test_folds_are_the_published_groups():
    names = [name for fold in FOLDS for name in fold]
    assert sorted(names) == sorted([*map(str, range(1, 23)), "X"])
    assert FOLDS[0] == ("1", "10", "15", "21")
    assert FOLDS[4] == ("5", "6", "8", "11")


def test_cell_protocol_splits_the_held_out_cell_by_the_cards_pool(make_task):
    task = make_task()
    for split in cell_splits(task, "cell"):
        held = np.flatnonzero(task.columns.cell == task.cell_code(split.cell))
        assert split.fold == 0
        assert _bare(task, split.pool_rows) == {"1", "21"}
        assert _bare(task, split.query_rows) == {"2", "3", "5", "12"}
        assert np.array_equal(np.union1d(split.pool_rows, split.query_rows), held)
        assert np.array_equal(split.train_rows, np.setdiff1d(np.arange(len(task)), held))


@pytest.mark.parametrize("prefix", ["chr", "", "Chr"])
def test_chromosome_names_with_and_without_prefix(make_task, prefix):
    names = tuple(prefix + name for name in ("1", "2", "3", "5", "12", "21"))
    task = make_task(chromosomes=names, pool=("chr1", "21"))
    assert [s.cell for s in cell_splits(task, "cell")] == ["A", "B", "C"]
    assert all(s.pool_rows.size and s.query_rows.size for s in cell_splits(task, "cell"))
    assert len(cell_splits(task, "cell+chrom")) == 15


def test_strict_protocol_queries_every_pair_exactly_once(make_task):
    task = make_task()
    splits = cell_splits(task, Protocol.CELL_CHROM)
    queried = np.sort(np.concatenate([s.query_rows for s in splits]))
    assert np.array_equal(queried, np.arange(len(task)))
    for split in splits:
        chromosomes = set(FOLDS[split.fold])
        assert _bare(task, split.query_rows) <= chromosomes
        for rows in (split.pool_rows, split.train_rows):
            assert not _bare(task, rows) & chromosomes
        code = task.cell_code(split.cell)
        outside = ~np.isin(task.columns.chrom, np.unique(task.columns.chrom[split.query_rows]))
        own = task.columns.cell == code
        assert np.array_equal(split.pool_rows, np.flatnonzero(own & outside))
        assert np.array_equal(split.train_rows, np.flatnonzero(~own & outside))


@pytest.mark.parametrize("protocol", list(Protocol))
def test_families_are_held_out_together(make_task, protocol):
    task = make_task(cells=("A", "B", "C", "D"), families=(("A", "C"),))
    for split in cell_splits(task, protocol):
        trained = set(task.columns.cell[split.train_rows])
        expected = {"A": {1, 3}, "B": {0, 2, 3}, "C": {1, 3}, "D": {0, 1, 2}}[split.cell]
        assert trained == expected
        for rows in (split.pool_rows, split.query_rows):
            assert set(task.columns.cell[rows]) == {task.cell_code(split.cell)}


def test_row_numbers_are_ascending_int64_and_only_requested_cells_come(make_task):
    splits = cell_splits(make_task(), "cell+chrom", cells=["C", "A"])
    assert [s.cell for s in splits] == ["A"] * 5 + ["C"] * 5
    assert [s.fold for s in splits] == [0, 1, 2, 3, 4] * 2
    for split in splits:
        for rows in (split.train_rows, split.pool_rows, split.query_rows):
            assert rows.dtype == np.int64
            assert (np.diff(rows) > 0).all()


def test_unlabelled_rows_take_no_part(make_task):
    rows = [_row(c, f"{ch}e{i}", f"{ch}g{i}", ch, [None, 0, 1][i]) for c in "AB" for ch in "12" for i in range(3)]
    task = make_task(rows, cells=("A", "B"))
    unlabelled = np.flatnonzero(task.columns.label < 0)
    assert unlabelled.size == 4
    for protocol in Protocol:
        for split in cell_splits(task, protocol):
            for part in (split.train_rows, split.pool_rows, split.query_rows):
                assert part.size
                assert not np.isin(part, unlabelled).any()


def test_folds_and_cells_without_query_rows_are_left_out(make_task):
    rows = [_row("A", "e1", "g1", "1"), _row("A", "e2", "g2", "2"), _row("B", "e1", "g1", "1")]
    task = make_task(rows, cells=("A", "B"))
    assert [(s.cell, s.fold) for s in cell_splits(task, "cell+chrom")] == [("A", 0), ("A", 2), ("B", 0)]
    # B has rows on a pool chromosome only.
    assert [s.cell for s in cell_splits(task, "cell")] == ["A"]


def test_chromosomes_outside_all_folds_are_dropped_and_counted(make_task):
    rows = [_row(c, f"{ch}e", f"{ch}g", ch) for c in "AB" for ch in ("chr1", "chr2", "chrY", "chrM")]
    rows.append(_row("A", "nowhere", "nowhere", None))
    task = make_task(rows, cells=("A", "B"))
    for split in cell_splits(task, "cell+chrom"):
        assert split.unplaced == (3 if split.cell == "A" else 2)
        for part in (split.train_rows, split.pool_rows, split.query_rows):
            assert _bare(task, part) <= {"1", "2"}


def test_a_gene_on_two_chromosomes_costs_pool_and_training_rows_but_no_query_row(make_task):
    rows = [
        _row("A", "e1", "shared", "1"),
        _row("A", "e2", "shared", "2"),
        _row("A", "e3", "other", "2"),
        _row("B", "e1", "shared", "1"),
        _row("B", "e2", "shared", "2"),
        _row("B", "e3", "other", "2"),
    ]
    task = make_task(rows, cells=("A", "B"))
    (split,) = cell_splits(task, "cell", cells=["A"])
    assert (split.pool_rows.size, split.dropped_pool) == (0, 1)
    assert split.query_rows.tolist() == [1, 2]
    assert split.dropped_train == 0  # loci may be shared with training here
    assert split.train_rows.tolist() == [3, 4, 5]
    first, second = cell_splits(task, "cell+chrom", cells=["A"])
    assert first.query_rows.tolist() == [0]
    assert (first.pool_rows.tolist(), first.dropped_pool) == ([2], 1)
    assert (first.train_rows.tolist(), first.dropped_train) == ([5], 1)
    assert second.query_rows.tolist() == [1, 2]
    assert (second.train_rows.tolist(), second.dropped_train) == ([], 1)
    for split in (first, second):
        audit_overlap(task, split)


def test_a_pair_across_two_chromosomes_stays_out_when_either_is_in_the_fold(make_task):
    rows = [
        _row("A", "e1", "g1", "1"),
        _row("A", "e2", "g2", "2", promoter_chrom="1"),
        _row("A", "e3", "g3", "3"),
        _row("B", "e4", "g4", "2", promoter_chrom="1"),
    ]
    task = make_task(rows, cells=("A", "B"))
    first = cell_splits(task, "cell+chrom", cells=["A"])[0]
    assert first.query_rows.tolist() == [0]
    assert first.pool_rows.tolist() == [2]
    assert first.train_rows.size == 0


def test_wrong_names_and_missing_chromosomes_are_user_errors(make_task):
    task = make_task()
    with pytest.raises(EpishotError, match=r"choose one of cell, cell\+chrom"):
        cell_splits(task, "chrom")
    with pytest.raises(EpishotError, match="no cell 'Z'"):
        cell_splits(task, "cell", cells=["Z"])
    nowhere = make_task([_row(c, "e", "g", None) for c in "AB"], cells=("A", "B"))
    with pytest.raises(EpishotError, match="add the column enhancer_chrom"):
        cell_splits(nowhere, "cell")


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["bengi", "crispr"])
def test_real_pairs_are_query_exactly_once(data_mirror, name):
    from epishot.tasks.catalog import load_task

    task = load_task(name)
    splits = cell_splits(task, "cell+chrom")
    queried = np.concatenate([s.query_rows for s in splits])
    assert np.unique(queried).size == queried.size == len(task)
    assert {s.unplaced for s in splits} == {0}
    if name == "bengi":
        assert len(splits) == 25
    for protocol in Protocol:
        for split in cell_splits(task, protocol):
            audit_overlap(task, split)
            # No real row had to be dropped: no gene or element of these sources lies on two chromosomes.
            assert (split.dropped_pool, split.dropped_train) == (0, 0)

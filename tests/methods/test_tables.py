"""From task rows to what a method is handed: declared columns only, anonymous cells, no labels."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from epishot.methods import PairTable, Reads, fit_context, pair_table, train_table
from epishot.methods.tables import cell_table
from epishot.tasks.catalog import load_task
from epishot.tasks.errors import EpishotError

COLUMNS_OF = {
    Reads.FEATURES: {"features"},
    Reads.DISTANCE: {"distance"},
    Reads.SEQUENCE: {"enhancer_sequence", "promoter_sequence"},
    Reads.COORDINATES: {"chrom", "enhancer_start", "enhancer_end", "tss", "strand", "element", "gene"},
    Reads.CONTEXT: {"element", "gene"},
}


@pytest.fixture(scope="module")
def task():
    return load_task("synthetic@cells=3,pairs=400")


def given(table: PairTable) -> set[str]:
    return {f.name for f in fields(table) if f.name != "n" and getattr(table, f.name) is not None}


@pytest.mark.parametrize("reads", [*[{r} for r in Reads], {Reads.FEATURES, Reads.DISTANCE}, set()])
def test_only_declared_columns_are_handed_over(task, reads):
    expected = set().union(*(COLUMNS_OF[r] for r in reads))
    assert given(pair_table(task, np.arange(10), reads)) == expected


def test_rows_come_in_the_order_they_were_asked_for(task):
    rows = np.array([9, 2, 2, 30])
    table = pair_table(task, rows, set(Reads))
    columns = task.columns
    assert table.n == 4
    assert np.array_equal(table.features, columns.features[rows])
    assert np.array_equal(table.distance, columns.distance[rows])
    assert np.array_equal(table.tss, columns.tss[rows])
    assert np.array_equal(table.gene, pair_table(task, np.arange(len(task)), set(Reads)).gene[rows])
    letters = np.array(list("ACGTN"))
    text = task.table["enhancer_sequence"].take([9, 2])
    assert ["".join(letters[row]) for row in table.enhancer_sequence[:2]] == text.to_pylist()


def test_coordinates_name_a_gene_across_cells_and_context_alone_does_not(task):
    rows = np.arange(len(task))
    columns = task.columns
    shared = pair_table(task, rows, {Reads.COORDINATES}).gene
    own = pair_table(task, rows, {Reads.CONTEXT}).gene
    cells_of_gene = [np.unique(columns.cell[shared == g]).size for g in np.unique(shared)]
    assert max(cells_of_gene) > 1
    for code in np.unique(own):
        assert np.unique(columns.cell[own == code]).size == 1
    for cell in range(3):
        inside = columns.cell == cell
        assert np.unique(own[inside]).size == np.unique(shared[inside]).size
    some = rows[5::7]
    assert np.array_equal(pair_table(task, some, {Reads.CONTEXT}).gene, own[some])


@pytest.mark.parametrize("reads", [Reads.COORDINATES, Reads.CONTEXT])
def test_identities_tell_neither_the_order_of_the_source_nor_the_cell(task, reads):
    columns = task.columns
    table = pair_table(task, np.arange(len(task)), {reads})
    for name in ("gene", "element"):
        code, source = getattr(table, name), getattr(columns, name)
        assert abs(spearmanr(code, source).statistic) < 0.3
        assert abs(spearmanr(code, columns.cell).statistic) < 0.1
        one = columns.cell == 0
        # The same groups of rows under another name.
        assert np.array_equal(code[one][:, None] == code[one], source[one][:, None] == source[one])
    # No arithmetic on the cell's own codes gives the shared ones: they are drawn, not composed.
    assert np.unique(table.gene).max() == np.unique(table.gene).size - 1


def test_a_cell_table_shows_the_candidate_list_only_to_those_who_declare_it(task):
    rows = task.cell_rows("S1")
    assert given(cell_table(task, rows, {Reads.COORDINATES, Reads.DISTANCE})) == {"distance"}
    assert "gene" in given(cell_table(task, rows, {Reads.CONTEXT}))
    assert "tss" in given(cell_table(task, rows, {Reads.CONTEXT, Reads.COORDINATES}))


def test_training_cells_are_recoded_and_labels_follow_the_rows(task):
    rows = np.flatnonzero(task.columns.cell != 0)[::-1]
    train = train_table(task, rows, {Reads.DISTANCE})
    assert train.n_cells == 2
    assert set(train.cell.tolist()) == {0, 1}
    assert np.array_equal(train.cell, task.columns.cell[rows] - 1)
    assert np.array_equal(train.label, task.columns.label[rows])
    assert train.pairs.n == rows.size


def test_a_label_free_table_has_no_label_anywhere(task):
    assert "label" not in {f.name for f in fields(PairTable)}
    assert "cell" not in {f.name for f in fields(PairTable)}


def test_training_without_rows_or_labels_is_refused(task):
    with pytest.raises(EpishotError, match="no training rows"):
        train_table(task, np.empty(0, np.int64), {Reads.DISTANCE})
    unlabelled = task.table.set_column(task.table.column_names.index("label"), "label", pa.nulls(len(task), pa.int8()))
    with pytest.raises(EpishotError, match="5 training rows without a label"):
        train_table(type(task)(task.card, unlabelled), np.arange(5), {Reads.DISTANCE})


def test_the_context_knows_feature_names_and_activity_columns(task):
    context = fit_context(task, seed=4, budget=0.5)
    assert context.feature_names == task.card.feature_names
    assert [context.feature_names[c] for c in context.activity] == list(task.card.activity)
    assert (context.seed, context.budget) == (4, 0.5)

"""Training episodes: disjoint loci, both classes, regimes and prevalence as configured."""

from __future__ import annotations

import numpy as np
import pytest

from epishot.methods.base import PairTable
from epishot.methods.energy.config import EnergyConfig
from epishot.methods.energy.loci import locus_groups, reserve
from epishot.methods.energy.sampler import UNKNOWN, EpisodeSampler
from epishot.tasks.errors import MethodError


def _table(n=3000, cells=3, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random(n) < 0.15).astype(np.int64), rng.integers(0, cells, n), rng.integers(0, 20, n)


def _sampler(label, cell, loci, rows=None, shift=0.0, **options):
    rows = np.arange(label.size) if rows is None else rows
    return EpisodeSampler(
        label, cell, loci, rows,
        config=EnergyConfig(**options), prevalence_shift=shift, rng=np.random.default_rng(7),
    )  # fmt: skip


def test_support_and_query_share_cell_but_no_locus():
    label, cell, loci = _table()
    sampler = _sampler(label, cell, loci)
    for _ in range(20):
        batch = sampler.draw(5)
        for b in range(5):
            query = np.concatenate([batch.positive[b], batch.negative[b]])
            assert not set(loci[query]) & set(loci[batch.support[b]])
            assert np.unique(cell[query]).size == 1
            assert set(cell[batch.support[b]]) == set(cell[query])
            if batch.cell[b] != UNKNOWN:
                assert batch.cell[b] == cell[query[0]]


def test_labels_are_the_rows_labels_and_classes_are_stratified():
    label, cell, loci = _table()
    batch = _sampler(label, cell, loci, positive_share=0.25, block_rows=64).draw(30)
    assert batch.positive.shape == (30, 16)
    assert batch.negative.shape == (30, 48)
    assert (label[batch.positive] == 1).all()
    assert (label[batch.negative] == 0).all()
    np.testing.assert_array_equal(label[batch.support], batch.label)


def test_shares_of_unknown_cells_and_labelled_supports():
    label, cell, loci = _table()
    batch = _sampler(label, cell, loci, pseudo_ood_share=0.3, labelled_share=0.8, block_rows=8).draw(4000)
    assert (batch.cell == UNKNOWN).mean() == pytest.approx(0.3, abs=0.03)
    assert batch.labelled.mean() == pytest.approx(0.8, abs=0.03)
    assert set(batch.present.sum(1)) == {0, 8, 16, 32, 64, 128}


def test_prevalence_shifts_support_and_query_weight_together_and_only_in_unknown_cells():
    label, cell, loci = _table()
    sampler = _sampler(label, cell, loci, shift=1.5, block_rows=8, support_sizes=(400,))
    batch = sampler.draw(300)
    known = batch.cell != UNKNOWN
    own = np.array([label[cell == c].mean() for c in batch.cell[known]])
    np.testing.assert_allclose(batch.prevalence[known], own)
    assert batch.prevalence[~known].std() > 0.1
    empty = _sampler(label, cell, loci, shift=1.5, block_rows=8, support_sizes=(0,)).draw(100)
    assert np.unique(empty.prevalence).size <= 3
    np.testing.assert_allclose(batch.label.mean(1), batch.prevalence, atol=0.11)


def test_only_the_given_rows_are_drawn():
    label, cell, loci = _table()
    rows = np.flatnonzero(loci < 7)
    batch = _sampler(label, cell, loci, rows).draw(50)
    used = np.concatenate([batch.positive.ravel(), batch.negative.ravel(), batch.support.ravel()])
    assert set(loci[used]) <= set(range(7))


def test_a_cell_whose_positives_share_one_locus_still_works_without_overlap():
    label = np.array([1, 1, 0, 0, 0, 0, 1, 0, 0, 0])
    loci = np.zeros(10, dtype=np.int64)
    batch = _sampler(label, np.zeros(10, dtype=np.int64), loci, block_rows=4).draw(10)
    query = set(batch.positive.ravel()) | set(batch.negative.ravel())
    assert not query & set(batch.support.ravel())
    np.testing.assert_array_equal(label[batch.support], batch.label)


def test_one_class_cells_are_left_out_and_one_class_tables_refused():
    label, cell, loci = _table()
    label[cell == 1] = 0
    assert _sampler(label, cell, loci).cells == [0, 2]
    with pytest.raises(MethodError, match="both interacting and non-interacting"):
        _sampler(np.zeros_like(label), cell, loci)


def test_locus_groups_take_the_coarsest_known_identity():
    chrom, gene = np.array([3, 3, 1, 1]), np.array([9, 8, 7, 9])
    assert locus_groups(PairTable(n=4, chrom=chrom, gene=gene)).tolist() == [1, 1, 0, 0]
    assert locus_groups(PairTable(n=4, chrom=np.full(4, 2), gene=gene)).tolist() == [2, 1, 0, 2]
    assert locus_groups(PairTable(n=4)).tolist() == [0, 1, 2, 3]


def test_reserved_loci_are_whole_and_about_the_share():
    groups = np.random.default_rng(0).integers(0, 23, 20000)
    chosen = reserve(groups, 0.1, np.random.default_rng(1))
    assert 0.05 <= chosen.mean() <= 0.15
    assert not set(groups[chosen]) & set(groups[~chosen])
    assert not reserve(groups, 0.0, np.random.default_rng(1)).any()

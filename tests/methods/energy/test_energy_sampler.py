"""Training batches: disjoint loci, both classes, regimes, prevalence, and the cells that a sampler promises."""

from __future__ import annotations

import numpy as np
import pytest

from epishot.methods.base import PairTable
from epishot.methods.energy.config import SamplerConfig, SamplerKind
from epishot.methods.energy.samplers.base import UNKNOWN, TrainingLabels
from epishot.methods.energy.samplers.build import SAMPLERS, build_sampler
from epishot.methods.energy.samplers.facts import facts
from epishot.methods.energy.samplers.loci import locus_groups, reserve
from epishot.methods.energy.samplers.swap_pairs import swap_pairs
from epishot.tasks.errors import MethodError

KINDS = list(SamplerKind)
SINGLE = [kind for kind in KINDS if kind is not SamplerKind.RANDOM]


def _table(n=3000, cells=3, seed=0, identities=None):
    rng = np.random.default_rng(seed)
    label, cell, loci = (rng.random(n) < 0.15).astype(np.int64), rng.integers(0, cells, n), rng.integers(0, 20, n)
    return TrainingLabels(label, cell, loci, None if identities is None else rng.integers(0, identities, n))


def _sampler(data, rows=None, shift=0.0, second=False, swap=0, **options):
    rows = np.arange(data.label.size) if rows is None else rows
    rng = np.random.default_rng(7)
    config = SamplerConfig(**options)
    return build_sampler(data, rows, config, rng, prevalence_shift=shift, second=second, swap=swap)


def _query(batch):
    return np.concatenate([batch.positive, batch.negative], axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_support_and_query_share_no_locus_and_single_cell_blocks_are_pure(kind):
    data = _table()
    sampler = _sampler(data, kind=kind, second=True)
    for _ in range(10):
        batch = sampler.draw(5)
        found = facts(batch, data)
        assert found.shared_loci == 0
        for b, query in enumerate(_query(batch)):
            first, second = batch.support[b][batch.present[b]], batch.second[b][batch.second_present[b]]
            assert not set(data.loci[query]) & set(data.loci[second])
            assert not set(first) & set(second)
            if kind in SINGLE:
                assert set(data.cell[np.concatenate([query, first, second])]) == {batch.source[b]}
                assert batch.cell[b] in (UNKNOWN, batch.source[b])
        if kind in SINGLE:
            assert found.purity == 1.0
        else:
            assert sampler.mixed
            assert found.purity < 0.6
            assert (batch.cell == UNKNOWN).all()
            assert (batch.source == UNKNOWN).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_cells", [1, 2, 5])
def test_the_promise_of_distinct_cells_is_kept(kind, n_cells):
    data = _table(cells=n_cells)
    data.label[(data.cell == 0) & (np.arange(data.label.size) % 50 != 0)] = 0  # a small cell beside large ones
    sampler = _sampler(data, kind=kind, block_rows=16)
    assert len(sampler.cells) == n_cells
    for blocks in (1, 2, 3, 8):
        promised = SAMPLERS[kind].distinct_cells(blocks, n_cells)
        counts = [facts(sampler.draw(blocks), data).distinct_cells for _ in range(60)]
        assert min(counts) >= promised
        if kind in (SamplerKind.CELL_BATCH, SamplerKind.BLOCK_META):
            assert set(counts) == {promised}
    assert [SAMPLERS[kind].distinct_cells(3, 5) for kind in (SamplerKind.EPISODIC, SamplerKind.BLOCK_META)] == [2, 3]


def test_one_cell_per_step_visits_every_cell_once_a_round():
    data = _table(cells=4)
    sampler = _sampler(data, kind=SamplerKind.CELL_BATCH, block_rows=8)
    rounds = [[int(sampler.draw(2).source[0]) for _ in range(4)] for _ in range(12)]
    assert all(sorted(one) == [0, 1, 2, 3] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_more_blocks_than_cells_are_shared_out_evenly():
    batch = _sampler(_table(cells=3), kind=SamplerKind.BLOCK_META, block_rows=8).draw(8)
    assert sorted(np.bincount(batch.source)) == [2, 3, 3]


def test_mixed_supports_hold_several_cells_under_a_query_of_one():
    data = _table()
    batch = _sampler(data, kind=SamplerKind.BLOCK_META, mixed_support=True, support_sizes=(64,)).draw(6)
    assert facts(batch, data).shared_loci == 0
    assert facts(batch, data).purity == 1.0
    assert (batch.source == UNKNOWN).all()
    for support, present in zip(batch.support, batch.present, strict=True):
        assert np.unique(data.cell[support[present]]).size == 3


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_the_rows_labels_and_classes_are_stratified(kind):
    data = _table()
    batch = _sampler(data, kind=kind, positive_share=0.25, block_rows=64, second=True).draw(9)
    assert (batch.positive.shape, batch.negative.shape) == ((9, 16), (9, 48))
    assert (data.label[batch.positive] == 1).all()
    assert (data.label[batch.negative] == 0).all()
    assert facts(batch, data).positive_share == 0.25
    np.testing.assert_array_equal(data.label[batch.support][batch.present], batch.label[batch.present])
    there = batch.second_present
    np.testing.assert_array_equal(data.label[batch.second][there], batch.second_label[there])


def test_a_support_never_repeats_a_row():
    batch = _sampler(_table(), support_sizes=(128,)).draw(20)
    for support, present in zip(batch.support, batch.present, strict=True):
        assert np.unique(support[present]).size == present.sum() > 60


def test_shares_of_unknown_cells_and_labelled_supports():
    batch = _sampler(_table(n=20000), pseudo_ood_share=0.3, labelled_share=0.8, block_rows=8).draw(4000)
    assert (batch.cell == UNKNOWN).mean() == pytest.approx(0.3, abs=0.03)
    assert batch.labelled.mean() == pytest.approx(0.8, abs=0.03)
    assert set(batch.present.sum(1)) == {0, 8, 16, 32, 64, 128}


def test_prevalence_shifts_support_and_query_weight_together_and_only_in_unknown_cells():
    data = _table(n=60000)
    sampler = _sampler(data, shift=1.5, block_rows=8, support_sizes=(400,))
    batch = sampler.draw(300)
    known = batch.cell != UNKNOWN
    own = np.array([data.label[data.cell == c].mean() for c in batch.cell[known]])
    np.testing.assert_allclose(batch.prevalence[known], own)
    assert batch.prevalence[~known].std() > 0.1
    full = batch.present.all(axis=1)  # a side with too few rows of a class makes a smaller support
    assert full.mean() > 0.5
    np.testing.assert_allclose(batch.label[full].mean(1), batch.prevalence[full], atol=0.11)
    empty = _sampler(data, shift=1.5, block_rows=8, support_sizes=(0,)).draw(100)
    assert np.unique(empty.prevalence).size <= 3
    assert not empty.present.any()


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("flip", [False, True], ids=["few positives", "few negatives"])
def test_a_support_of_a_tiny_cell_shows_the_prevalence_that_its_block_claims(flip, second):
    label = np.tile([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], 20)  # each locus holds two positives
    data = TrainingLabels(1 - label if flip else label, np.zeros(200, dtype=np.int64), np.repeat(np.arange(20), 10))
    batch = _sampler(data, shift=1.5, block_rows=8, support_sizes=(64,), second=second, pseudo_ood_share=1.0).draw(3000)
    supports = [(batch.label, batch.present)]
    supports += [(batch.second_label, batch.second_present)] if second else []
    for shown, present in supports:
        some = present.any(axis=1)
        assert some.mean() > 0.95
        assert (present.sum(1) < 64).mean() > 0.5
        share = np.array([one[there].mean() for one, there in zip(shown[some], present[some], strict=True)])
        claimed = batch.prevalence[some]
        for low, high in ((0.0, 0.15), (0.15, 0.4), (0.4, 0.8), (0.8, 1.0)):
            part = (claimed >= low) & (claimed < high)
            if part.sum() > 100:
                assert share[part].mean() == pytest.approx(claimed[part].mean(), abs=0.025)


def test_a_side_without_a_class_gives_an_empty_support():
    label, loci = np.array([1, 1, 0, 0, 0, 0, 0, 0]), np.array([0, 0, 1, 1, 2, 2, 3, 3])
    data = TrainingLabels(label, np.zeros(8, dtype=np.int64), loci)  # the query needs the only locus of the positives
    assert not _sampler(data, block_rows=4, support_sizes=(8,)).draw(50).present.any()


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_given_rows_are_drawn(kind):
    data = _table(identities=300)
    sampler = _sampler(data, np.flatnonzero(data.loci < 7), kind=kind, second=True, swap=50)
    batch = sampler.draw(30)
    used = [_query(batch).ravel(), batch.support[batch.present], batch.second[batch.second_present], batch.swap.ravel()]
    assert set(data.loci[np.concatenate(used)]) <= set(range(7))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("label", "loci"),
    [
        ([1, 1, 0, 0, 0, 0, 1, 0, 0, 0], [0] * 10),
        ([1, 1, 0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1, 0, 1, 1, 1]),
        ([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        ([0, 1, 1, 1, 1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        ([1, 0], [0, 1]),
    ],
    ids=["one locus", "a locus per class", "single positive", "single negative", "two rows"],
)
def test_tiny_single_cells_work_without_common_rows(kind, label, loci):
    label = np.array(label)
    data = TrainingLabels(label, np.zeros(label.size, dtype=np.int64), np.array(loci))
    batch = _sampler(data, kind=kind, block_rows=4, second=True).draw(10)
    for b, query in enumerate(_query(batch)):
        assert not set(query) & set(batch.support[b][batch.present[b]])
    np.testing.assert_array_equal(label[batch.support][batch.present], batch.label[batch.present])


@pytest.mark.parametrize("kind", KINDS)
def test_one_class_cells_are_left_out_and_one_class_tables_refused(kind):
    data = _table()
    data.label[data.cell == 1] = 0
    assert _sampler(data, kind=kind).cells == (0, 2)
    with pytest.raises(MethodError, match="both interacting and non-interacting"):
        _sampler(data._replace(label=np.zeros_like(data.label)), kind=kind)


def test_swap_pairs_are_one_identity_in_two_cells_whatever_the_labels():
    data = TrainingLabels(
        label=np.array([1, 0, 1, 1, 0, 1, 0]),
        cell=np.array([0, 1, 2, 0, 0, 1, 1]),
        loci=np.zeros(7, dtype=np.int64),
        identity=np.array([5, 5, 5, 7, 7, 7, 9]),
    )
    found = {tuple(pair) for pair in swap_pairs(data, np.arange(7)).tolist()}
    assert found == {(0, 1), (0, 2), (1, 2), (3, 5)}
    assert swap_pairs(data, np.array([0, 2, 6])).tolist() == [[0, 2]]
    assert swap_pairs(data._replace(identity=None), np.arange(7)).shape == (0, 2)
    assert swap_pairs(data, np.array([3, 4])).shape == (0, 2)


def test_swap_is_drawn_only_when_asked_for_and_possible():
    data = _table(identities=200)
    assert _sampler(data).draw(2).swap is None
    assert _sampler(data._replace(identity=None), swap=8).draw(2).swap is None
    drawn = _sampler(data, swap=8).draw(2).swap
    assert drawn.shape == (8, 2)
    assert (data.identity[drawn[:, 0]] == data.identity[drawn[:, 1]]).all()
    assert (data.cell[drawn[:, 0]] != data.cell[drawn[:, 1]]).all()


def test_facts_count_what_a_faulty_batch_holds():
    data = _table()
    batch = _sampler(data, support_sizes=(8,)).draw(2)
    support = batch.support.copy()
    support[0, 0] = batch.negative[0, 0]
    assert facts(batch._replace(support=support), data).shared_loci == 1
    nothing = batch._replace(support=support, present=np.zeros_like(batch.present))
    assert facts(nothing, data).shared_loci == 0
    negative = batch.negative.copy()
    negative[0, : negative.shape[1] // 2] = np.flatnonzero((data.cell != batch.source[0]) & (data.label == 0))[0]
    assert facts(batch._replace(negative=negative), data).purity < 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same(kind):
    data = _table(identities=300)
    one, two = (_sampler(data, kind=kind, second=True, swap=9, shift=1.0).draw(4) for _ in range(2))
    for left, right in zip(one, two, strict=True):
        np.testing.assert_array_equal(left, right)


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

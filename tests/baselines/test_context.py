"""Candidate-list context: columns by brute force, no labels, and the methods that read it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from epishot.baselines.context_cascade import compared, log_sum_exp, smoothed
from epishot.baselines.context_ensemble import PooledTreesEnsemble
from epishot.baselines.context_features import ContextFeatures
from epishot.baselines.context_groups import Groups, Sites, places
from epishot.baselines.context_matrix import ContextMatrix, PairMatrix
from epishot.baselines.context_pooled import PooledLogisticContext, PooledTreesContext
from epishot.baselines.plain_ensemble import PooledTreesEnsembleNoContext
from epishot.methods import FitContext, Reads, fit_context, no_support, pair_table, run_checks, train_table
from epishot.methods.tables import cell_table
from epishot.tasks.catalog import load_task
from epishot.tasks.errors import MethodError

READS = frozenset({Reads.FEATURES, Reads.DISTANCE, Reads.COORDINATES, Reads.CONTEXT})
WITH_CONTEXT = [PooledTreesContext, PooledLogisticContext, PooledTreesEnsemble]


@pytest.fixture(scope="module")
def task():
    return load_task("synthetic@cells=3,pairs=300")


@pytest.fixture(scope="module")
def train(task):
    return train_table(task, np.flatnonzero(task.columns.cell < 2), READS)


@pytest.fixture(scope="module")
def listed(task):
    return pair_table(task, task.cell_rows(task.card.cells[2]), READS)


@pytest.fixture(scope="module")
def columns(task, train, listed):
    return ContextFeatures.fit(train, fit_context(task)).of(listed, listed)


def test_groups_count_rank_and_sum_as_loops_do():
    rng = np.random.default_rng(0)
    listed, asked = rng.integers(0, 5, 40), rng.integers(0, 6, 30)
    values, others = rng.integers(0, 6, 40).astype(float), rng.integers(-1, 7, 30).astype(float)
    values[3], others[4] = np.nan, np.nan
    groups = Groups.of(listed, asked)
    for i, (group, value) in enumerate(zip(asked, others, strict=True)):
        own = values[listed == group]
        assert groups.count()[i] == own.size
        assert groups.total(values)[i] == pytest.approx(np.nansum(own))
        known = own[~np.isnan(own)]
        below = (known < value).sum() + 0.5 * (known == value).sum()
        np.testing.assert_equal(groups.below(values, others)[i], np.nan if np.isnan(value) else below)
        np.testing.assert_equal(groups.smallest(values)[i], known.min() if known.size else np.nan)


def test_sites_sum_and_find_the_nearest_as_loops_do():
    rng = np.random.default_rng(1)
    place = places(rng.integers(-1, 3, 50), rng.integers(0, 1000, 50))
    distinct = np.unique(place[place >= 0])
    sites = Sites.of(place)
    for one in distinct:
        assert sites.within(np.array([one - 60]), np.array([one + 60]))[0] == (np.abs(distinct - one) <= 60).sum()
        gaps = np.abs(distinct[distinct != one] - one)
        expected = gaps[gaps < 1000].min() if (gaps < 1000).any() else np.inf
        assert sites.nearest(np.array([one]), np.array([one]))[0] == expected


def test_counts_and_ranks_are_those_of_the_list(listed, columns):
    element, gene, distance = listed.element, listed.gene, listed.distance
    for i in range(0, listed.n, 17):
        own = element == element[i]
        nearest = {g: distance[own & (gene == g)].min() for g in np.unique(gene[own])}
        mine = nearest[gene[i]]
        others = np.array(list(nearest.values()))
        rank = (others < mine).sum() + 0.5 * (others == mine).sum()
        assert columns["log genes of element"][i] == pytest.approx(np.log1p(len(nearest)))
        assert columns["log gene rank"][i] == pytest.approx(np.log1p(rank))
        assert columns["log nearest distance"][i] == pytest.approx(np.log10(max(mine, 1)))
        n_elements = np.unique(element[gene == gene[i]]).size
        assert columns["log elements of gene"][i] == pytest.approx(np.log1p(n_elements))


def test_a_pair_has_the_same_context_whatever_is_asked_beside_it_and_in_any_order(task, train, listed):
    features = ContextFeatures.fit(train, fit_context(task))
    whole, rng = features.of(listed, listed), np.random.default_rng(3)
    rows = rng.permutation(listed.n)[:40]
    part = features.of(listed.take(rng.permutation(listed.n)), listed.take(rows))
    for name, value in part.items():
        np.testing.assert_allclose(value, whole[name][rows], rtol=1e-6, atol=1e-9, err_msg=name)


def test_a_chromosome_has_the_same_lists_without_the_others(task, train, listed):
    features = ContextFeatures.fit(train, fit_context(task))
    own = listed.take(listed.chrom == listed.chrom[0])
    rows = np.flatnonzero(listed.chrom == listed.chrom[0])
    whole, alone = features.of(listed, listed), features.of(own, own)
    # CTCF is ranked over the cell, so that its sums may move; nothing else may.
    for name in (name for name in whole if "CTCF" not in name):
        np.testing.assert_allclose(alone[name], whole[name][rows], rtol=1e-6, atol=1e-9, err_msg=name)


def test_unknown_coordinates_become_nan_and_are_scored(task, train, listed):
    gone = np.full(listed.n, -1)
    blind = dataclasses.replace(listed, enhancer_start=gone, enhancer_end=gone, tss=gone)
    found = ContextFeatures.fit(train, fit_context(task)).of(blind, blind)
    assert np.isnan(found["log length"]).all()
    assert np.isfinite(found["log genes of element"]).all()


def test_pairs_average_their_rows(task, train, listed):
    matrix = ContextMatrix.fit(train, fit_context(task))
    pairs, rows = PairMatrix.of(matrix, listed), matrix.of_cell(listed, listed)
    place = pairs.place(listed)
    for pair in range(0, pairs.key.size, 13):
        np.testing.assert_allclose(pairs.values[pair], rows[place == pair].mean(axis=0), rtol=1e-4, atol=1e-5)
    with pytest.raises(MethodError, match="not in the cell table"):
        pairs.take(np.arange(3)).place(listed)


def test_comparisons_are_those_of_loops(task, train, listed):
    pairs = PairMatrix.of(ContextMatrix.fit(train, fit_context(task)), listed)
    score = np.random.default_rng(2).normal(size=pairs.key.size)
    table = compared(pairs, score)
    for i in range(0, score.size, 29):
        own = score[pairs.element == pairs.element[i]]
        assert log_sum_exp(pairs.element, score)[i] == pytest.approx(np.log(np.exp(own).sum()))
        assert table[i, 2] == pytest.approx(score[i] - own.max(), abs=1e-5)
        same = pairs.chrom == pairs.chrom[i]
        shift = np.abs(pairs.enhancer - pairs.enhancer[i]) + np.abs(pairs.tss - pairs.tss[i])
        weight = np.exp(-shift / 20_000) * same
        assert smoothed(pairs, score, 20_000)[i] == pytest.approx(weight @ score / weight.sum(), abs=0.02)


@pytest.mark.parametrize("cls", [*WITH_CONTEXT, PooledTreesEnsembleNoContext])
def test_every_conformance_check_passes(cls):
    assert [result for result in run_checks(cls) if result.status == "fail"] == []


@pytest.mark.parametrize("cls", WITH_CONTEXT)
def test_context_is_declared_and_marked(cls):
    assert cls.capabilities().marks == "TC"
    assert PooledTreesEnsembleNoContext.capabilities().marks == "T"


@pytest.mark.parametrize("settings", [{}, {"members": 3, "rounds": 5, "bandwidth": 1.0}])
def test_the_recorded_configuration_gives_the_method_again(settings):
    for cls in (PooledTreesEnsemble, PooledTreesEnsembleNoContext):
        config = cls(**({} if cls is PooledTreesEnsembleNoContext else settings)).config()
        assert cls(**config).config() == config


def test_one_training_cell_is_enough_and_rows_of_a_pair_share_a_score(task, train, listed):
    method = PooledTreesEnsemble(members=1, rounds=5)
    method.fit(dataclasses.replace(train.of_cell(0), n_cells=1), FitContext())
    query = listed.take(np.arange(50))
    again = method.score(no_support(query), query, cell_table(task, task.cell_rows(task.card.cells[2]), READS))[0]
    whole = method.score(no_support(listed), listed, listed)[0]
    np.testing.assert_allclose(again, whole[:50])
    place = PairMatrix.of(ContextMatrix.fit(train, fit_context(task)), listed).place(listed)
    for pair in np.unique(place)[:40]:
        assert np.ptp(whole[place == pair]) == 0

"""Meta-training episodes: apart by locus, of natural prevalence, deterministic, never larger than the data."""

from __future__ import annotations

import numpy as np
import pytest

from epishot.baselines.meta_training import EpisodeSampler, _distinct, locus_groups
from epishot.methods.base import Balance, PairTable, TrainTable


def make_train(
    sizes: tuple[int, ...] = (600, 400), prevalence: float = 0.2, chromosomes: int = 8, seed: int = 0
) -> TrainTable:
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    pairs = PairTable(
        n=n,
        features=rng.normal(size=(n, 3)).astype(np.float32),
        distance=10 ** rng.uniform(3, 6, n),
        chrom=rng.integers(chromosomes, size=n).astype(np.int32),
        gene=rng.integers(50, size=n).astype(np.int32),
    )
    cell = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    return TrainTable(pairs, (rng.random(n) < prevalence).astype(np.int8), cell, len(sizes))


def sampler(train: TrainTable, seed: int = 0) -> EpisodeSampler:
    return EpisodeSampler(train, np.random.default_rng(seed))


@pytest.mark.parametrize("balance", list(Balance))
def test_support_and_query_come_from_one_cell_and_share_no_chromosome(balance: Balance) -> None:
    train = make_train()
    batch = sampler(train).draw(40, 16, 64, balance)
    for task in range(40):
        support = batch.support[task][batch.weight[task] > 0]
        rows = np.concatenate([support, batch.query[task]])
        assert set(train.cell[rows]) == {batch.cell[task]}
        assert not set(train.pairs.chrom[support]) & set(train.pairs.chrom[batch.query[task]])
        assert len(set(support)) == len(support) == 16


def test_draws_keep_the_prevalence_of_the_cell_and_balanced_supports_are_half_positive() -> None:
    train = make_train(sizes=(2000,), prevalence=0.1)
    natural = sampler(train).draw(400, 32, 64)
    # 12,800 and 25,600 draws from 2,000 rows: a standard error below 0.01 around the cell's own share.
    expected = train.label.mean()
    assert abs(train.label[natural.support].mean() - expected) < 0.03
    assert abs(train.label[natural.query].mean() - expected) < 0.03
    balanced = sampler(train).draw(20, 32, 64, Balance.BALANCED)
    assert (train.label[balanced.support].sum(axis=1) == 16).all()


def test_cells_are_equally_likely_whatever_their_size() -> None:
    batch = sampler(make_train(sizes=(2000, 100))).draw(1000, 4, 1)
    assert abs((batch.cell == 1).mean() - 0.5) < 0.06


def test_a_small_support_side_gives_all_it_can_and_pads_the_rest() -> None:
    train = make_train(sizes=(40,), chromosomes=4)
    batch = sampler(train).draw(30, 64, 8)
    drawn = batch.weight.sum(axis=1)
    assert (drawn < 40).all()
    assert (drawn > 0).all()
    for rows, weight in zip(batch.support, batch.weight, strict=True):
        assert (np.sort(weight)[::-1] == weight).all()
        assert (rows[weight == 0] == 0).all()


def test_balanced_supports_without_positives_are_empty() -> None:
    train = make_train(prevalence=0.0)
    assert sampler(train).draw(5, 16, 8, Balance.BALANCED).weight.sum() == 0


def test_one_chromosome_only_keeps_rows_apart() -> None:
    train = make_train(sizes=(200,), chromosomes=1)
    train = TrainTable(PairTable(n=200, chrom=np.zeros(200, np.int32)), train.label, train.cell, train.n_cells)
    batch = sampler(train).draw(20, 16, 64)
    for support, query in zip(batch.support, batch.query, strict=True):
        assert not set(support) & set(query)


def test_groups_fall_back_from_chromosome_to_gene_to_row() -> None:
    chrom, gene = np.array([0, 0, 1], np.int32), np.array([4, 5, 5], np.int32)
    np.testing.assert_array_equal(locus_groups(PairTable(3, chrom=chrom, gene=gene)), chrom)
    same = np.zeros(3, np.int32)
    np.testing.assert_array_equal(locus_groups(PairTable(3, chrom=same, gene=gene)), gene)
    np.testing.assert_array_equal(locus_groups(PairTable(3)), np.arange(3))


def test_a_cell_of_one_pair_and_empty_supports_are_valid() -> None:
    train = make_train(sizes=(1, 50))
    batch = sampler(train).draw(20, 0, 4)
    assert batch.support.shape == (20, 0)
    assert (sampler(train).draw(20, 8, 4).query[batch.cell == 0] >= 0).all()


def test_the_generator_alone_decides() -> None:
    train = make_train()
    first, again, other = (sampler(train, seed).draw(10, 8, 8) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.support, again.support)
    np.testing.assert_array_equal(first.query, again.query)
    assert (first.query != other.query).any()


@pytest.mark.parametrize(("size", "k"), [(30, 4), (10, 4), (4, 4), (3, 4)])
def test_places_are_distinct_and_every_one_of_them_equally_likely_at_every_position(size: int, k: int) -> None:
    """Few places and many are drawn in two ways."""
    places = _distinct(np.full(20_000, size), k, np.random.default_rng(0))
    taken = places[:, : min(k, size)]
    assert (np.sort(taken, axis=1)[:, 1:] > np.sort(taken, axis=1)[:, :-1]).all()
    expected = 20_000 / size
    for position in taken.T:
        counts = np.bincount(position, minlength=size)
        assert counts.size == size
        # Chi-square with size - 1 degrees of freedom; six standard deviations.
        assert ((counts - expected) ** 2 / expected).sum() < size - 1 + 6 * (2 * (size - 1)) ** 0.5


def test_where_a_label_is_scarce_the_other_one_is_drawn_at_random_all_the_same() -> None:
    n = 400
    label = np.zeros(n, np.int8)
    label[::40] = 1
    train = TrainTable(PairTable(n, chrom=np.arange(n, dtype=np.int32) % 2), label, np.zeros(n, np.int32), 1)
    batch = sampler(train).draw(300, 64, 4, Balance.BALANCED)
    support = [rows[weight > 0] for rows, weight in zip(batch.support, batch.weight, strict=True)]
    assert all(label[rows].mean() == 0.5 for rows in support if rows.size)
    assert len({row for rows in support for row in rows[label[rows] == 0]}) > 150

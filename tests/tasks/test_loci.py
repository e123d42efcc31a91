"""Locus clusters against an independent single linkage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epishot.tasks.loci import locus_clusters


def _row(chrom, start, end, gene="g"):
    return {
        "cell": "A",
        "enhancer_id": f"{chrom}:{start}-{end}",
        "enhancer_chrom": chrom,
        "enhancer_start": start,
        "enhancer_end": end,
        "gene_id": gene,
    }


def _linked(intervals, gap):
    """Connected components of the graph of intervals on one chromosome with at most `gap` bp between them."""
    from scipy.sparse.csgraph import connected_components

    chrom, start, end = (np.array(values) for values in zip(*intervals, strict=True))
    between = np.maximum(start[:, None], start[None]) - np.minimum(end[:, None], end[None])
    graph = (chrom[:, None] == chrom[None]) & (between <= gap)
    return connected_components(graph, directed=False)[1]


def _same_partition(a, b):
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    return len(pairs) == len(set(a.tolist())) == len(set(b.tolist()))


interval = st.tuples(st.sampled_from(["1", "2"]), st.integers(0, 400), st.integers(0, 120))


@settings(max_examples=150, deadline=None)
@given(st.lists(interval, min_size=1, max_size=25), st.sampled_from([0, 10, 50]))
def test_clusters_are_connected_components(make_task, intervals, gap):
    intervals = [(chrom, start, start + length) for chrom, start, length in intervals]
    task = make_task([_row(*one) for one in intervals])
    found = locus_clusters(task, np.arange(len(intervals)), gap_bp=gap)
    assert found.dtype == np.int64
    assert _same_partition(found, _linked(intervals, gap))
    assert set(found) == set(range(found.max() + 1))


def test_the_gap_is_inclusive_and_an_enclosing_interval_reaches_on(make_task):
    task = make_task([_row("1", 0, 100), _row("1", 25_100, 25_200), _row("1", 50_201, 50_300)])
    assert locus_clusters(task, np.arange(3)).tolist() == [0, 0, 1]
    # The second interval ends inside the first, from whose end the third is near.
    task = make_task([_row("1", 0, 90_000), _row("1", 10, 20), _row("1", 100_000, 100_100)])
    assert locus_clusters(task, np.arange(3)).tolist() == [0, 0, 0]


def test_only_the_given_rows_link_and_order_does_not_matter(make_task):
    task = make_task([_row("1", 0, 10), _row("1", 20_000, 20_010), _row("1", 40_000, 40_010)])
    assert locus_clusters(task, np.array([2, 0, 1])).tolist() == [0, 0, 0]
    assert locus_clusters(task, np.array([2, 0])).tolist() == [1, 0]
    assert locus_clusters(task, np.array([], dtype=np.int64)).size == 0


def test_rows_without_coordinates_cluster_by_gene(make_task):
    rows = [
        _row("1", 0, 10, "g1"),
        _row(None, None, None, "g1"),
        _row(None, None, None, "g2"),
        _row(None, None, None, "g1"),
        _row("1", None, None, ""),
        _row("1", None, None, ""),
    ]
    found = locus_clusters(make_task(rows), np.arange(6))
    assert found[1] == found[3]
    assert len(set(found)) == 5  # gene g1 apart from the placed row, g2, and two rows without a gene


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("cell", "pairs", "by_enhancer", "by_both_ends"), [("GM12878", 1307, 429, 473), ("IMR90", 758, 342, 363)]
)
def test_positive_pairs_of_bengi_cluster(data_mirror, cell, pairs, by_enhancer, by_both_ends):
    """The published 473 and 363 clusters link pairs whose enhancers and TSSs both lie within 25 kb.

    Ours link by enhancer alone: fewer, larger clusters, hence the more careful bootstrap.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    from epishot.tasks.catalog import load_task

    task = load_task("bengi")
    columns = task.columns
    rows = task.cell_rows(cell)
    rows = rows[columns.label[rows] == 1]
    pair = np.unique(columns.pair[rows], return_inverse=True)[1]
    assert pair.max() + 1 == pairs
    assert np.unique(locus_clusters(task, rows)).size == by_enhancer

    middle = (columns.enhancer_start[rows] + columns.enhancer_end[rows]) / 2
    ends = np.stack([columns.chrom[rows] * 1e10, middle, columns.tss[rows]], axis=1)
    near = cKDTree(ends).query_pairs(25_000, p=np.inf, output_type="ndarray")
    # All transcripts of one pair belong together: each row is tied to its pair's node.
    a = np.concatenate([near[:, 0], np.arange(rows.size)])
    b = np.concatenate([near[:, 1], rows.size + pair])
    size = rows.size + pairs
    assert connected_components(coo_array((np.ones(a.size), (a, b)), shape=(size, size)))[0] == by_both_ends

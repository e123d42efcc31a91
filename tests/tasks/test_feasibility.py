"""Feasibility: chance level, detectable difference and the counts, against closed forms and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from rich.console import Console

from epishot.tasks.chance import chance_aupr
from epishot.tasks.detectable import average_precision_sd, detectable_difference
from epishot.tasks.draws import Balance
from epishot.tasks.episodes import EpisodeSet
from epishot.tasks.feasibility import feasibility, feasibility_table
from epishot.tasks.splits import Protocol, cell_splits


def _average_precision(ranks):
    """Average precision from the ascending 1-based ranks of the positives."""
    return sum((i + 1) / rank for i, rank in enumerate(ranks)) / len(ranks)


@pytest.mark.parametrize(("n", "positives"), [(1, 1), (2, 1), (5, 2), (9, 4), (12, 1), (12, 11), (6, 6)])
def test_chance_is_the_mean_over_all_orders(n, positives):
    orders = itertools.combinations(range(1, n + 1), positives)
    expected = math.fsum(_average_precision(ranks) for ranks in orders) / math.comb(n, positives)
    assert chance_aupr(n, positives) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("n", [2, 10, 1000, 48_907])
def test_chance_of_one_positive_is_the_mean_reciprocal_rank(n):
    harmonic = math.fsum(1 / i for i in range(1, n + 1))
    assert chance_aupr(n, 1) == pytest.approx(harmonic / n, abs=1e-14)
    positives = n // 2
    expected = (harmonic + (positives - 1) / (n - 1) * (n - harmonic)) / n
    assert chance_aupr(n, positives) == pytest.approx(expected, abs=1e-14)


def test_chance_at_the_edges():
    assert math.isnan(chance_aupr(5, 0))
    assert chance_aupr(5, 5) == 1.0
    assert chance_aupr(64, 6) == pytest.approx(0.147, abs=1e-3)  # published simulation
    for n, positives in ((0, 0), (3, 4), (3, -1)):
        with pytest.raises(ValueError, match="chance AUPR needs"):
            chance_aupr(n, positives)


@pytest.mark.parametrize(
    ("n", "positives", "d_prime", "tolerance"),
    [(4000, 400, 1.0, 0.06), (4000, 400, 2.0, 0.06), (256, 26, 1.0, 0.12)],
)
def test_the_standard_deviation_is_that_of_simulated_query_sets(n, positives, d_prime, tolerance):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(1500):
        score = rng.standard_normal(n)
        score[:positives] += d_prime
        ranks = np.flatnonzero(np.argsort(-score) < positives) + 1
        found.append(np.mean(np.arange(1, positives + 1) / ranks))
    expected = float(np.std(found))
    sd = average_precision_sd(positives / n, positives, n - positives, d_prime)
    assert sd == pytest.approx(expected, rel=tolerance)


def test_clustered_positives_and_pairing_change_what_is_detectable():
    sd = average_precision_sd(0.1, 100, 900)
    assert average_precision_sd(0.1, 25, 225) == pytest.approx(2 * sd)
    assert detectable_difference(sd) == pytest.approx(1.96 * math.sqrt(2) * sd, rel=1e-4)
    assert detectable_difference(sd, 0.8) == pytest.approx(detectable_difference(sd) * math.sqrt(0.2))
    assert average_precision_sd(0.1, 1, 1) == 0.5


@pytest.mark.parametrize("protocol", list(Protocol))
def test_rows_agree_with_the_splits_and_with_the_episode_set(make_task, protocol):
    task = make_task(pairs_per_cell=90, prevalence=0.1)
    shots = (0, 3, 4, 32, 64)
    rows = feasibility(task, protocol, shots)
    assert [(r.cell, r.balance, r.k) for r in rows] == [
        (cell, balance, k)
        for cell in ("A", "B", "C")
        for balance in Balance
        for k in shots
        if k or balance is Balance.NATURAL
    ]
    episodes = EpisodeSet.build(task, protocol, shots, draws=1)
    assert {r.feasible for r in rows} == {True, False}
    for row in rows:
        assert row.reason == episodes.infeasible(row.cell, row.balance, row.k)
        splits = [s for s in episodes.splits if s.cell == row.cell]
        labels = [task.columns.label[s.query_rows] for s in splits]
        assert row.folds == tuple(s.fold for s in splits)
        assert row.n == sum(label.size for label in labels)
        assert row.positives == sum(int(label.sum()) for label in labels)
        assert row.prevalence == row.positives / row.n
        defined = [label for label in labels if 0 < label.sum() < label.size]
        weights = [label.sum() for label in defined]
        chances = [chance_aupr(label.size, int(label.sum())) for label in defined]
        assert row.chance == pytest.approx(np.average(chances, weights=weights))
        assert 0 < row.detectable_paired < row.detectable <= 1
        assert 0 < row.positive_loci <= row.positives


def test_cells_without_query_and_folds_with_one_class_are_listed(make_task):
    rows = [
        {"cell": c, "enhancer_id": f"{ch}e{i}", "gene_id": f"{ch}g{i}", "enhancer_chrom": ch, "label": label}
        for c, ch, labels in (("A", "1", "0101"), ("A", "2", "000"), ("A", "3", "11"), ("B", "1", "01"))
        for i, label in enumerate(map(int, labels))
    ]
    task = make_task(rows, cells=("A", "B"))
    strict = {(r.cell, r.balance, r.k): r for r in feasibility(task, "cell+chrom", (0, 4))}
    first = strict["A", Balance.NATURAL, 0]
    assert (first.folds, first.undefined_folds) == ((0, 1, 2), (1, 2))
    assert (first.n, first.positives) == (9, 4)
    assert first.chance == chance_aupr(4, 2)
    assert {len(s.query_rows) for s in cell_splits(task, "cell+chrom", cells=["A"])} == {4, 3, 2}
    by_cell = {r.cell: r for r in feasibility(task, "cell", (0,))}
    assert by_cell["B"].reason == "the cell has no labelled query rows"
    assert by_cell["B"].n == 0
    assert math.isnan(by_cell["B"].chance)
    text = _rendered(feasibility(task, "cell+chrom", (0, 4, 6)), width=200)
    assert "A: AUPR is undefined (only one class in the query) in fold(s) 1, 2" in text
    assert "A: no natural support of k = 6: fold 0: the pool has 5 of 6 enhancer-gene pairs" in text


def _rendered(rows, width):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(feasibility_table(rows, "tiny"))
    return console.export_text()


def test_the_table_has_a_line_per_cell_and_its_shots(make_task):
    text = _rendered(feasibility(make_task(), "cell", (0, 4, 400)), width=160)
    lines = [line for line in text.splitlines() if line.startswith("│")]
    assert [line.split("│")[1].strip() for line in lines] == ["A", "B", "C"]
    for line in lines:
        assert [cell.strip() for cell in line.split("│")[-3:-1]] == ["0 4 not 400", "4 not 400"]


@pytest.mark.realdata
@pytest.mark.parametrize("protocol", list(Protocol))
def test_real_tasks(data_mirror, protocol):
    from epishot.tasks.catalog import load_task

    shots = (0, 8, 16, 32, 64, 128)
    bengi = feasibility(load_task("bengi"), protocol, shots)
    assert all(row.feasible and not row.undefined_folds for row in bengi)
    if protocol is Protocol.CELL_CHROM:
        counts = {row.cell: (row.n, row.positives) for row in bengi}
        assert counts == {
            "GM12878": (48_907, 2_695),
            "HeLa": (23_342, 2_256),
            "HMEC": (22_305, 2_286),
            "IMR90": (14_736, 1_468),
            "NHEK": (15_402, 1_820),
        }
    crispr = {(r.cell, r.balance, r.k): r for r in feasibility(load_task("crispr"), protocol, shots)}
    assert all(crispr["K562", balance, k].feasible for balance in Balance for k in shots if k)
    assert not crispr["Jurkat", Balance.BALANCED, 16].feasible  # seven positives in all
    assert all(crispr[cell, Balance.NATURAL, 0].feasible for cell in load_task("crispr").card.cells)

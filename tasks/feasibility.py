"""The feasibility table: what can be measured in which cell, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .chance import chance_aupr
from .detectable import PAIRED_CORRELATION, average_precision_sd, detectable_difference
from .draws import Balance
from .limits import PoolLimits, infeasible_reason, parse_shots, pool_limits
from .loci import locus_clusters
from .splits import Protocol, Split, cell_splits, parse_protocol

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .task import Task


@dataclass(frozen=True)
class FeasibilityRow:
    """One (cell, k, balance). The query figures are the same for every k: the query never depends on it.

    Attributes:
        cell: held-out cell. k: support pairs. balance: natural or balanced.
        reason: why it is infeasible; None if every fold with query rows has such supports.
        folds: folds that hold query rows.
        undefined_folds: those of them with P = 0 or P = n, left out of the cell's AUPR for every method.
        n, positives: query rows and positives, all folds.
        positive_loci: 25 kb locus clusters that hold a positive of the query: about the number of
            independent positives.
        prevalence: positives / n; NaN without query rows.
        chance: expected AUPR of a random ranker, positive-weighted mean over the defined folds.
        detectable: smallest detectable difference of corrected AUPR between two methods on unrelated
            queries, 1.96 sqrt(2) sd; sd of a d' = 1 ranker with one independent positive (negative) per
            locus cluster that holds one; at most 1. See `detectable.py`.
        detectable_paired: the same for two methods on the same query whose scores correlate by 0.8.
        pool_pairs: enhancer-gene pairs in the support pool; the smallest over the folds.
        dropped_rows: pool and training rows dropped for a locus shared with the query; sum over the folds.
        unplaced: labelled rows on no fold's chromosome, hence in no query.
    """

    cell: str
    k: int
    balance: Balance
    reason: str | None
    folds: tuple[int, ...]
    undefined_folds: tuple[int, ...]
    n: int
    positives: int
    positive_loci: int
    prevalence: float
    chance: float
    detectable: float
    detectable_paired: float
    pool_pairs: int
    dropped_rows: int
    unplaced: int

    @property
    def feasible(self) -> bool:
        """Whether supports of this kind exist in every fold with query rows."""
        return self.reason is None


def feasibility(task: Task, protocol: Protocol | str, shots: Sequence[int]) -> list[FeasibilityRow]:
    """All (cell, balance, k) of a task in card order, natural first; nothing is drawn.

    Raises:
        EpishotError: an unknown protocol or unusable shots.
    """
    protocol, shots = parse_protocol(protocol), parse_shots(shots)
    by_cell: dict[str, list[Split]] = {cell: [] for cell in task.card.cells}
    for split in cell_splits(task, protocol):
        by_cell[split.cell].append(split)
    rows = []
    for cell, splits in by_cell.items():
        limits = {split.fold: pool_limits(task, split) for split in splits}
        facts = _query_facts(task, splits, limits)
        rows += [
            FeasibilityRow(cell, k, balance, infeasible_reason(limits, balance, k), *facts)
            for balance in Balance
            for k in shots
            if k > 0 or balance is Balance.NATURAL
        ]
    return rows


def feasibility_table(rows: Sequence[FeasibilityRow], title: str = "") -> RenderableType:
    """The table for the terminal: one line per cell with its feasible shots; all reasons are listed below."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None)
    table.add_column("held-out\ncell", no_wrap=True)
    for heading in ("query\nrows", "posi-\ntives", "loci", "preva-\nlence", "chance\nAUPR", "detect-\nable", "paired"):
        table.add_column(heading, justify="right", no_wrap=True)
    balances = list(dict.fromkeys(row.balance for row in rows))
    for balance in balances:
        table.add_column(f"{balance.value}\nshots")
    notes: list[str] = []
    for cell in dict.fromkeys(row.cell for row in rows):
        of_cell = [row for row in rows if row.cell == cell]
        first = of_cell[0]
        table.add_row(
            cell,
            f"{first.n:,}",
            f"{first.positives:,}",
            f"{first.positive_loci:,}",
            *(_figure(v) for v in (first.prevalence, first.chance, first.detectable, first.detectable_paired)),
            *(_shots(of_cell, balance) for balance in balances),
        )
        notes += _notes(cell, of_cell)
    explain = (
        "loci: 25 kb clusters with a positive. detectable: smallest difference of corrected AUPR that one "
        "cell can show at 5 % (two-sided; half of such true differences are missed), by a d' = 1 ranker and one "
        f"independent positive per locus; paired: on the same query, if scores correlate by {PAIRED_CORRELATION}."
    )
    return Group(table, Text(explain, style="dim"), *(Text(note) for note in notes))


class _QueryFacts(NamedTuple):
    """The fields of a row that belong to the cell, in the order of `FeasibilityRow`."""

    folds: tuple[int, ...]
    undefined_folds: tuple[int, ...]
    n: int
    positives: int
    positive_loci: int
    prevalence: float
    chance: float
    detectable: float
    detectable_paired: float
    pool_pairs: int
    dropped_rows: int
    unplaced: int


def _query_facts(task: Task, splits: Sequence[Split], limits: dict[int, PoolLimits]) -> _QueryFacts:
    n = positives = loci = 0
    undefined: list[int] = []
    weights, chances, variances = [], [], []
    for split in splits:
        label = task.columns.label[split.query_rows]
        size, found = label.size, int(label.sum())
        cluster = locus_clusters(task, split.query_rows)
        positive_loci, negative_loci = (np.unique(cluster[label == side]).size for side in (1, 0))
        n, positives, loci = n + size, positives + found, loci + positive_loci
        if found in (0, size):
            undefined.append(split.fold)
            continue
        chance = chance_aupr(size, found)
        sd = average_precision_sd(found / size, positive_loci, negative_loci) / (1 - chance)
        weights.append(found)
        chances.append(chance)
        variances.append(sd**2)
    share = np.array(weights, dtype=np.float64) / sum(weights) if weights else np.empty(0)
    # Folds lie on different chromosomes, so their errors are taken as independent.
    sd = math.sqrt(float(share**2 @ np.array(variances))) if weights else math.nan
    return _QueryFacts(
        folds=tuple(split.fold for split in splits),
        undefined_folds=tuple(undefined),
        n=n,
        positives=positives,
        positive_loci=loci,
        prevalence=positives / n if n else math.nan,
        chance=float(share @ np.array(chances)) if weights else math.nan,
        detectable=_at_most_one(detectable_difference(sd)),
        detectable_paired=_at_most_one(detectable_difference(sd, PAIRED_CORRELATION)),
        pool_pairs=min((limit.pairs for limit in limits.values()), default=0),
        dropped_rows=sum(split.dropped_pool + split.dropped_train for split in splits),
        unplaced=max((split.unplaced for split in splits), default=0),
    )


def _at_most_one(value: float) -> float:
    return value if math.isnan(value) else min(value, 1.0)


def _figure(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.4f}"


def _shots(rows: Sequence[FeasibilityRow], balance: Balance) -> str:
    """The feasible shots, and after "not" the others."""
    of_balance = [row for row in rows if row.balance is balance]
    feasible = " ".join(str(row.k) for row in of_balance if row.feasible)
    others = " ".join(str(row.k) for row in of_balance if not row.feasible)
    return feasible + (f" [red]not {others}[/red]" if others else "")


def _notes(cell: str, rows: Sequence[FeasibilityRow]) -> list[str]:
    first = rows[0]
    notes = [f"{cell}: no {row.balance.value} support of k = {row.k}: {row.reason}" for row in rows if row.reason]
    if first.undefined_folds:
        folds = ", ".join(map(str, first.undefined_folds))
        notes.append(f"{cell}: AUPR is undefined (only one class in the query) in fold(s) {folds}")
    if first.dropped_rows:
        notes.append(f"{cell}: {first.dropped_rows:,} pool or training row(s) dropped for a locus of the query")
    if first.unplaced:
        notes.append(f"{cell}: {first.unplaced:,} row(s) on chromosomes outside all folds are in no query")
    return notes

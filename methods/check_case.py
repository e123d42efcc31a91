"""A small held-out-cell problem, cut from a task, on which a method is checked."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

import numpy as np

from ..tasks.errors import EpishotError
from ..tasks.task import Task
from .base import Balance, FitContext, PairTable, Reads, Regime, Supports, TrainTable, no_support
from .tables import cell_table, fit_context, pair_table, train_table

#: A few training steps are enough to see whether a method keeps the contract.
BUDGET = 0.02


@dataclass(frozen=True)
class Case:
    """One held-out cell with labels, as the checks see it; a method is handed the label-free parts.

    Attributes:
        train: labelled pairs of the training cells. context: seed, feature names, a small budget.
        pool, pool_label: candidate support pairs and their (m,) labels.
        query, query_label: n scored pairs and their labels. cell_table: all pairs of the held-out cell.
    """

    train: TrainTable
    context: FitContext
    pool: PairTable
    pool_label: np.ndarray
    query: PairTable
    query_label: np.ndarray
    cell_table: PairTable

    @classmethod
    def of(cls, task: Task, reads: Set[Reads], seed: int) -> Case:
        """Hold out the last cell of a task (with its family); its pool chromosomes give the supports.

        Raises:
            EpishotError: the pool or the query lacks a class.
        """
        columns, card = task.columns, task.card
        held_out = card.cells[-1]
        family = [task.cell_code(cell) for cell in card.family(held_out)]
        labelled = columns.label >= 0
        own = labelled & (columns.cell == task.cell_code(held_out))
        pool_chromosomes = [
            code for code, name in enumerate(columns.chromosomes) if name in card.support_pool_chromosomes
        ]
        in_pool = np.isin(columns.chrom, pool_chromosomes)
        pool, query = np.flatnonzero(own & in_pool), np.flatnonzero(own & ~in_pool)
        for part, rows in (("support pool", pool), ("query", query)):
            if np.unique(columns.label[rows]).size < 2:
                raise EpishotError(
                    f"The {part} of cell {held_out!r} of task {card.name!r} does not hold both classes; "
                    "check on a larger task."
                )
        return cls(
            train=train_table(task, np.flatnonzero(labelled & ~np.isin(columns.cell, family)), reads),
            context=fit_context(task, seed=seed, budget=BUDGET),
            pool=pair_table(task, pool, reads),
            pool_label=columns.label[pool],
            query=pair_table(task, query, reads),
            query_label=columns.label[query],
            cell_table=cell_table(task, task.cell_rows(held_out), reads),
        )

    def shuffled(self, seed: int) -> Case:
        """The same pairs with all labels permuted: inside each training cell, the pool and the query."""
        rng = np.random.Generator(np.random.Philox(key=[seed, 77]))
        label = self.train.label.copy()
        for cell in range(self.train.n_cells):
            rows = np.flatnonzero(self.train.cell == cell)
            label[rows] = rng.permutation(label[rows])
        return replace(
            self,
            train=replace(self.train, label=label),
            pool_label=rng.permutation(self.pool_label),
            query_label=rng.permutation(self.query_label),
        )

    def supports(self, setting: Setting, episodes: int, stream: int = 0, only_class: int | None = None) -> Supports:
        """Draw supports from the pool.

        Args:
            setting: regime, balance and k.
            episodes: E. stream: another number gives other supports. only_class: take this class alone.
        """
        if setting.k == 0:
            empty = no_support(self.query)
            return replace(empty, rows=np.empty((episodes, 0), dtype=np.int64))
        rng = np.random.Generator(np.random.Philox(key=[self.context.seed, stream]))
        positive, negative = (np.flatnonzero(self.pool_label == value) for value in (1, 0))
        drawn = []
        for _ in range(episodes):
            if only_class is not None:
                drawn.append(rng.choice((negative, positive)[only_class], setting.k, replace=False))
            elif setting.balance is Balance.BALANCED:
                half = setting.k // 2
                drawn.append(np.concatenate([rng.choice(part, half, False) for part in (positive, negative)]))
            else:
                drawn.append(rng.choice(self.pool.n, setting.k, replace=False))
        rows, places = np.unique(np.stack(drawn), return_inverse=True)
        places = places.reshape(episodes, setting.k)
        return Supports(
            regime=setting.regime,
            balance=setting.balance,
            pool=self.pool.take(rows),
            rows=places.astype(np.int64),
            label=self.pool_label[rows][places] if setting.regime is Regime.LABELLED else None,
        )


@dataclass(frozen=True)
class Setting:
    """A regime, balance and support size under which a method is scored."""

    regime: Regime
    balance: Balance
    k: int

    def __str__(self) -> str:
        return "regime none" if self.k == 0 else f"{self.regime.value} {self.balance.value} k = {self.k}"


def served_settings(regimes: Set[Regime], k: int = 8) -> list[Setting]:
    """One setting per regime a method serves, labelled ones under both balances."""
    settings = [
        Setting(Regime.NONE, Balance.NATURAL, 0),
        Setting(Regime.UNLABELLED, Balance.NATURAL, k),
        Setting(Regime.LABELLED, Balance.NATURAL, k),
        Setting(Regime.LABELLED, Balance.BALANCED, k),
    ]
    return [setting for setting in settings if setting.regime in regimes]

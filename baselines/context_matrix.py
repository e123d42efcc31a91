"""Matrices with candidate-list context: one row per asked row, or one per enhancer-gene pair of the list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..methods.base import FitContext, PairTable, TrainTable
from ..methods.features import FeatureMatrix, Scale, cell_ranks
from ..tasks.errors import MethodError
from .context_features import ContextFeatures, pair_keys

_RANKED = FeatureMatrix(Scale.RANK)


@dataclass(frozen=True)
class ContextMatrix:
    """Feature ranks within the cell, unranked log10 distance, then the columns of `ContextFeatures`.

    It can stand in for `FeatureMatrix` in a `SklearnMethod`.
    """

    columns: ContextFeatures

    @classmethod
    def fit(cls, train: TrainTable, context: FitContext) -> ContextMatrix:
        """Learn, without labels, which columns the task has."""
        return cls(ContextFeatures.fit(train, context))

    def of_train(self, train: TrainTable) -> np.ndarray:
        """(n, F + 1 + C) float32; every training cell's list is its own rows."""
        parts = []
        rows = [np.flatnonzero(train.cell == cell) for cell in range(train.n_cells)]
        for own in rows:
            pairs = train.pairs.take(own)
            parts.append(self.of_cell(pairs, pairs))
        out = np.empty((train.pairs.n, parts[0].shape[1]), dtype=np.float32)
        for own, part in zip(rows, parts, strict=True):
            out[own] = part
        return out

    def of_cell(self, pairs: PairTable, cell_table: PairTable | None) -> np.ndarray:
        """(n, F + 1 + C) float32 of pairs of a cell whose whole list is `cell_table`.

        Raises:
            MethodError: there is no cell table.
        """
        if cell_table is None:
            raise MethodError("Candidate-list context needs the cell table; declare `transductive = True`.")
        context = self.columns.of(cell_table, pairs).values()
        return np.column_stack([_RANKED.of_cell(pairs, cell_table), *context]).astype(np.float32, copy=False)


@dataclass(frozen=True)
class PairMatrix:
    """The list of one cell with its transcripts' rows averaged: one row per enhancer-gene pair.

    Attributes:
        key: (p,) sorted keys of the pairs (`pair_keys`).
        element, gene: (p,) identities. chrom: (p,). enhancer, tss: (p,) mean positions in bp.
        values: (p, F + 1 + C) float32 means over the pair's rows.
        ranks: (p, C) float32: the context columns ranked within the cell.
        first: (p,) a row of the list that belongs to the pair.
    """

    key: np.ndarray
    element: np.ndarray
    gene: np.ndarray
    chrom: np.ndarray
    enhancer: np.ndarray
    tss: np.ndarray
    values: np.ndarray
    ranks: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, matrix: ContextMatrix, listed: PairTable) -> PairMatrix:
        """Average the rows of a cell's list pair by pair."""
        key, first, pair = np.unique(pair_keys(listed), return_index=True, return_inverse=True)
        rows = matrix.of_cell(listed, listed)
        order, start = np.argsort(pair, kind="stable"), np.searchsorted(np.sort(pair), np.arange(key.size))
        count = np.bincount(pair, minlength=key.size)[:, None]

        def mean(values: np.ndarray) -> np.ndarray:
            return np.add.reduceat(values[order].astype(np.float64), start, axis=0) / count

        values = mean(rows).astype(np.float32)
        n_plain = 1 + (0 if listed.features is None else listed.features.shape[1])
        context = values[:, n_plain:]
        middle = (listed.column("enhancer_start") + listed.column("enhancer_end")) // 2
        return cls(
            key=key,
            element=listed.column("element")[first],
            gene=listed.column("gene")[first],
            chrom=listed.column("chrom")[first],
            enhancer=mean(middle[:, None])[:, 0],
            tss=mean(listed.column("tss")[:, None])[:, 0],
            values=values,
            ranks=cell_ranks(context, context),
            first=first,
        )

    def take(self, rows: np.ndarray) -> PairMatrix:
        """The pairs `rows` (indices or mask), in that order."""
        return PairMatrix(**{name: value[rows] for name, value in vars(self).items()})

    def place(self, pairs: PairTable) -> np.ndarray:
        """(n,) which of these pairs each row of a table belongs to.

        Raises:
            MethodError: a row's pair is not listed.
        """
        key = pair_keys(pairs)
        found = np.searchsorted(self.key, key).clip(max=max(self.key.size - 1, 0))
        if self.key.size == 0 or (self.key[found] != key).any():
            raise MethodError("A pair to be scored is not in the cell table, which must list every pair of the cell.")
        return found

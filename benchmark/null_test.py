"""Does any method know what cannot be known? Westfall-Young maximum test on tasks whose labels are noise.

On such a task the labels of a query are exchangeable given everything a method saw, so shuffling them gives
the exact null distribution of every entry (method x cell x condition) at once. Each entry's corrected AUPR is
standardised by the mean and spread of its own permutations (AP has a floor near P/n, so knowledge shows and
its inversion hardly does); the largest |z| of the board is compared with the largest |z| of each permutation.
All entries share the permutations, so their dependence is accounted for and the family-wise level holds
(Westfall & Young, Resampling-Based Multiple Testing, 1993).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .query_facts import QueryFacts
from .run_scores import RunScores, distinct_rows
from .specs import Condition

PERMUTATIONS = 2000
LEVEL = 0.01
#: Spread of an entry below which all orders are alike to it (a constant score).
_NO_SPREAD = 1e-12


class NullEntry(NamedTuple):
    """One method in one cell under one condition.

    Attributes:
        scores: (V, n_query) scores by fold, one row per draw and seed.
    """

    method: str
    cell: str
    condition: Condition
    scores: Mapping[int, np.ndarray]


@dataclass(frozen=True, eq=False)
class NullTestResult:
    """Outcome of the test.

    Attributes:
        max_z: largest |z| over the entries. worst: the entry that has it. z: (entries,) z of each.
        p_value: (1 + permutations that reach max_z) / (1 + permutations).
        rejected: p_value <= alpha: some method stands out.
    """

    max_z: float
    worst: NullEntry
    z: np.ndarray
    p_value: float
    alpha: float
    permutations: int

    @property
    def rejected(self) -> bool:
        """Whether the null hypothesis (no method knows anything) falls at family-wise level alpha."""
        return self.p_value <= self.alpha


def null_entries(method: str, runs: Sequence[RunScores]) -> list[NullEntry]:
    """Entries of one method, with the draws and seeds of each fold stacked.

    Args:
        method: name. runs: all its runs.
    """
    found: dict[tuple[str, Condition], dict[int, list[np.ndarray]]] = {}
    for run in sorted(runs, key=lambda run: (run.condition, run.cell, run.fold, run.seed)):
        found.setdefault((run.cell, run.condition), {}).setdefault(run.fold, []).append(np.asarray(run.scores))
    return [
        NullEntry(method, cell, condition, {fold: _stack(parts) for fold, parts in folds.items()})
        for (cell, condition), folds in found.items()
    ]


def _stack(parts: Sequence[np.ndarray]) -> np.ndarray:
    # Equal rows have equal AP: one stands for all of them, unless other seeds have more.
    if all(distinct_rows(part) == 1 for part in parts):
        parts = [part[:1] for part in parts]
    return np.concatenate(parts)


def null_test(
    entries: Sequence[NullEntry],
    queries: Sequence[QueryFacts],
    *,
    alpha: float = LEVEL,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> NullTestResult:
    """Test all entries of a task at once.

    Args:
        entries: scores of all methods, cells and conditions; reference rows that know the truth left out.
        queries: facts of every (cell, fold) that occurs.
        alpha: family-wise level. permutations: shared label permutations per (cell, fold).
        seed: of the permutations.

    Raises:
        ValueError: no entries, or a fold without its query.
    """
    if not entries:
        raise ValueError("there is nothing to test")
    observed = np.zeros(len(entries))
    shuffled = np.zeros((len(entries), permutations))
    by_cell: dict[str, list[QueryFacts]] = {}
    for query in queries:
        if query.undefined is None:
            by_cell.setdefault(query.cell, []).append(query)
    wanted: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        if entry.cell not in by_cell:
            raise ValueError(f"no query of {entry.cell} has both labels")
        wanted.setdefault(entry.cell, []).append(index)
    for cell, members in wanted.items():
        total = sum(query.positives for query in by_cell[cell])
        for query in by_cell[cell]:
            places = permuted_positives(query, permutations, seed)
            weight = query.positives / total
            for index in members:
                if query.fold not in entries[index].scores:
                    raise ValueError(f"{entries[index].method} has no scores of {cell}, fold {query.fold}")
                found = _mean_corrected(entries[index].scores[query.fold], query, places)
                observed[index] += weight * found[0]
                shuffled[index] += weight * found[1:]
    mean, spread = shuffled.mean(axis=1), shuffled.std(axis=1, ddof=1)
    z = _standardise(observed, mean, spread)
    null_maxima = np.abs(_standardise(shuffled, mean[:, None], spread[:, None])).max(axis=0)
    worst = int(np.argmax(np.abs(z)))
    reached = int((null_maxima >= abs(z[worst])).sum())
    return NullTestResult(
        max_z=float(abs(z[worst])),
        worst=entries[worst],
        z=z,
        p_value=(1 + reached) / (1 + permutations),
        alpha=alpha,
        permutations=permutations,
    )


def permuted_positives(query: QueryFacts, permutations: int, seed: int) -> np.ndarray:
    """Rows that are positive: in truth (row 0 of the result), then in each label permutation.

    Args:
        query: facts of the query. permutations: how many. seed: of the stream, which also knows cell and fold.

    Returns:
        (1 + permutations, P) int64.
    """
    key = [seed, *query.cell.encode(), query.fold]
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
    out = np.empty((1 + permutations, query.positives), dtype=np.int64)
    out[0] = np.flatnonzero(query.labels == 1)
    for b in range(permutations):
        out[1 + b] = generator.choice(query.n, size=query.positives, replace=False, shuffle=False)
    return out


def _mean_corrected(scores: np.ndarray, query: QueryFacts, places: np.ndarray) -> np.ndarray:
    """Mean over the score vectors of the corrected AP under each set of positives; (len(places),)."""
    total = np.zeros(len(places))
    for row in scores:
        total += _average_precision_at(row, places)
    return (total / len(scores) - query.chance) / (1.0 - query.chance)


def _average_precision_at(scores: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Average precision of one ranking under many sets of P positives, tie-exact.

    Sorted by N (rows that score at least as high), the i-th positive has i positives at or above it, or as
    many as its tie group ends with.
    """
    ascending = np.sort(scores)
    at_least = (scores.size - np.searchsorted(ascending, scores, side="left")).astype(_rank_type(scores.size))
    out = np.empty(len(places))
    counting = np.arange(1, places.shape[1] + 1, dtype=np.float64)
    has_ties = bool((ascending[1:] == ascending[:-1]).any())
    for part in _chunks(len(places), places.shape[1]):
        ranks = np.sort(at_least[places[part]], axis=1)
        true = counting
        if has_ties:
            true = np.broadcast_to(counting, ranks.shape).copy()
            true[:, :-1][ranks[:, 1:] == ranks[:, :-1]] = np.inf
            true = np.minimum.accumulate(true[:, ::-1], axis=1)[:, ::-1]
        out[part] = (true / ranks).mean(axis=1)
    return out


def _rank_type(n: int) -> type[np.unsignedinteger]:
    """Smallest type for ranks up to n: narrow integers sort several times faster."""
    return np.uint16 if n <= np.iinfo(np.uint16).max else np.uint32


def _chunks(rows: int, width: int) -> Iterator[slice]:
    step = max(1, (1 << 17) // max(width, 1))
    for start in range(0, rows, step):
        yield slice(start, start + step)


def _standardise(values: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """z; 0 for an entry that gives every permutation, and the truth, the same AP."""
    difference = values - mean
    z = difference / np.where(spread > _NO_SPREAD, spread, 1.0)
    flat = np.where(np.abs(difference) <= 1e-9, 0.0, np.copysign(np.inf, difference))
    return np.where(spread > _NO_SPREAD, z, flat)

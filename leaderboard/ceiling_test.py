"""Is any method better than the best that anyone could do? One-sided test against the ceiling row.

Where the simulator knows the exact P(y = 1 | everything a method may read), no method can rank better in
expectation. One that does has seen labels, or the evaluator is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from ..benchmark.records import CellEntry, CompactRecord
from .statistics import MacroScore, holm, paired_z

LEVEL = 0.01
CEILING = "ceiling"
MACRO = "macro"


class CeilingComparison(NamedTuple):
    """One entry against the ceiling: z = difference / standard error of the paired bootstrap difference.

    Attributes:
        cell: held-out cell, or "macro" for the mean over the cells.
        above: whether it is above the ceiling at the family-wise level.
    """

    method: str
    cell: str
    regime: str
    balance: str
    k: int
    difference: float
    z: float
    above: bool


@dataclass(frozen=True)
class CeilingTestResult:
    """All comparisons, the most suspicious first."""

    comparisons: tuple[CeilingComparison, ...]
    alpha: float

    @property
    def rejected(self) -> tuple[CeilingComparison, ...]:
        """The comparisons that are above the ceiling."""
        return tuple(c for c in self.comparisons if c.above)


def ceiling_test(loaded: Sequence[tuple[CompactRecord, np.ndarray]], alpha: float = LEVEL) -> CeilingTestResult:
    """Test every method, cell and condition, and every macro mean, by Holm at level `alpha`.

    Args:
        loaded: compact records of one task and protocol with their replicates, one of them the ceiling's.
        alpha: family-wise level.

    Raises:
        ValueError: there is no ceiling record, or records of several episode sets are mixed.
    """
    ceilings = [pair for pair in loaded if _is_ceiling(pair[0])]
    if len(ceilings) != 1 or len({record.episode_set for record, _ in loaded}) != 1:
        raise ValueError("the ceiling test needs one ceiling record and records of one episode set")
    best = {entry.cell: _score(entry, ceilings[0][1]) for entry in _usable(ceilings[0][0])}
    found = [
        (record.method.name, cell, entry, score, reference)
        for record, replicates in loaded
        if record.method.kind != "reference"
        for cell, entry, score, reference in _pairs(record, replicates, best)
    ]
    z = [paired_z(score, reference) for *_, score, reference in found]
    rejected = holm([float(norm.sf(value)) for value in z], alpha)
    comparisons = [
        CeilingComparison(method, cell, entry.regime, entry.balance, entry.k, score.value - reference.value, value, out)
        for (method, cell, entry, score, reference), value, out in zip(found, z, rejected, strict=True)
    ]
    return CeilingTestResult(tuple(sorted(comparisons, key=lambda c: -c.z)), alpha)


def _is_ceiling(record: CompactRecord) -> bool:
    return record.method.kind == "reference" and record.method.name == CEILING


def _usable(record: CompactRecord) -> Iterator[CellEntry]:
    return (e for e in record.entries if e.replicates is not None and e.metrics.get("corrected") is not None)


def _score(entry: CellEntry, replicates: np.ndarray) -> MacroScore:
    value, row = entry.metrics["corrected"], entry.replicates
    if value is None or row is None:
        raise ValueError(f"{entry.cell} has no bootstrap replicates")
    return MacroScore(value, replicates[row].astype(np.float64))


def _pairs(
    record: CompactRecord, replicates: np.ndarray, best: dict[str, MacroScore]
) -> Iterator[tuple[str, CellEntry, MacroScore, MacroScore]]:
    """(cell or "macro", an entry of the condition, the method's score, the ceiling's) of a record."""
    conditions: dict[tuple[str, str, int], list[CellEntry]] = {}
    for entry in _usable(record):
        if entry.cell in best:
            conditions.setdefault((entry.regime, entry.balance, entry.k), []).append(entry)
    for entries in conditions.values():
        scores = [_score(entry, replicates) for entry in entries]
        references = [best[entry.cell] for entry in entries]
        for entry, score, reference in zip(entries, scores, references, strict=True):
            yield entry.cell, entry, score, reference
        yield MACRO, entries[0], _mean(scores), _mean(references)


def _mean(scores: Sequence[MacroScore]) -> MacroScore:
    return MacroScore(
        float(np.mean([score.value for score in scores])),
        np.mean([score.replicates for score in scores], axis=0),
    )

"""Counts, ranks and sums over a candidate list, vectorised: groups of rows, and neighbours along the genome.

Everywhere a `listed` table (all candidates of a cell) says what is counted, and `asked` rows are looked up in
it; they may be the same rows or any others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Positions on different chromosomes are further apart than any distance that is asked for.
_CHROMOSOME_BP = 1 << 40


@dataclass(frozen=True)
class Groups:
    """Rows that share an identity.

    Attributes:
        listed: (n,) group of every listed row. asked: (m,) group of every asked row. size: number of groups.
    """

    listed: np.ndarray
    asked: np.ndarray
    size: int

    @classmethod
    def of(cls, listed: np.ndarray, asked: np.ndarray) -> Groups:
        """Groups of equal keys, (n,) and (m,) integers."""
        distinct, code = np.unique(np.concatenate([listed, asked]), return_inverse=True)
        return cls(code[: listed.size], code[listed.size :], distinct.size)

    def count(self) -> np.ndarray:
        """(m,) number of listed rows in the asked row's group."""
        return np.bincount(self.listed, minlength=self.size)[self.asked].astype(np.float64)

    def total(self, values: np.ndarray) -> np.ndarray:
        """(m,) sum of the (n,) listed values of the group, NaN counting as 0."""
        return np.bincount(self.listed, weights=np.nan_to_num(values), minlength=self.size)[self.asked]

    def smallest(self, values: np.ndarray) -> np.ndarray:
        """(m,) smallest listed value of the group; NaN where there is none."""
        found = np.full(self.size, np.inf)
        np.minimum.at(found, self.listed, np.where(np.isnan(values), np.inf, values))
        return np.where(np.isinf(found), np.nan, found)[self.asked]

    def below(self, listed: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """(m,) number of listed values of the group below the asked value, ties counting half; NaN for NaN.

        Args:
            listed: (n,) values; NaN are left out. asked: (m,) values.
        """
        known = ~np.isnan(listed)
        values = np.unique(listed[known])
        # One number per (group, value), so that one sort serves all groups.
        span = values.size + 1
        ordered = np.sort(self.listed[known] * span + np.searchsorted(values, listed[known]))
        low, high = (np.searchsorted(values, asked, side) for side in ("left", "right"))
        start = np.searchsorted(ordered, self.asked * span)
        less = np.searchsorted(ordered, self.asked * span + low) - start
        up_to = np.searchsorted(ordered, self.asked * span + high) - start
        return np.where(np.isnan(asked), np.nan, 0.5 * (less + up_to))

    def share_below(self, listed: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """(m,) `below` as a share of the group's listed values; 0.5 for a value alone in its group."""
        count = np.bincount(self.listed[~np.isnan(listed)], minlength=self.size)[self.asked]
        return self.below(listed, asked) / np.maximum(count, 1)


@dataclass(frozen=True)
class Sites:
    """Distinct places along the genome with a value each, for sums over intervals.

    Attributes:
        place: (s,) sorted int64 chromosome and position in one number.
        sums: (s + 1,) sums of the values of the first sites.
    """

    place: np.ndarray
    sums: np.ndarray

    @classmethod
    def of(cls, place: np.ndarray, value: np.ndarray | None = None) -> Sites:
        """The distinct known places (>= 0) of (n,) rows with the value of the first row there (1 without values)."""
        where, first = np.unique(place, return_index=True)
        known = where >= 0
        own = np.ones(where.size) if value is None else np.nan_to_num(value[first].astype(np.float64))
        return cls(where[known], np.concatenate([[0.0], np.cumsum(own[known])]))

    def within(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Sum of the values of the sites in [low, high]."""
        first = np.searchsorted(self.place, low, "left")
        return self.sums[np.maximum(np.searchsorted(self.place, high, "right"), first)] - self.sums[first]

    def nearest(self, place: np.ndarray, *others: np.ndarray) -> np.ndarray:
        """Distance in bp to the nearest site that is at none of `others`; infinite on an empty chromosome."""
        found = np.full(place.size, np.inf)
        middle = np.searchsorted(self.place, place)
        # With one place left out, the nearest of the others is among the two on either side.
        reach = len(others) + 1
        for step in range(-reach, reach):
            at = middle + step
            site = self.place[np.clip(at, 0, max(self.place.size - 1, 0))] if self.place.size else place
            valid = (at >= 0) & (at < self.place.size)
            for other in others:
                valid &= site != other
            gap = np.abs(site - place)
            found = np.where(valid & (gap < _CHROMOSOME_BP // 2), np.minimum(found, gap), found)
        return found


def places(chrom: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Chromosome and position in one int64 number; -1 where either is unknown (negative)."""
    return np.where((chrom < 0) | (position < 0), -1, chrom.astype(np.int64) * _CHROMOSOME_BP + position)

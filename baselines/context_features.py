"""Label-free columns of EP pairs from their cell's candidate list: which pairs were tabulated, and their signals.

Three groups: counts and ranks of the list itself, neighbours along the genome, and signals relative to the
competing candidates. They exploit how a benchmark's table was sampled (nearly every listed element of BENGI has
a positive, and listed elements mark the anchors of loops), so a method that reads them declares `context`, and
is marked C. Everything is computed from the rows given, chromosome by chromosome in effect: a training table
that lacks a fold's chromosomes has the same columns as one that has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..methods.base import FitContext, PairTable, TrainTable
from ..methods.features import cell_ranks
from .context_groups import Groups, Sites, places

#: Radii of neighbourhoods; the resolution of Hi-C loops (Rao et al. 2014, Cell 159:1665) is 5 to 25 kb.
NEAR_BP = (5_000, 10_000, 25_000, 100_000)
#: Radii over which insulator signal is summed.
INSULATOR_BP = (10_000, 25_000)
#: The share of a cell's strongest rows that counts as an insulator site.
STRONGEST = 0.2
#: Power-law contact of the activity-by-contact model (Fulco et al. 2019, doi:10.1038/s41588-019-0538-0).
EXPONENT, NEAREST_BP = -0.87, 5000.0
_TWO = 1 << 32


@dataclass(frozen=True)
class ContextFeatures:
    """Which signals are compared with which competitors; learned from training rows without their labels.

    Attributes:
        of_promoter: features that differ among the rows of one element, compared within the element.
        of_element: features that differ among the elements of one TSS, compared within the gene.
        activity: features whose geometric mean is the enhancer's activity.
        insulator: CTCF columns, of the element and of the promoter; None where there is none.
    """

    of_promoter: tuple[int, ...] = ()
    of_element: tuple[int, ...] = ()
    activity: tuple[int, ...] = ()
    insulator: tuple[int | None, int | None] = (None, None)

    @classmethod
    def fit(cls, train: TrainTable, context: FitContext) -> ContextFeatures:
        """Find the side of every feature by what it varies with; CTCF by its name."""
        features = train.pairs.features
        if features is None:
            return cls()
        element, gene = train.pairs.column("element"), train.pairs.column("gene")
        numbers = range(features.shape[1])
        by_element = _joint(train.cell, element)
        by_tss = _joint(_joint(train.cell, gene), train.pairs.column("tss"))
        of_promoter = tuple(f for f in numbers if _varies(features[:, f], by_element))
        of_element = tuple(f for f in numbers if _varies(features[:, f], by_tss))
        signals = [f for f, name in enumerate(context.feature_names) if "CTCF" in name and "overlap" not in name]
        at_element = next((f for f in signals if f not in of_promoter), None)
        at_promoter = next((f for f in signals if f not in of_element), None)
        return cls(of_promoter, of_element, tuple(context.activity), (at_element, at_promoter))

    def of(self, listed: PairTable, asked: PairTable) -> dict[str, np.ndarray]:
        """Columns of the `asked` pairs, each (m,) float64 with NaN where unknown.

        Args:
            listed: all pairs of one cell. asked: pairs of that cell, the same table or others.
        """
        groups = _Lists.of(listed, asked)
        found = {**_counts(groups, listed, asked), **_neighbours(listed, asked)}
        if listed.features is not None and asked.features is not None:
            found.update(self._relative(groups, listed, asked))
            found.update(self._insulation(listed, asked))
        return found

    def _relative(self, groups: _Lists, listed: PairTable, asked: PairTable) -> dict[str, np.ndarray]:
        """Marks as shares of competitors below, and the ABC score (Fulco et al. 2019) as shares and rank.

        The ABC share over a gene's elements is that model's score, its sum running over listed elements alone;
        the share over the element's genes takes the competing promoters instead (activity cancels).
        """
        own, other = listed.column("features"), asked.column("features")
        found = {
            f"mark {f} among the element's": groups.element.share_below(own[:, f], other[:, f])
            for f in self.of_promoter
        }
        found |= {
            f"mark {f} among the gene's": groups.gene.share_below(own[:, f], other[:, f]) for f in self.of_element
        }
        if self.activity and listed.distance is not None:
            (strength, contact), (its_strength, its_contact) = (self._abc(table) for table in (listed, asked))
            product, its_product = strength * contact, its_strength * its_contact
            tiny = np.finfo(np.float64).tiny
            found["abc share among the gene's"] = its_product / np.maximum(groups.gene.total(product), tiny)
            found["contact share among the element's"] = its_contact / np.maximum(groups.element.total(contact), tiny)
            found["log abc rank in the gene"] = np.log1p(groups.gene.below(-product, -its_product))
        return found

    def _abc(self, table: PairTable) -> tuple[np.ndarray, np.ndarray]:
        signals = np.nan_to_num(table.column("features")[:, list(self.activity)].astype(np.float64), nan=0.0)
        activity = np.prod(np.maximum(signals, 0.0), axis=1) ** (1.0 / len(self.activity))
        return activity, np.maximum(table.column("distance"), NEAREST_BP) ** EXPONENT

    def _insulation(self, listed: PairTable, asked: PairTable) -> dict[str, np.ndarray]:
        """CTCF at listed elements and promoters between the pair's ends, and around each end."""
        found: dict[str, np.ndarray] = {}
        at, listed_at = _ends(asked), _ends(listed)
        sides = zip(("elements", "promoters"), self.insulator, listed_at, strict=True)
        for what, column, place in sides:
            if column is None:
                continue
            rank = cell_ranks(listed.column("features")[:, [column]], listed.column("features")[:, [column]])[:, 0]
            for how, value in (("sum", rank), ("strong", rank > 1 - STRONGEST)):
                sites = Sites.of(place, value)
                found[f"log CTCF {how} of {what} between"] = _between(sites, *at)
                for radius in INSULATOR_BP:
                    for end, where in zip(("enhancer", "tss"), at, strict=True):
                        found[f"log CTCF {how} of {what} near {end} {radius}"] = _around(sites, where, radius)
        return found


@dataclass(frozen=True)
class _Lists:
    """The groups that candidates compete in: those of one element, of one gene, and the rows of one pair."""

    element: Groups
    gene: Groups
    pair: Groups

    @classmethod
    def of(cls, listed: PairTable, asked: PairTable) -> _Lists:
        element, gene = (Groups.of(listed.column(name), asked.column(name)) for name in ("element", "gene"))
        return cls(element, gene, Groups.of(pair_keys(listed), pair_keys(asked)))


def pair_keys(pairs: PairTable) -> np.ndarray:
    """(n,) int64, equal for rows of one enhancer-gene pair of a cell."""
    return pairs.column("element").astype(np.int64) * _TWO + pairs.column("gene")


def _counts(groups: _Lists, listed: PairTable, asked: PairTable) -> dict[str, np.ndarray]:
    """Counts and distance ranks; a gene is as far from an element as the nearest of its listed TSSs."""
    own, distance = (_log_distance(table) for table in (listed, asked))
    rows = Groups(groups.pair.listed, groups.pair.listed, groups.pair.size)
    nearest, listed_nearest = groups.pair.smallest(own), rows.smallest(own)
    # Each listed pair once, by its first row.
    once = np.unique(groups.pair.listed, return_index=True)[1]
    genes, elements = (Groups(group.listed[once], group.asked, group.size) for group in (groups.element, groups.gene))
    n_genes, n_elements = genes.count(), elements.count()
    gene_rank, element_rank = (group.below(listed_nearest[once], nearest) for group in (genes, elements))
    return {
        "log nearest distance": nearest,
        "log gene rank": np.log1p(gene_rank),
        "log element rank": np.log1p(element_rank),
        "log genes of element": np.log1p(n_genes),
        "log elements of gene": np.log1p(n_elements),
        "log rows of pair": np.log1p(groups.pair.count()),
        "gene rank share": gene_rank / np.maximum(n_genes, 1),
        "element rank share": element_rank / np.maximum(n_elements, 1),
        "log rows nearer": np.log1p(groups.element.below(own, distance)),
        "log distance over the element's nearest": distance - groups.element.smallest(own),
        "log distance over the gene's nearest": distance - groups.gene.smallest(own),
    }


def _neighbours(listed: PairTable, asked: PairTable) -> dict[str, np.ndarray]:
    """Element length, direction, and how many listed elements and TSSs lie near either end and between them."""
    length = (asked.column("enhancer_end") - asked.column("enhancer_start")).astype(np.float64)
    enhancer, tss = _ends(asked)
    listed_enhancer, listed_tss = _ends(listed)
    elements, promoters = Sites.of(listed_enhancer), Sites.of(listed_tss)
    unknown = (enhancer < 0) | (tss < 0)
    side = np.sign(tss - enhancer) * asked.column("strand")
    found = {
        "log length": np.where(enhancer < 0, np.nan, np.log10(np.maximum(length, 1.0))),
        "upstream": np.where(unknown, np.nan, side),
        "log tss to another element": _log_gap(elements.nearest(tss, enhancer), tss),
        "log enhancer to another element": _log_gap(elements.nearest(enhancer, enhancer), enhancer),
        "log elements between": _between(elements, enhancer, tss),
        "log tss between": _between(promoters, enhancer, tss),
    }
    # Another number than the elements' per se: dense stretches hold many of them at any distance.
    gap = np.where(unknown, np.nan, np.maximum(np.abs(enhancer - tss), 1).astype(np.float64))
    found["elements between per Mb"] = np.expm1(found["log elements between"]) / gap * 1e6
    for radius in NEAR_BP:
        found[f"log elements near enhancer {radius}"] = _around(elements, enhancer, radius)
        found[f"log elements near tss {radius}"] = _around(elements, tss, radius, np.abs(enhancer - tss) <= radius)
        found[f"log tss near enhancer {radius}"] = _around(promoters, enhancer, radius)
        found[f"log tss near tss {radius}"] = _around(promoters, tss, radius)
    return found


def _ends(pairs: PairTable) -> tuple[np.ndarray, np.ndarray]:
    """Places of the enhancer's midpoint and of the TSS, -1 where unknown."""
    start, end, chrom = (pairs.column(name) for name in ("enhancer_start", "enhancer_end", "chrom"))
    middle = np.where((start < 0) | (end < 0), -1, (start + end) // 2)
    return places(chrom, middle), places(chrom, pairs.column("tss"))


def _between(sites: Sites, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """log(1 + sum of the sites strictly between two places)."""
    found = np.log1p(sites.within(np.minimum(one, other) + 1, np.maximum(one, other) - 1))
    return np.where((one < 0) | (other < 0), np.nan, found)


def _around(sites: Sites, place: np.ndarray, radius: int, less: np.ndarray | float = 0.0) -> np.ndarray:
    """log(1 + sum of the sites within a radius - less)."""
    return np.where(place < 0, np.nan, np.log1p(np.maximum(sites.within(place - radius, place + radius) - less, 0.0)))


def _log_gap(gap: np.ndarray, place: np.ndarray) -> np.ndarray:
    """log10 of a distance, at most 1 Gb."""
    return np.where(place < 0, np.nan, np.log10(np.clip(gap, 1.0, 1e9)))


def _log_distance(pairs: PairTable) -> np.ndarray:
    distance = np.full(pairs.n, np.nan) if pairs.distance is None else pairs.distance
    return np.log10(np.maximum(distance, 1.0))


def _joint(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) codes, equal where both identities are."""
    codes = [np.unique(identity, return_inverse=True)[1].astype(np.int64) for identity in (one, other)]
    return np.unique(codes[0] * (codes[1].max(initial=0) + 1) + codes[1], return_inverse=True)[1]


def _varies(values: np.ndarray, group: np.ndarray) -> bool:
    """Whether values differ within more than 1 % of the groups."""
    low, high = np.full(group.max() + 1, np.inf), np.full(group.max() + 1, -np.inf)
    np.fmin.at(low, group, values)
    np.fmax.at(high, group, values)
    return bool(np.mean(high - low > 1e-6 * np.maximum(np.abs(high), 1.0)) > 0.01)

"""The common genome of all cells: where genes and enhancers lie, their DNA, and which pairs are near enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import motifs
from .streams import stream

ENHANCER_BP = 300
PROMOTER_BP = 400
MAX_DISTANCE_BP = 1_000_000
MIN_DISTANCE_BP = 2_000
_GENE_SPACING_BP = 330_000
_ELEMENTS_PER_GENE = 2

#: Share of the genes per fold: about a fifth, a little more where supports are drawn from.
_FOLD_SHARE = (0.24, 0.19, 0.19, 0.19, 0.19)

#: Relative number of genes: lengths of the human chromosomes within a chromosome fold.
_FOLDS: tuple[dict[str, int], ...] = (
    {"1": 249, "10": 135, "15": 102, "21": 48},
    {"3": 198, "4": 191, "7": 159, "19": 59, "X": 155},
    {"2": 243, "9": 141, "13": 115, "17": 81, "22": 51},
    {"12": 133, "14": 107, "16": 90, "18": 78, "20": 63},
    {"5": 181, "6": 171, "8": 146, "11": 135},
)


@dataclass(frozen=True)
class Genome:
    """Loci, DNA and candidate pairs shared by all cells. E enhancers, G genes with one promoter each.

    Attributes:
        gene_chrom, gene_strand: (G,) chromosome names such as "chr1"; "+" or "-".
        tss: (G,) int64 bp.
        enhancer_chrom: (E,) chromosome names.
        enhancer_start: (E,) int64 bp; an enhancer is ENHANCER_BP long.
        enhancer_letters: (E, ENHANCER_BP) uint8 codes A, C, G, T = 0..3.
        promoter_letters: (G, PROMOTER_BP) uint8; the window centred on the TSS.
        enhancer_content, promoter_content: motif content, (E, factors) and (G, factors).
        pair_enhancer, pair_gene: (P,) indices of all pairs 2 kb to 1 Mb apart.
        pair_distance: (P,) float64 bp between enhancer midpoint and TSS.
    """

    gene_chrom: np.ndarray
    gene_strand: np.ndarray
    tss: np.ndarray
    enhancer_chrom: np.ndarray
    enhancer_start: np.ndarray
    enhancer_letters: np.ndarray
    promoter_letters: np.ndarray
    enhancer_content: np.ndarray
    promoter_content: np.ndarray
    pair_enhancer: np.ndarray
    pair_gene: np.ndarray
    pair_distance: np.ndarray


def build_genome(seed: int, n_genes: int) -> Genome:
    """Build the genome of a seed with about `n_genes` genes and twice as many enhancers."""
    chroms: list[np.ndarray] = []
    tss: list[np.ndarray] = []
    enhancer_chroms: list[np.ndarray] = []
    midpoints: list[np.ndarray] = []
    pairs: list[np.ndarray] = []
    distances: list[np.ndarray] = []
    first_gene = first_enhancer = 0
    for name, share in _gene_shares().items():
        rng = stream(seed, "loci", name)
        genes = max(3, round(share * n_genes))
        positions = 3_000_000 + np.cumsum(rng.exponential(_GENE_SPACING_BP, genes).astype(np.int64) + 10_000)
        enhancers = _place_enhancers(rng, positions, genes * _ELEMENTS_PER_GENE)
        gap = np.abs(enhancers[:, None] - positions[None, :])
        near = np.argwhere((gap >= MIN_DISTANCE_BP) & (gap <= MAX_DISTANCE_BP))
        pairs.append(near + np.array([first_enhancer, first_gene]))
        distances.append(gap[near[:, 0], near[:, 1]])
        chroms.append(np.full(genes, f"chr{name}", dtype=object))
        tss.append(positions)
        enhancer_chroms.append(np.full(len(enhancers), f"chr{name}", dtype=object))
        midpoints.append(enhancers)
        first_gene += genes
        first_enhancer += len(enhancers)
    pair = np.concatenate(pairs)
    dna = stream(seed, "dna", "enhancer")
    enhancer_letters = motifs.plant(dna, first_enhancer, ENHANCER_BP, motifs.rates("enhancer"), gc=0.44)
    dna = stream(seed, "dna", "promoter")
    promoter_letters = motifs.plant(dna, first_gene, PROMOTER_BP, motifs.rates("promoter"), gc=0.58)
    return Genome(
        gene_chrom=np.concatenate(chroms),
        gene_strand=np.where(stream(seed, "strand").random(first_gene) < 0.5, "+", "-").astype(object),
        tss=np.concatenate(tss),
        enhancer_chrom=np.concatenate(enhancer_chroms),
        enhancer_start=np.concatenate(midpoints) - ENHANCER_BP // 2,
        enhancer_letters=enhancer_letters,
        promoter_letters=promoter_letters,
        enhancer_content=motifs.scan(enhancer_letters),
        promoter_content=motifs.scan(promoter_letters),
        pair_enhancer=pair[:, 0],
        pair_gene=pair[:, 1],
        pair_distance=np.concatenate(distances).astype(np.float64),
    )


def _gene_shares() -> dict[str, float]:
    return {
        name: share * bp / sum(fold.values())
        for share, fold in zip(_FOLD_SHARE, _FOLDS, strict=True)
        for name, bp in fold.items()
    }


def _place_enhancers(rng: np.random.Generator, tss: np.ndarray, n: int) -> np.ndarray:
    """(n,) ascending midpoints: at log-uniform distances (3 kb to 900 kb) from random genes, 1 kb apart."""
    anchor = tss[rng.integers(0, len(tss), n)]
    distance = 10 ** rng.uniform(np.log10(3e3), np.log10(9e5), n)
    side = rng.choice([-1, 1], n)
    position = np.sort(np.maximum(anchor + side * distance, 10_000).astype(np.int64))
    steps = 1_000 * np.arange(n)
    return np.maximum.accumulate(position - steps) + steps

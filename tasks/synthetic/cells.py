"""What makes a cell line: TF concentrations, openness of its chromatin, feature scales, candidate list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .genome import Genome
from .motifs import FACTORS
from .streams import spread_normal, stream


@dataclass(frozen=True)
class CellLine:
    """One cell line.

    Attributes:
        name: name on the card; also names the cell's random streams.
        concentration: (len(FACTORS),) [TF] in units of the consensus site's dissociation constant.
        openness: standardised openness of the chromatin, about -2 to 2.
    """

    name: str
    concentration: np.ndarray
    openness: float


@dataclass(frozen=True)
class Candidates:
    """Candidate list of a cell: n rows.

    Attributes:
        enhancer, gene: (n,) indices into the genome.
        distance: (n,) float64 bp.
    """

    enhancer: np.ndarray
    gene: np.ndarray
    distance: np.ndarray


def make_cells(seed: int, names: tuple[str, ...]) -> list[CellLine]:
    """Draw the cell lines; the first ones do not depend on how many there are."""
    openness = spread_normal(seed, "openness", len(names))
    return [
        CellLine(
            name=name,
            concentration=np.exp(0.9 * stream(seed, "concentration", name).standard_normal(len(FACTORS))),
            openness=float(openness[index]),
        )
        for index, name in enumerate(names)
    ]


def occupancy(cell: CellLine, content: np.ndarray) -> np.ndarray:
    """Occupied share of an element's sites: x / (1 + x), x = [TF]/K_d x content x accessibility.

    Thermodynamic occupancy of independent sites (Bintu et al., Curr. Opin. Genet. Dev. 2005);
    for low concentrations it is [TF]/K_d times the content. Open chromatin raises every effective
    concentration alike.

    Args:
        cell: the cell line.
        content: (n, factors) motif content.

    Returns:
        (n, factors) in [0, 1).
    """
    drive = content * cell.concentration * np.exp(0.4 * cell.openness)
    return drive / (1.0 + drive)


def candidate_list(seed: int, cell: CellLine, genome: Genome, accessibility: np.ndarray, pairs: int) -> Candidates:
    """Choose the cell's candidate pairs.

    An enhancer is listed more often where its sequence is accessible in the cell, a gene is expressed or
    not, and nearer pairs are listed more often. The choice looks at sequence, cell and distance only, never
    at the Gaussian latent terms or labels: the list tells nothing beyond what the row tells.

    Args:
        seed: seed of the task.
        cell: the cell line.
        genome: the genome.
        accessibility: (E,) standardised mean activity of each enhancer in the cell, given its sequence.
        pairs: rows wanted.

    Returns:
        The candidates, ordered by genome position.
    """
    rng = stream(seed, "candidates", cell.name)
    share = np.clip(0.65 + 0.15 * accessibility, 0.2, 0.95)
    listed = rng.random(len(share)) < share
    expressed = rng.random(len(genome.tss)) < 0.75
    weight = 1.0 / (1.0 + genome.pair_distance / 150_000.0)
    # Pairs of unlisted loci come last, so that the list always has the wanted length.
    weight = weight * np.where(listed[genome.pair_enhancer] & expressed[genome.pair_gene], 1.0, 1e-9)
    # Weighted sampling without replacement by exponential races (Efraimidis and Spirakis 2006).
    race = rng.exponential(size=len(weight)) / weight
    chosen = np.sort(np.argpartition(race, pairs - 1)[:pairs])
    return Candidates(genome.pair_enhancer[chosen], genome.pair_gene[chosen], genome.pair_distance[chosen])

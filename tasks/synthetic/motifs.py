"""Transcription factors, their motifs in DNA, and the scan that reads motif content back from the letters.

Activity is a function of the scanned content, not of what was planted: it is then exactly known given the
sequence, chance occurrences and mutated sites included.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BASES = b"ACGT"
SLOT_BP = 20
_MISMATCH_SHARE = 0.3
#: Strength of a site with 0 or 1 mismatches, relative to the consensus; more mismatches bind nothing.
_STRENGTH = (1.0, 0.5)


class Factor(NamedTuple):
    """One transcription factor.

    Attributes:
        name: usual name of the factor.
        motif: consensus of its binding site.
        enhancer_rate, promoter_rate: mean number of planted sites per element.
        effect: change of (activity, architecture, repression) per occupied site.
    """

    name: str
    motif: str
    enhancer_rate: float
    promoter_rate: float
    effect: tuple[float, float, float]


FACTORS: tuple[Factor, ...] = (
    Factor("GATA1", "CAGATAAGGA", 0.6, 0.1, (1.0, 0.0, 0.0)),
    Factor("SPI1", "AAAGAGGAAGTG", 0.6, 0.1, (1.0, 0.0, 0.0)),
    Factor("RUNX1", "TCTGTGGTTA", 0.5, 0.1, (0.8, 0.0, 0.0)),
    Factor("HNF4A", "GGGCAAAGTCCA", 0.5, 0.1, (1.0, 0.0, 0.0)),
    Factor("CEBPA", "GATTGCGCAATA", 0.5, 0.1, (0.8, 0.0, 0.0)),
    Factor("FOSL2", "GATGAGTCATC", 0.7, 0.2, (0.9, 0.0, -0.2)),
    Factor("TEAD4", "CACATTCCATG", 0.5, 0.1, (0.7, 0.0, 0.0)),
    Factor("SP1", "GGGGCGGGGC", 0.1, 0.8, (0.6, 0.0, -0.3)),
    Factor("NFYA", "AGCCAATCAGC", 0.1, 0.7, (0.9, 0.0, 0.0)),
    Factor("ELK4", "AACCGGAAGTG", 0.2, 0.7, (1.0, 0.0, 0.0)),
    Factor("YY1", "CAAGATGGCGGC", 0.1, 0.5, (0.6, 0.5, 0.0)),
    Factor("CTCF", "CCACCAGGGGGCGC", 0.5, 0.4, (0.0, 1.0, 0.0)),
    Factor("REST", "TTCAGCACCATGG", 0.4, 0.4, (-0.5, 0.0, 1.0)),
    Factor("KDM2B", "TCGCGAGATCGT", 0.3, 0.4, (0.0, 0.0, 0.9)),
)


def plant(rng: np.random.Generator, n: int, length: int, rates: np.ndarray, gc: float) -> np.ndarray:
    """Random DNA with planted binding sites, one third of them with one mismatch, on both strands.

    Args:
        rng: random stream.
        n: number of sequences.
        length: bases.
        rates: (len(FACTORS),) mean number of sites per sequence.
        gc: share of G and C in the background.

    Returns:
        (n, length) uint8 codes A, C, G, T = 0..3.
    """
    edges = np.cumsum([(1 - gc) / 2, gc / 2, gc / 2])
    letters = np.searchsorted(edges, rng.random((n, length))).astype(np.uint8)
    n_slots = length // SLOT_BP
    slots = rng.permuted(np.tile(np.arange(n_slots), (n, 1)), axis=1)
    counts = rng.poisson(rates, size=(n, len(FACTORS)))
    site = np.repeat(np.arange(counts.size), counts.ravel())
    sequence, factor = np.divmod(site, len(FACTORS))
    nth = np.arange(len(site)) - np.searchsorted(sequence, sequence)
    fits = nth < n_slots
    sequence, factor = sequence[fits], factor[fits]
    slot = slots[sequence, nth[fits]]
    for code, entry in enumerate(FACTORS):
        rows = np.flatnonzero(factor == code)
        consensus = encode(entry.motif)
        width = len(consensus)
        reverse = rng.random(len(rows)) < 0.5
        word = np.where(reverse[:, None], _reverse_complement(consensus), consensus)
        mutated = np.flatnonzero(rng.random(len(rows)) < _MISMATCH_SHARE)
        at = rng.integers(0, width, len(mutated))
        word[mutated, at] = (word[mutated, at] + rng.integers(1, 4, len(mutated))) % 4
        start = slot[rows] * SLOT_BP + rng.integers(0, SLOT_BP - width + 1, len(rows))
        letters[sequence[rows][:, None], start[:, None] + np.arange(width)] = word
    return letters


def scan(letters: np.ndarray) -> np.ndarray:
    """Motif content of sequences: summed strength of all sites with at most one mismatch, both strands.

    Args:
        letters: (n, L) uint8 codes.

    Returns:
        (n, len(FACTORS)) float64.
    """
    columns = np.ascontiguousarray(letters.T)  # (L, n): shifting a window is then a slice
    content = np.zeros((letters.shape[0], len(FACTORS)))
    for code, entry in enumerate(FACTORS):
        forward = encode(entry.motif)
        windows = columns.shape[0] - len(forward) + 1
        fewest = np.minimum(
            _mismatches(columns, forward, windows), _mismatches(columns, _reverse_complement(forward), windows)
        )
        for mismatches, strength in enumerate(_STRENGTH):
            content[:, code] += strength * (fewest == mismatches).sum(axis=0)
    return content


def rates(side: str) -> np.ndarray:
    """(len(FACTORS),) mean number of planted sites on a side, "enhancer" or "promoter"."""
    return np.array([getattr(entry, f"{side}_rate") for entry in FACTORS])


def effects() -> np.ndarray:
    """(len(FACTORS), 3) effect of an occupied site on activity, architecture and repression."""
    return np.array([entry.effect for entry in FACTORS])


def encode(text: str) -> np.ndarray:
    """Codes A, C, G, T = 0..3 of a DNA word."""
    return np.array([BASES.index(base) for base in text.encode()], dtype=np.uint8)


def decode(letters: np.ndarray) -> list[str]:
    """Text of (n, L) codes."""
    text = np.frombuffer(BASES, dtype=np.uint8)[letters]
    return [row.tobytes().decode() for row in text]


def _reverse_complement(word: np.ndarray) -> np.ndarray:
    return (3 - word)[::-1]


def _mismatches(columns: np.ndarray, word: np.ndarray, windows: int) -> np.ndarray:
    total = np.zeros((windows, columns.shape[1]), dtype=np.uint8)
    for offset, base in enumerate(word):
        total += columns[offset : offset + windows] != base
    return total

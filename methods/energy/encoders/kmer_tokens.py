"""DNA as overlapping k-mers."""

from __future__ import annotations

import torch
from torch import Tensor

#: Codes 0..3 are A, C, G, T; anything above is unknown.
_BASES = 4


def n_kmers(k: int) -> int:
    """Number of k-mer ids, with the null id."""
    return int(_BASES**k) + 1


def kmer_ids(codes: Tensor, k: int) -> Tensor:
    """Ids of overlapping k-mers, stride 1.

    Args:
        codes: (n, L) uint8 codes A, C, G, T, N = 0..4. k: at least 1.

    Returns:
        (n, max(0, L - k + 1)) int32: 1 + the k-mer read as a number of base 4 (first base highest), or 0, the
        null id, for a k-mer that holds an N.
    """
    length = max(0, codes.shape[1] - k + 1)
    ids = torch.zeros(codes.shape[0], length, dtype=torch.int32, device=codes.device)
    unknown = torch.zeros(codes.shape[0], length, dtype=torch.bool, device=codes.device)
    bad = codes >= _BASES
    for shift in range(k):
        ids = ids * _BASES + codes[:, shift : shift + length]
        unknown |= bad[:, shift : shift + length]
    return (ids + 1).masked_fill_(unknown, 0)


def kmer_counts(codes: Tensor, k: int) -> Tensor:
    """Counts of the 4^k k-mers of each sequence; k-mers with an N count for nothing.

    Reverse complements are counted apart: a promoter has a direction, and a merged count hides it.

    Args:
        codes: (n, L) uint8. k: at least 1.

    Returns:
        (n, 4^k) float32.
    """
    n, size = codes.shape[0], n_kmers(k)
    rows = torch.arange(n, device=codes.device).unsqueeze(1) * size
    counts = torch.bincount((rows + kmer_ids(codes, k)).flatten(), minlength=n * size)
    return counts.view(n, size)[:, 1:].float()

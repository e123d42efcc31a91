"""How one support is drawn: the episode's own random stream orders the pool's rows.

A draw permutes the pool's rows, keeps the first row of each enhancer-gene pair, and takes the first k
(balanced: the first k/2 of each label). The stream is keyed without k, so supports are nested over k,
and without regime, so labelled and unlabelled episodes share their rows.

The permutation is: row i of the pool (ascending row number) gets the i-th 64-bit word of the Philox4x64
stream, and rows are sorted by word. Raw words of a bit generator are the one thing that numpy promises
to keep equal between versions; `Generator.permutation` is not.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from .errors import EpishotError


class Balance(StrEnum):
    """How a support is drawn."""

    NATURAL = "natural"  #: as the pairs come
    BALANCED = "balanced"  #: k/2 positives + k/2 negatives (labelled regime only)


class StreamIdentity(NamedTuple):
    """What the random stream of a draw is keyed by, and nothing else."""

    task: str
    version: str
    protocol: str
    cell: str
    fold: int
    balance: str
    draw: int


def parse_balance(balance: str) -> Balance:
    """The balance of that name.

    Raises:
        EpishotError: there is none.
    """
    try:
        return Balance(balance)
    except ValueError:
        known = ", ".join(b.value for b in Balance)
        raise EpishotError(f"There is no balance {balance!r}; choose one of {known}.") from None


def stream_words(identity: StreamIdentity, n: int) -> np.ndarray:
    """The first n 64-bit words of a draw's Philox stream; (n,) uint64."""
    text = json.dumps(list(identity), ensure_ascii=True, separators=(",", ":"))
    key = np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<u8")
    return np.random.Philox(key=key.astype(np.uint64)).random_raw(n)


def draw_support(words: np.ndarray, pair: np.ndarray, label: np.ndarray, balance: Balance, k: int) -> np.ndarray:
    """Positions in the pool of one support, in the order drawn.

    Balanced supports alternate positive, negative, positive, ..., so that here too the support of a
    smaller k is a prefix of the larger one.

    Args:
        words: (m,) uint64 words of the stream, one per pool row.
        pair: (m,) enhancer-gene pair of each pool row; negative where unknown (then never a repeat).
        label: (m,) 1 / 0.
        balance: natural or balanced.
        k: pairs to draw; even if balanced.

    Returns:
        (k,) int64 positions.

    Raises:
        ValueError: the pool cannot give k; the feasibility rule was not asked first.
    """
    share = 1.0
    if balance is Balance.BALANCED and label.size:
        positive = float(np.mean(label == 1))
        share = max(2 * min(positive, 1 - positive), 1e-9)
    # Only the front of the permutation is needed. Sort the rows with the smallest words, and more of them
    # if that was not enough: the outcome is that of sorting all.
    front = int(min(words.size, (4 * k + 64) / share))
    while True:
        kept = _first_of_each_pair(_front(words, front), pair)
        taken = kept[:k] if balance is Balance.NATURAL else _alternate(kept, label, k // 2)
        if taken.size == k:
            return taken
        if front >= words.size:
            raise ValueError(f"a pool of {words.size} rows cannot give a {balance.value} support of {k}")
        front *= 4


def _front(words: np.ndarray, size: int) -> np.ndarray:
    """Positions of (about) the `size` smallest words in ascending order of word."""
    if size >= words.size:
        return np.argsort(words, kind="stable")
    below = np.flatnonzero(words < np.uint64(size / words.size * 2.0**64))
    return below[np.argsort(words[below], kind="stable")]


def _first_of_each_pair(order: np.ndarray, pair: np.ndarray) -> np.ndarray:
    codes = pair[order]
    first = np.unique(codes, return_index=True)[1]
    keep = codes < 0
    keep[first] = True
    return order[keep]


def _alternate(kept: np.ndarray, label: np.ndarray, half: int) -> np.ndarray:
    """The first `half` positives and negatives, alternating; fewer positions if there are not enough."""
    positives, negatives = kept[label[kept] == 1][:half], kept[label[kept] == 0][:half]
    both = min(positives.size, negatives.size)
    return np.stack([positives[:both], negatives[:both]], axis=1).reshape(-1)

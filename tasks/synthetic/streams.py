"""Named random streams: what a stream yields depends on its name alone, never on what was drawn before.

So a task with 24 cells starts with the very cells of the task with 6, and the variants share one genome.
"""

from __future__ import annotations

import hashlib
from statistics import NormalDist

import numpy as np

#: Increment of each evenly spread cell parameter: different irrationals keep the parameters unrelated.
_STEPS = {
    "offset": 0.6180339887498949,  # golden ratio
    "slope": 0.4142135623730951,  # square root of 2
    "openness": 0.7548776662466927,  # plastic number
    "angle": 0.7320508075688772,  # square root of 3
}


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return a Philox generator keyed by sha256 of the seed and the names."""
    key = hashlib.sha256("\x1f".join(("epishot-synthetic", str(seed), *names)).encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def spread_uniform(seed: int, parameter: str, n: int) -> np.ndarray:
    """(n,) evenly spread numbers in [0, 1): a randomly shifted Kronecker sequence.

    Few cells must still cover the range of a cell parameter; independent draws would often not. The
    first numbers do not depend on n.

    Args:
        seed: seed of the task.
        parameter: "offset", "slope", "openness" or "angle".
        n: how many.
    """
    shift = stream(seed, "spread", parameter).random()
    return (shift + _STEPS[parameter] * np.arange(n)) % 1.0


def spread_normal(seed: int, parameter: str, n: int) -> np.ndarray:
    """(n,) evenly spread standard normal numbers, cut at +-2.05 (quantiles 0.02 and 0.98)."""
    uniform = np.clip(spread_uniform(seed, parameter, n), 0.02, 0.98)
    return np.array([NormalDist().inv_cdf(u) for u in uniform])

"""The shortcut block: features that tell the cell, and with it the prevalence, but nothing within a cell.

Every cell has a code, evenly spread over [-1, 1], and its logit offset grows linearly with the code. In all
cells but the first, the block of every row equals code(cell) x direction + little noise: a model pooled over
cells can lower its loss by reading prevalence off the block. In the first cell, named `shifted`, each row
draws a code of its own from the whole range, independently of everything else: held out, the block varies
within it over the range of the training cells' codes and has nothing to do with the label, so a model that
took the shortcut ranks by noise. When another cell is held out, its block is constant up to the noise, and
harmless: the shortcut's damage is read on `shifted`, the other cells are the comparison.

Given the cell, the block is independent of the label everywhere, so the ceiling is the same function as
without it.
"""

from __future__ import annotations

import numpy as np

from ..card import Feature
from .streams import spread_uniform, stream

SHIFTED = "shifted"
FEATURES: tuple[Feature, ...] = tuple(
    Feature(name=f"nuisance_{number}", unit="arbitrary, no meaning for the label within a cell", side="pair")
    for number in range(1, 5)
)

_OFFSET_PER_CODE = 3.0
_OFFSET_OF_CODE_0 = 1.5
_DIRECTION = np.array([1.0, -0.8, 0.6, 1.2])
_NOISE_SD = 0.1


def codes(seed: int, cells: int) -> np.ndarray:
    """(C,) codes in [-1, 1]; the first, of the shifted cell, is unused."""
    return 2.0 * spread_uniform(seed, "offset", cells) - 1.0


def offsets(seed: int, cells: int) -> np.ndarray:
    """(C,) logit offsets, increasing with the code; 0 in the shifted cell.

    With the default slope and prevalence, the cells' prevalences range from about 0.04 to 0.4.
    """
    offset = _OFFSET_OF_CODE_0 + _OFFSET_PER_CODE * codes(seed, cells)
    offset[0] = 0.0
    return offset


def block(seed: int, name: str, code: float, n: int) -> np.ndarray:
    """(n, 4) float32 nuisance features of a cell's rows.

    Args:
        seed: seed of the task.
        name: name of the cell.
        code: its code; the shifted cell draws one per row instead.
        n: rows.
    """
    rng = stream(seed, "shortcut", name)
    row_code = rng.uniform(-1.0, 1.0, n) if name == SHIFTED else np.full(n, code)
    noise = rng.standard_normal((n, len(FEATURES)))
    return (row_code[:, None] * _DIRECTION + _NOISE_SD * noise).astype(np.float32)

"""The same enhancer-gene pair in two cells."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .base import TrainingLabels


def swap_pairs(data: TrainingLabels, rows: np.ndarray) -> np.ndarray:
    """(s, 2) row numbers of every enhancer-gene pair that occurs in two training cells, whatever the labels.

    A pair that a cell lists several times (several transcripts) counts once there, by its first row.
    """
    if data.identity is None:
        return np.empty((0, 2), dtype=np.int64)
    table = pd.DataFrame({"row": rows, "cell": data.cell[rows], "identity": data.identity[rows]})
    table = table.drop_duplicates(["identity", "cell"])
    both = table.merge(table, on="identity", suffixes=("", "_other"))
    both = both[both["cell"] < both["cell_other"]]
    return both[["row", "row_other"]].to_numpy(dtype=np.int64)

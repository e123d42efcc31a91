"""Dropout with cheap random bits: torch's CPU dropout took a quarter of a whole fit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

_LEVELS = 256


class ByteDropout(nn.Module):
    """Zero entries with probability p (to the nearest 1/256) in training mode and rescale the others.

    Its numpy stream is seeded from torch's at construction, so it is reproducible under a torch seed.

    Args:
        p: in [0, 1). group: that many neighbouring columns share one fate (the codes of one feature).
    """

    def __init__(self, p: float, group: int = 1) -> None:
        super().__init__()
        self.dropped = min(_LEVELS - 1, round(p * _LEVELS))
        self.group = group
        self._rng = np.random.Generator(np.random.SFC64(int(torch.randint(2**62, (1,)))))

    def forward(self, values: Tensor) -> Tensor:
        """(n, F) -> (n, F); the identity in evaluation mode."""
        if not self.training or not self.dropped:
            return values
        n, columns = values.shape
        size = n * (columns // self.group)
        draws = np.frombuffer(self._rng.bytes(size), dtype=np.uint8)
        kept = (draws >= self.dropped).astype(np.float32) * (_LEVELS / (_LEVELS - self.dropped))
        mask = torch.from_numpy(kept).view(n, -1).to(values.device)
        return values * (mask if self.group == 1 else mask.repeat_interleave(self.group, dim=1))

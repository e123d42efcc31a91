"""Precomputed sequence embeddings (of any genomic language model) in the place of an encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ....tasks.errors import MethodError
from ...features import Standardiser
from ..parts import Encoder, Hidden, PairInputs
from .cache_file import SIDES, read_cache, sequence_keys
from .distance import DistanceColumn

#: Rows from which scales are taken.
_SCALE_ROWS = 4096


class CachedEncoder(Encoder):
    """Standardised cached vectors of both sequences, then one linear map.

    The vectors stay in their file: they are no part of the weights.

    Args:
        inputs: training rows. cache: file that `write_cache` wrote. width: size of the linear map.
        distance: append log10 distance.

    Raises:
        MethodError: no such file, or a sequence that it does not hold.
    """

    enhancer: Tensor
    promoter: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: PairInputs, *, cache: str, width: int, distance: bool) -> None:
        super().__init__()
        self.cache = cache
        self._rows: dict[str, dict[bytes, int]] = {}
        for side, (rows, vectors) in read_cache(cache).items():
            self._rows[side] = rows
            self.register_buffer(side, torch.from_numpy(vectors), persistent=False)
        some = torch.arange(0, inputs.n, max(1, -(-inputs.n // _SCALE_ROWS)))
        learnt = Standardiser.of(self.vectors(inputs.take(some)).numpy())
        self.register_buffer("mean", torch.from_numpy(learnt.mean).float())
        self.register_buffer("scale", torch.from_numpy(learnt.scale).float())
        self.linear = nn.Linear(self.mean.shape[0], width)
        self.distance = DistanceColumn(inputs) if distance else None
        self.size = width + int(distance)

    def vectors(self, inputs: PairInputs) -> Tensor:
        """Cached vectors [enhancer, promoter] (n, d_E + d_P), as they stand in the file.

        Raises:
            MethodError: the cache does not hold a sequence; the text says of which side.
        """
        return torch.cat([getattr(self, side)[self._find(side, getattr(inputs, side))] for side in SIDES], dim=1)

    def _find(self, side: str, codes: Tensor) -> Tensor:
        found = [self._rows[side].get(key, -1) for key in sequence_keys(codes.cpu().numpy())]
        if missing := sum(row < 0 for row in found):
            raise MethodError(
                f"The embedding cache {self.cache!r} lacks {missing} of {len(found)} {side} sequences; embed every "
                f"{side} of the task, held-out cells included, and write the file again with `write_cache`."
            )
        return torch.tensor(found, dtype=torch.int64)

    def forward(self, inputs: PairInputs) -> Hidden:
        """n pairs with sequences -> (n, size)."""
        hidden: Tensor = self.linear((self.vectors(inputs) - self.mean) / self.scale)
        return Hidden(hidden if self.distance is None else self.distance(hidden, inputs))

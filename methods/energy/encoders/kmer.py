"""The k-mer encoder: how often each short word occurs in enhancer and promoter, mapped linearly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...features import Standardiser
from ..parts import Encoder, Hidden, PairInputs
from .distance import DistanceColumn
from .kmer_tokens import kmer_counts

#: Rows from which scales are taken: enough for means, small beside 2 * 4^k columns.
_SCALE_ROWS = 4096


class KmerEncoder(Encoder):
    """Standardised k-mer frequencies of both sequences, then one linear map.

    Args:
        inputs: training rows. k: word length. width: size of the linear map. distance: append log10 distance.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: PairInputs, *, k: int, width: int, distance: bool) -> None:
        super().__init__()
        self.k = k
        rows = torch.arange(0, inputs.n, max(1, -(-inputs.n // _SCALE_ROWS)))
        learnt = Standardiser.of(self._frequencies(inputs.take(rows)).numpy())
        self.register_buffer("mean", torch.from_numpy(learnt.mean).float())
        # A word that hardly ever occurs must not shout when it does: the smallest sd is the median one.
        scale = torch.from_numpy(learnt.scale).float()
        usual = torch.where(scale < 1.0, scale, torch.nan).nanmedian().nan_to_num(nan=1.0)
        self.register_buffer("scale", scale.clamp_min(float(usual)))
        self.linear = nn.Linear(self.mean.shape[0], width)
        self.distance = DistanceColumn(inputs) if distance else None
        self.size = width + int(distance)

    def _frequencies(self, inputs: PairInputs) -> Tensor:
        sides = []
        for codes in (inputs.enhancer, inputs.promoter):
            assert codes is not None
            counts = kmer_counts(codes, self.k)
            sides.append(counts / counts.sum(1, keepdim=True).clamp_min(1.0))
        return torch.cat(sides, dim=1)

    def forward(self, inputs: PairInputs) -> Hidden:
        """n pairs with sequences -> (n, size)."""
        frequencies = self._frequencies(inputs).to(self.mean.dtype)
        hidden: Tensor = self.linear((frequencies - self.mean) / self.scale)
        return Hidden(hidden if self.distance is None else self.distance(hidden, inputs))

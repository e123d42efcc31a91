"""The training rows as the networks of this package read them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..methods.base import TrainTable
from ..methods.device import placed
from .inputs import RankedInputs

#: Standard deviation of the noise on inputs of unit variance: ranks in an unseen cell differ that much.
INPUT_NOISE = 0.3


class TrainingRows:
    """Network inputs and labels of all training rows.

    Args:
        train: the training rows. rng: source of every draw of the fit; it seeds `noise` first of all.

    Attributes:
        scale: what maps pairs of any cell to inputs. inputs: (n, D) float32. label: (n,) float32 0/1.
        noise: stream of starting weights and of the noise on inputs.
    """

    def __init__(self, train: TrainTable, rng: np.random.Generator) -> None:
        torch.set_num_threads(1)
        self.noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self.scale = RankedInputs.fit(train)
        self.inputs = self.scale.of_train(train)
        self.label = placed(train.label.astype(np.float32))

    def __len__(self) -> int:
        return len(self.label)

    @property
    def width(self) -> int:
        """D."""
        return self.inputs.shape[1]

    @property
    def prior_logit(self) -> float:
        """Log odds of the prevalence; one pseudo-count per class keeps it finite where there is one class only."""
        positives = float(self.label.sum())
        return math.log((positives + 1) / (len(self) - positives + 1))

    @property
    def prevalence(self) -> float:
        """Share of positives, with the same pseudo-counts."""
        return (float(self.label.sum()) + 1) / (len(self) + 2)

    def noisy(self, rows: np.ndarray) -> Tensor:
        """(*rows.shape, D) inputs with noise."""
        clean = self.inputs[placed(rows)]
        return clean + INPUT_NOISE * torch.randn(clean.shape, generator=self.noise).to(clean.device)

    def labels(self, rows: np.ndarray) -> Tensor:
        """Labels of `rows`, in its shape."""
        return self.label[placed(rows)]

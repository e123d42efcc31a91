"""What stands between hidden vector and latent, and the small networks beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ....tasks.errors import MethodError
from ...device import normal_like
from ...features import Standardiser


class Latent(NamedTuple):
    """Latent (..., d); mean and log variance (..., d) of the distribution it was drawn from, None if none."""

    latent: Tensor
    mean: Tensor | None = None
    log_variance: Tensor | None = None


class Wrapper(nn.Module, ABC):
    """From hidden vector to latent."""

    @abstractmethod
    def forward(self, hidden: Tensor) -> Latent:
        """(..., h) -> latents (..., d)."""


class LatentMap(Wrapper):
    """z = W h + b.

    Args:
        size: h. latent: d.
    """

    def __init__(self, size: int, latent: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, latent)

    def forward(self, hidden: Tensor) -> Latent:
        """(..., h) -> (..., d), without a distribution."""
        return Latent(self.linear(hidden))


class Bottleneck(Wrapper):
    """z ~ N(mu(h), sigma(h)^2) in training, z = mu in evaluation (Alemi et al. 2017, deep VIB).

    sigma = sigma_min + (1 - sigma_min) sigmoid(.): never so small that the map becomes deterministic and
    the bound on I(z; x) empty, never above that of the prior N(0, I).

    Args:
        size: h. latent: d. sigma_min: smallest sd, in (0, 1).

    Raises:
        MethodError: sigma_min is outside (0, 1).
    """

    def __init__(self, size: int, latent: int, sigma_min: float) -> None:
        super().__init__()
        if not 0.0 < sigma_min < 1.0:
            raise MethodError(f"`encoder.sigma_min` must lie in (0, 1), the sd of the prior being 1; got {sigma_min}.")
        self.sigma_min = sigma_min
        self.mean = nn.Linear(size, latent)
        self.spread = nn.Linear(size, latent)

    def forward(self, hidden: Tensor) -> Latent:
        """(..., h) -> latents (..., d) with their mean and log variance; noise comes from torch's generator."""
        mean = self.mean(hidden)
        sigma = self.sigma_min + (1.0 - self.sigma_min) * torch.sigmoid(self.spread(hidden))
        latent = mean + sigma * normal_like(mean) if self.training else mean
        return Latent(latent, mean, 2.0 * torch.log(sigma))


class Branch(nn.Module):
    """A light perceptron h -> e: the environment branch of a dual-branch encoder.

    Args:
        size: h. dim: d_e. width: of its hidden layer.
    """

    def __init__(self, size: int, dim: int, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(size, width), nn.SiLU(), nn.Linear(width, dim))

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., h) -> (..., d_e)."""
        e: Tensor = self.layers(hidden)
        return e


class ChromatinHead(nn.Module):
    """Predicts K standardised chromatin features of a pair from its latent.

    Args:
        latent: d. features: K, at least 1. width: of its hidden layer.

    Raises:
        MethodError: K = 0.
    """

    def __init__(self, latent: int, features: int, width: int = 32) -> None:
        super().__init__()
        if features < 1:
            raise MethodError("The chromatin head has nothing to predict: this task has no chromatin features.")
        self.layers = nn.Sequential(nn.Linear(latent, width), nn.SiLU(), nn.Linear(width, features))

    def forward(self, latent: Tensor) -> Tensor:
        """(..., d) -> (..., K)."""
        predicted: Tensor = self.layers(latent)
        return predicted


class ChromatinScale:
    """Zero mean and unit variance per chromatin feature, learnt on training rows; unknown values stay NaN.

    Args:
        targets: (n, K) float of the training rows, NaN = unknown.
    """

    def __init__(self, targets: np.ndarray) -> None:
        learnt = Standardiser.of(targets)
        self._mean, self._scale = learnt.mean, learnt.scale

    def __call__(self, targets: np.ndarray) -> np.ndarray:
        """(m, K) -> (m, K) float32."""
        scaled: np.ndarray = ((targets - self._mean) / self._scale).astype(np.float32)
        return scaled

"""The temperature of a logit."""

from __future__ import annotations

from enum import StrEnum

from pydantic import model_validator

from .section import Positive, Section


class TemperatureKind(StrEnum):
    """How T behaves."""

    FIXED = "fixed"
    GLOBAL = "global"
    GAMMA = "gamma"  #: global with the Gamma(2, 1) prior (needs the loss gamma_prior)
    PER_CELL = "per_cell"
    ENTROPY = "entropy"  #: global with the entropy regulariser (needs the loss entropy)


class TemperatureConfig(Section):
    """Temperature T, kept in [low, high]."""

    kind: TemperatureKind = TemperatureKind.GLOBAL
    low: Positive = 0.5
    high: Positive = 2.0
    start: Positive = 1.0

    @model_validator(mode="after")
    def _consistent(self) -> TemperatureConfig:
        if not self.low <= self.start <= self.high:
            raise ValueError("a temperature needs low <= start <= high")
        return self

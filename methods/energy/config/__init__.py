"""The configuration of an energy model: frozen, validated sections, JSON in and out.

An impossible configuration is refused here, in one sentence, before anything is built.
"""

from __future__ import annotations

from .coupling import CouplingConfig, CouplingKind
from .encoder import EncoderConfig, EncoderKind, HeadKind
from .energy import EnergyConfig
from .environment import EnvironmentConfig, EstimatorKind, Unseen
from .losses import DEFAULT_LOSSES, LossConfig
from .phases import PHASES, Phase
from .sampler import SamplerConfig, SamplerKind
from .section import Count, Dropped, Inner, Positive, Section, Share, Weight
from .stages import DEFAULT_STAGES, OptimiserConfig, StageConfig, StoppingConfig
from .temperature import TemperatureConfig, TemperatureKind

__all__ = [
    "DEFAULT_LOSSES",
    "DEFAULT_STAGES",
    "PHASES",
    "Count",
    "CouplingConfig",
    "CouplingKind",
    "Dropped",
    "EncoderConfig",
    "EncoderKind",
    "EnergyConfig",
    "EnvironmentConfig",
    "EstimatorKind",
    "HeadKind",
    "Inner",
    "LossConfig",
    "OptimiserConfig",
    "Phase",
    "Positive",
    "SamplerConfig",
    "SamplerKind",
    "Section",
    "Share",
    "StageConfig",
    "StoppingConfig",
    "TemperatureConfig",
    "TemperatureKind",
    "Unseen",
    "Weight",
]

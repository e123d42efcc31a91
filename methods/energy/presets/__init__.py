"""The named energy methods: each is a configuration of the same parts.

A preset states what it changes of the default configuration (`EnergyConfig`); a preset's losses and stages
replace the default's. `EnergyMethod`, the base by which presets are told from anything else here, is named beside them.
"""

from __future__ import annotations

from ..method import EnergyMethod
from .controls import EnergyCednetMixed, EnergyIdTable, EnergyLegacy, EnergyPseudoDecoupled
from .interacting import (
    EnergyBilinear,
    EnergyBypass,
    EnergyFilm,
    EnergyGateVector,
    EnergyPairResistance,
    EnergyProjection,
)
from .scalar import (
    EnergyAdditive,
    EnergyCmdn,
    EnergyGate,
    EnergyGateLiteral,
    EnergyHill,
    EnergyInteraction,
    EnergyInteractionConditional,
    EnergyPlatt,
    EnergySaturating,
)
from .sequence import EnergyCrossAttention, EnergyKmer, EnergyMultitask, EnergyPrism
from .taught import (
    EnergyCellFeatures,
    EnergyContrastive,
    EnergyContrastiveLiteral,
    EnergyPrototypes,
    EnergyStaged,
    EnergyTeacherStudent,
)

__all__ = [
    "EnergyAdditive",
    "EnergyBilinear",
    "EnergyBypass",
    "EnergyCednetMixed",
    "EnergyCellFeatures",
    "EnergyCmdn",
    "EnergyContrastive",
    "EnergyContrastiveLiteral",
    "EnergyCrossAttention",
    "EnergyFilm",
    "EnergyGate",
    "EnergyGateLiteral",
    "EnergyGateVector",
    "EnergyHill",
    "EnergyIdTable",
    "EnergyInteraction",
    "EnergyInteractionConditional",
    "EnergyKmer",
    "EnergyLegacy",
    "EnergyMethod",
    "EnergyMultitask",
    "EnergyPairResistance",
    "EnergyPlatt",
    "EnergyPrism",
    "EnergyProjection",
    "EnergyPrototypes",
    "EnergyPseudoDecoupled",
    "EnergySaturating",
    "EnergyStaged",
    "EnergyTeacherStudent",
]

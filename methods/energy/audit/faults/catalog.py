"""All planted faults, the healthy presets that must pass, and the negative controls that must fail, and how."""

from __future__ import annotations

from ...method import EnergyMethod
from ...presets import (
    EnergyAdditive,
    EnergyBilinear,
    EnergyCednetMixed,
    EnergyCmdn,
    EnergyIdTable,
    EnergyLegacy,
    EnergyPlatt,
    EnergyPseudoDecoupled,
    EnergyTeacherStudent,
)
from . import batches, cell_side, inference, losses, pair_side
from .fault import Fault

FAULTS: tuple[Fault, ...] = (
    *pair_side.FAULTS,
    *cell_side.FAULTS,
    *losses.FAULTS,
    *batches.FAULTS,
    *inference.FAULTS,
)
HEALTHY: tuple[type[EnergyMethod], ...] = (
    EnergyAdditive,
    EnergyCmdn,
    EnergyTeacherStudent,
    EnergyBilinear,
    EnergyPlatt,
)
NEGATIVE: tuple[tuple[type[EnergyMethod], tuple[str, ...]], ...] = (
    (EnergyLegacy, ("J18-absent-at-inference", "J22-id-environment")),
    (EnergyIdTable, ("J22-id-environment",)),
    (EnergyPseudoDecoupled, ("J18-absent-at-inference", "J22-id-environment")),
    (EnergyCednetMixed, ("routing", "J13-mixed-context")),
)

"""The phases of training, and the losses that mean something in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from ..names import LossName


class Phase(StrEnum):
    """What a stage trains."""

    POTENTIAL = "potential"
    JOINT = "joint"
    ENVIRONMENT = "environment"


_CELL_SIDE = frozenset(
    {
        LossName.DISTILL,
        LossName.SPARSE,
        LossName.CONSISTENCY,
        LossName.GAMMA_PRIOR,
        LossName.ENTROPY,
        LossName.PROTOTYPE,
        LossName.GRAPH,
        LossName.CONTRAST_ENVIRONMENT,
        LossName.MMD_SEPARATE,
    }
)
#: They weigh losses at natural prevalence, which balanced classes contradict.
_COMPETITION = frozenset({LossName.PULL, LossName.PUSH, LossName.OPPORTUNIST})
_NATURAL = frozenset({LossName.LIKELIHOOD, LossName.PRIOR_MATCH})
_BOTH_SIDES = frozenset({LossName.ORTHOGONAL, LossName.CORRELATION, LossName.DECORRELATION, LossName.MINE})
_TASKS = frozenset({LossName.TASK, LossName.CROSS_ENTROPY})
#: The losses that mean something in each phase: pair side alone, all, cell side at natural prevalence. The
#: likelihood stands in for a task loss in the first two phases where there is none (`losses_of`).
PHASES: Mapping[Phase, frozenset[LossName]] = {
    Phase.POTENTIAL: frozenset(LossName) - _CELL_SIDE - _BOTH_SIDES - _COMPETITION - {LossName.PRIOR_MATCH},
    Phase.JOINT: frozenset(LossName) - {LossName.PRIOR_MATCH} - _COMPETITION,
    Phase.ENVIRONMENT: _CELL_SIDE | _NATURAL | _COMPETITION,
}


def losses_of(phase: Phase, live: Sequence[LossName]) -> tuple[LossName, ...]:
    """The `live` losses that mean something in a phase, in their order."""
    wanted = PHASES[phase]
    if phase is not Phase.ENVIRONMENT and _TASKS & set(live):
        wanted = wanted - {LossName.LIKELIHOOD}
    return tuple(name for name in live if name in wanted)

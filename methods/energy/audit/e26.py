"""The routing table that declarations are held to: which groups of parameters each loss may reach.

Written down a second time, independently of the losses, so that a loss whose declaration is wrong is found. Groups
that the table of the design records does not know (coupling, chromatin head) and losses beyond it follow the same
rules: a prediction trains all that makes it, a loss of one side stays on that side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..names import Group, LossName


class Allowed(NamedTuple):
    """Groups that a loss may reach in full, and those that it may reach by a scaled-down gradient only."""

    full: frozenset[Group]
    small: frozenset[Group] = frozenset()


_ENCODER = frozenset({Group.ENCODER})
_TEACHER, _STUDENT = frozenset({Group.TEACHER}), frozenset({Group.STUDENT})
_OPPORTUNIST, _PROTOTYPES = frozenset({Group.OPPORTUNIST}), frozenset({Group.PROTOTYPES})
_TEMPERATURE, _COUPLING = frozenset({Group.TEMPERATURE}), frozenset({Group.COUPLING})
_DISCRIMINATOR = frozenset({Group.DISCRIMINATOR})
_PREDICTION = _ENCODER | _TEMPERATURE | _TEACHER | _STUDENT | _PROTOTYPES | _COUPLING
_CELL_SIDE = _TEACHER | _STUDENT | _PROTOTYPES

E26: Mapping[LossName, Allowed] = {
    **dict.fromkeys(
        (LossName.TASK, LossName.RANK, LossName.LIKELIHOOD, LossName.CROSS_ENTROPY, LossName.SPECULATION),
        Allowed(_PREDICTION),
    ),
    LossName.CALIBRATION: Allowed(_ENCODER),
    LossName.ENCODER_PENALTY: Allowed(_ENCODER),
    LossName.DISTILL: Allowed(_STUDENT, _PROTOTYPES),
    LossName.PULL: Allowed(_STUDENT),
    LossName.CONSISTENCY: Allowed(_STUDENT),
    LossName.PUSH: Allowed(_OPPORTUNIST),
    LossName.OPPORTUNIST: Allowed(_OPPORTUNIST),
    LossName.SPARSE: Allowed(_CELL_SIDE),
    **dict.fromkeys((LossName.ORTHOGONAL, LossName.CORRELATION, LossName.HSIC), Allowed(_CELL_SIDE, _ENCODER)),
    LossName.MINE: Allowed(_CELL_SIDE | _DISCRIMINATOR, _ENCODER),
    LossName.DOMAIN: Allowed(_DISCRIMINATOR, _ENCODER),
    LossName.BOTTLENECK: Allowed(_ENCODER),
    LossName.SWAP: Allowed(_ENCODER),
    LossName.DECORRELATION: Allowed(_TEACHER | _STUDENT | _COUPLING, _ENCODER),
    LossName.CONTRAST_ENVIRONMENT: Allowed(_STUDENT | _PROTOTYPES),
    LossName.PROTOTYPE: Allowed(_STUDENT | _PROTOTYPES),
    LossName.MMD_SEPARATE: Allowed(_STUDENT | _PROTOTYPES),
    LossName.GRAPH: Allowed(_PROTOTYPES),
    LossName.CONTRAST_LATENT: Allowed(_ENCODER),
    LossName.HIERARCHICAL: Allowed(_ENCODER),
    LossName.SUPERVISED_CONTRAST: Allowed(_ENCODER),
    LossName.MMD_ALIGN: Allowed(frozenset(), _ENCODER),
    **dict.fromkeys((LossName.ENTROPY, LossName.GAMMA_PRIOR), Allowed(_TEMPERATURE | _TEACHER | _STUDENT)),
    LossName.PRIOR_MATCH: Allowed(_TEMPERATURE | _CELL_SIDE),
    LossName.CHROMATIN: Allowed(_ENCODER | frozenset({Group.CHROMATIN})),
}

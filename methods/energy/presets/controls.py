"""Negative controls: what goes wrong when U sees the cell, when the environment is an id, when supports are mixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..method import EnergyMethod
from .pieces import NATURAL, NO_SUPPORT, scaled_stages

#: What the old single-vector models were trained by.
_LEGACY: Mapping[str, object] = {
    "task": {"weight": 1.0},
    "sparse": {"weight": 0.01},
    "orthogonal": {"weight": 0.1},
    "domain": {"weight": 0.1},
}
#: One learning rate for all parts, and little decay: as the old models were trained.
_ONE_RATE: Mapping[str, object] = {"environment_rate": 2e-3, "weight_decay": 1e-3}
_ONE_STAGE: tuple[Mapping[str, object], ...] = ({"name": "joint", "steps": 350, "phase": "joint"},)


class EnergyPseudoDecoupled(EnergyMethod):
    """Negative control: an id table beside a U that sees raw features, in mixed batches.

    U absorbs what tells the cells apart and the table is left with nothing; an unseen cell has no resistance.
    """

    name = "energy-pseudo-decoupled"
    summary = "negative control: (U - R) / T, raw features, id table (unseen: none), mixed batches"
    regimes = NO_SUPPORT
    transductive = False
    preset: ClassVar[Mapping[str, object]] = {
        "encoder": {"scale": "raw", "feature_dropout": 0.0, "dropout": 0.15, "noise": 0.0},
        "optimiser": _ONE_RATE,
        "environment": {"student": "id_table", "teacher": "none", "unseen": "none"},
        "losses": {"task": {"weight": 1.0}, "orthogonal": {"weight": 0.1}, "domain": {"weight": 0.1}},
        "sampler": {"kind": "random"},
        "stages": _ONE_STAGE,
    }


class EnergyLegacy(EnergyMethod):
    """Negative control: the old model as it was run, environment by id in training and absent at inference."""

    name = "energy-legacy"
    summary = "negative control: (U - R) / T, id table in training, no environment at inference"
    regimes = NO_SUPPORT
    preset: ClassVar[Mapping[str, object]] = {
        "optimiser": _ONE_RATE,
        "environment": {"student": "id_table", "teacher": "none", "unseen": "none"},
        "losses": _LEGACY,
        "sampler": {"kind": "random"},
        "stages": _ONE_STAGE,
    }


class EnergyIdTable(EnergyMethod):
    """Negative control: R from a table of training cells; an unseen cell gets the mean of the table."""

    name = "energy-id-table"
    summary = "negative control: (U - R) / T with R by cell id; unseen cells take the mean of the table"
    regimes = NO_SUPPORT
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "id_table", "teacher": "none", "unseen": "mean"},
        "losses": {"cross_entropy": {"weight": 1.0}},
        "sampler": {"kind": "random"},
        "stages": _ONE_STAGE,
    }


class EnergyCednetMixed(EnergyMethod):
    """Negative control: teacher, student and an opportunist that trains the backbone, on mixed supports.

    The support is an average over cells, and the losses of the competition reach the encoder, against the
    declarations by which gradients are routed.
    """

    name = "energy-cednet-mixed"
    summary = "negative control: live teacher and student on mixed supports, opportunist through the backbone"
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "isab", "teacher": "teacher", "opportunist": True},
        "losses": {
            **_LEGACY,
            "distill": {"weight": 1.0, "options": {"form": "kl"}, "leak": True},
            "pull": {"weight": 0.5, "leak": True},
            "push": {"weight": 0.1, "leak": True},
            "opportunist": {"weight": 1.0, "leak": True},
            **NATURAL,
        },
        "sampler": {"kind": "block_meta", "mixed_support": True},
        "stages": scaled_stages(0.6),
    }

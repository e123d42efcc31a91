"""Scalar couplings: the logit is a function of U whose parameters depend on the cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..method import EnergyMethod
from .pieces import BLOCKS, CLOSED_FORM, NATURAL_RANKING, TAUGHT


class EnergyAdditive(EnergyMethod):
    """logit = (U - R) / T: the environment shifts every pair of a cell alike.

    The ranking inside a cell is that of U; the support moves offset and calibration only.
    """

    name = "energy-additive"
    summary = "(U - R) / T: Fourier-KAN potential, student resistance R >= 0 taught by an id-teacher"
    preset: ClassVar[Mapping[str, object]] = {"losses": {**NATURAL_RANKING, **TAUGHT}, "sampler": BLOCKS}


class EnergyInteraction(EnergyMethod):
    """logit = (U - R + lambda U R) / T with a dual-branch encoder and a set mean of environment features.

    lambda is free in sign; 1 + lambda R < 0 would invert a cell's ranking.
    """

    name = "energy-interaction"
    summary = "(U - R + lambda U R) / T: dual branch, InfoNCE on e, correlation and domain losses"
    preset: ClassVar[Mapping[str, object]] = {
        "coupling": {"kind": "interaction"},
        "environment": {"student": "mean", "branch": True, "posterior": True, "fusion": 1.0},
        "losses": {
            **NATURAL_RANKING,
            "correlation": {"weight": 0.1},
            "domain": {"weight": 0.1},
            "contrast_environment": {"weight": 0.05},
            "sparse": {"weight": 0.01},
        },
        "sampler": BLOCKS,
    }


class EnergyInteractionConditional(EnergyMethod):
    """logit = (U + a(c) U + b(c)) / T: the fallback of the interaction, linear in the environment."""

    name = "energy-interaction-conditional"
    summary = "(U + a(c) U + b(c)) / T: slope and offset linear in the environment embedding"
    preset: ClassVar[Mapping[str, object]] = {
        "coupling": {"kind": "conditional"},
        "environment": CLOSED_FORM,
        "losses": NATURAL_RANKING,
        "sampler": BLOCKS,
    }


_GATED_LOSSES: Mapping[str, object] = {**NATURAL_RANKING, "hsic": {"weight": 0.1}}


class EnergyGate(EnergyMethod):
    """logit = (softplus(U) sigma(w R(c)) - b) / T: a gate that blocks, since what it scales is positive."""

    name = "energy-gate"
    summary = "(softplus(U) sigma(w R) - b) / T: blocking gate, moments of the support, HSIC(z, c)"
    preset: ClassVar[Mapping[str, object]] = {
        "coupling": {"kind": "gate", "form": "blocking"},
        "environment": CLOSED_FORM,
        "temperature": {"kind": "fixed"},
        "losses": _GATED_LOSSES,
        "sampler": BLOCKS,
    }


class EnergyGateLiteral(EnergyMethod):
    """logit = U sigma(w R(c) + b) / T: the gate on the logit, which is a temperature of the cell's own."""

    name = "energy-gate-literal"
    summary = "U sigma(w R + b) / T: the gate on the logit itself, equal to a temperature per cell"
    preset: ClassVar[Mapping[str, object]] = {**EnergyGate.preset, "coupling": {"kind": "gate", "form": "literal"}}


class EnergySaturating(EnergyMethod):
    """logit = U / (1 + R(c)) / T: suppression that saturates, also a temperature of the cell's own."""

    name = "energy-saturating"
    summary = "U / (1 + R) / T: saturating suppression, moments of the support, HSIC(z, c)"
    preset: ClassVar[Mapping[str, object]] = {**EnergyGate.preset, "coupling": {"kind": "saturating"}}


class EnergyHill(EnergyMethod):
    """logit = s (h - h0) / T, h = U+^n / (U+^n + K(c)^n): occupancy with a half point per cell."""

    name = "energy-hill"
    summary = "s (h - h0) / T with Hill occupancy h of softplus(U) and half point K(c)"
    preset: ClassVar[Mapping[str, object]] = {**EnergyGate.preset, "coupling": {"kind": "hill"}}


class EnergyCmdn(EnergyMethod):
    """logit = M(c) U + B(c): multiplicative modulation read from the support, behind an information bottleneck.

    T is fixed, since only M / T and B / T enter.
    """

    name = "energy-cmdn"
    summary = "M(c) U + B(c): multiplicative modulation, information bottleneck, swap and decorrelation losses"
    preset: ClassVar[Mapping[str, object]] = {
        "encoder": {"bottleneck": True},
        "coupling": {"kind": "affine"},
        "environment": CLOSED_FORM,
        "temperature": {"kind": "fixed"},
        "losses": {
            **NATURAL_RANKING,
            "bottleneck": {"weight": 0.003, "ramp": [0.0, 0.5]},
            "swap": {"weight": 0.05},
            "decorrelation": {"weight": 0.05},
            "prior_match": {"weight": 0.1},
        },
        "sampler": BLOCKS,
    }


class EnergyPlatt(EnergyMethod):
    """a(c) U + b(c) by maximum a posteriori over the labelled support (Platt 1999): what students must beat."""

    name = "energy-platt"
    summary = "a U + b in closed form from the labelled support: the reference of the scalar family"
    preset: ClassVar[Mapping[str, object]] = {
        "coupling": {"kind": "affine"},
        "environment": {"student": "none", "posterior": True, "fusion": 1.0},
        "temperature": {"kind": "fixed"},
        "losses": NATURAL_RANKING,
        "sampler": BLOCKS,
    }

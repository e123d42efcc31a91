"""x-dependent couplings: pair and cell interact, so that a support can change the ranking inside a cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..method import EnergyMethod
from .pieces import BLOCKS, CLOSED_FORM, NATURAL_RANKING, TAUGHT, scaled_stages

#: The interaction of pair and cell stays as joint training left it: trained on, it learns the few cells and loci of the
#: last stage by heart.
_FROZEN_INTERACTION = scaled_stages(frozen=("encoder", "coupling"))
#: What the x-dependent couplings without a closed form have in common.
_INTERACTING: Mapping[str, object] = {
    "environment": {"student": "mean"},
    "losses": {**NATURAL_RANKING, **TAUGHT},
    "sampler": BLOCKS,
    "stages": _FROZEN_INTERACTION,
}


class EnergyBilinear(EnergyMethod):
    """logit = (U + phi(z)' W e - R) / T: a low-rank interaction of pair and cell.

    The smallest coupling by which a support can change the ranking inside a cell.
    """

    name = "energy-bilinear"
    summary = "(U + z' W e - R) / T: energy-additive plus a low-rank interaction of pair and environment"
    preset: ClassVar[Mapping[str, object]] = {
        "coupling": {"kind": "bilinear"},
        "environment": CLOSED_FORM,
        "losses": NATURAL_RANKING,
        "sampler": BLOCKS,
        "stages": _FROZEN_INTERACTION,
    }


class EnergyFilm(EnergyMethod):
    """logit = (head(gamma(c) z + beta(c)) - R) / T: feature-wise modulation (Perez et al. 2018), bottlenecked."""

    name = "energy-film"
    summary = "(head(gamma z + beta) - R) / T: feature-wise modulation by a set-attention embedding"
    preset: ClassVar[Mapping[str, object]] = {
        "encoder": {"bottleneck": True},
        "coupling": {"kind": "film"},
        "environment": {"student": "isab"},
        "losses": {**NATURAL_RANKING, "bottleneck": {"weight": 0.003, "ramp": [0.0, 0.5]}, **TAUGHT},
        "sampler": BLOCKS,
        "stages": scaled_stages(0.8, frozen=("encoder", "coupling")),
    }


class EnergyGateVector(EnergyMethod):
    """logit = (head(d g(c) z) - R) / T with g in the simplex by sparsemax (Martins & Astudillo 2016)."""

    name = "energy-gate-vector"
    summary = "(head(g z) - R) / T: sparsemax gate over the latent features"
    preset: ClassVar[Mapping[str, object]] = {
        **_INTERACTING,
        "coupling": {"kind": "gate_vector"},
        "environment": {"student": "moments"},
    }


class EnergyPairResistance(EnergyMethod):
    """logit = (U - R(z, c)) / T: a resistance of the pair, through which R may carry sequence (audit it)."""

    name = "energy-pair-resistance"
    summary = "(U - R(z, c)) / T: a resistance that depends on pair and cell"
    preset: ClassVar[Mapping[str, object]] = {**_INTERACTING, "coupling": {"kind": "pair_resistance"}}


class EnergyProjection(EnergyMethod):
    """logit = (head(z orthogonal to z_E(c)) - R) / T: the hard orthogonal projection."""

    name = "energy-projection"
    summary = "(head(z projected off z_E) - R) / T: hard orthogonality of pair and environment"
    preset: ClassVar[Mapping[str, object]] = {**_INTERACTING, "coupling": {"kind": "projection"}}


class EnergyBypass(EnergyMethod):
    """U plus a modulation of the split [G, F, I] of z: common, specific and interaction parts."""

    name = "energy-bypass"
    summary = "U + FiLM of the split of z into common, specific and interaction parts"
    preset: ClassVar[Mapping[str, object]] = {**_INTERACTING, "coupling": {"kind": "bypass"}}

"""How potential and environment form a logit."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from .section import Count, Section


class CouplingKind(StrEnum):
    """How potential and environment form a logit."""

    ADDITIVE = "additive"  #: (U - R) / T
    INTERACTION = "interaction"  #: (U - R + lambda U R) / T
    CONDITIONAL = "conditional"  #: (U + a(c) U + b(c)) / T, the fallback of the interaction
    GATE = "gate"  #: (softplus(U) sigma(w R) - b) / T, or the literal U sigma(w R + b) / T
    SATURATING = "saturating"  #: U / (1 + R) / T
    HILL = "hill"  #: s (h - h0) / T, h = U+^n / (U+^n + K^n)
    AFFINE = "affine"  #: (M U + B) / T
    FILM = "film"  #: head(gamma z + beta)
    GATE_VECTOR = "gate_vector"  #: head(d g z), g = sparsemax
    PAIR_RESISTANCE = "pair_resistance"  #: (U - R(z, c)) / T
    BILINEAR = "bilinear"  #: (U + phi(z)' W e - R) / T
    PROJECTION = "projection"  #: head(z orthogonal to z_E), (U - R) / T
    BYPASS = "bypass"  #: U + FiLM of the split [G, F, I] of z


class CouplingConfig(Section):
    """The coupling.

    `signed`: R may be negative. `sign` constrains lambda of the interaction ("free", "positive", "negative").
    `form` of the gate: "blocking", "literal", "tanh", "hard". `rank` of x-dependent couplings.
    """

    kind: CouplingKind = CouplingKind.ADDITIVE
    signed: bool = False
    sign: Literal["free", "positive", "negative"] = "free"
    form: Literal["blocking", "literal", "tanh", "hard"] = "blocking"
    rank: Count = 4

"""Everything that determines a simulation, validated on construction."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

from ..errors import EpishotError

#: Changes whenever the same settings would yield other rows.
GENERATOR_VERSION = "1"

DEFAULT_PAIRS = 2000

#: Standard deviations at which the evenly spread normal numbers of the cells are cut (quantiles 0.02 and 0.98).
SPREAD = 2.06


class Coupling(StrEnum):
    """How intrinsic potential U and cell form the logit of the label."""

    ADDITIVE = "additive"  #: (U - R(c)) / T
    MULTIPLICATIVE = "multiplicative"  #: (M(c) U + B(c)) / T(c)
    INTERACTION = "interaction"  #: (U - R(c) + lambda U R(c)) / T: one R moves slope and offset
    GATE = "gate"  #: (s softplus(U) sigma(R(c)) - t) / T
    LITERAL_GATE = "literal-gate"  #: (U - u0) sigma(R(c)) / T
    SATURATING = "saturating"  #: (U - u0) / (1 + R(c)) / T
    HILL = "hill"  #: s (h - h0) / T with h = U+^n / (U+^n + K(c)^n), U+ = softplus(U)
    XDEPENDENT = "xdependent"  #: (U + z^T W e(c) - R(c)) / T: rankings differ between cells
    NONE = "none"  #: label independent of everything


class Nuisance(StrEnum):
    """Whether the table has a feature block without meaning for the label given the cell."""

    ABSENT = "absent"
    SHORTCUT = "shortcut"  #: encodes the cell, and prevalence differs strongly by cell


@dataclass(frozen=True)
class Settings:
    """Settings of one simulation.

    Attributes:
        coupling: true coupling.
        nuisance: whether the shortcut block is there.
        seed: seed of all streams.
        cells: number of cell lines, 2 or more (3 with the shortcut).
        pairs: EP pairs per cell, 200 or more.
        prevalence: P(y=1) of a typical cell, in (0, 0.5].
        slope: logit units per standard deviation of U, > 0.
        slope_sd: standard deviation of the slope over cells, where the coupling lets it vary.
        offset_sd: standard deviation of the offset over cells, in logits, where the coupling has one.
        scale_sd: standard deviation over cells of the natural log of a feature's scale.
        bilinear: strength of the bilinear term, in standard deviations of U, where the coupling has one.
        full_spread: gate and Hill only. False: gate or half point differ little between cells, whatever the
            standard deviations say. True: the slope varies by `slope_sd` (gate) or the offset by `offset_sd`
            (Hill), in the sense of statistical linearisation; the other follows, as one parameter moves both.
    """

    coupling: Coupling
    nuisance: Nuisance = Nuisance.ABSENT
    seed: int = 0
    cells: int = 6
    pairs: int = DEFAULT_PAIRS
    prevalence: float = 0.1
    slope: float = 3.0
    slope_sd: float = 0.8
    offset_sd: float = 0.25
    scale_sd: float = 0.35
    bilinear: float = 0.7
    full_spread: bool = False

    def __post_init__(self) -> None:
        fewest = 3 if self.nuisance is Nuisance.SHORTCUT else 2
        if self.cells < fewest:
            raise EpishotError(f"This synthetic task needs at least {fewest} cells, not {self.cells}.")
        if self.pairs < 200:
            raise EpishotError(
                f"A synthetic task needs at least 200 pairs per cell to fill all chromosomes, not {self.pairs}."
            )
        if not 0 < self.prevalence <= 0.5:
            raise EpishotError(f"The prevalence must lie in (0, 0.5], not at {self.prevalence}.")
        if self.slope <= 0 or min(self.slope_sd, self.offset_sd, self.scale_sd, self.bilinear) < 0:
            raise EpishotError(
                "The slope must be positive, and no standard deviation nor the bilinear term may be negative."
            )
        if self.full_spread and self.coupling not in (Coupling.GATE, Coupling.HILL):
            raise EpishotError(f"Full spread is a setting of gate and Hill, not of {self.coupling.value!r}.")
        if self.coupling is Coupling.INTERACTION and self.slope <= SPREAD * self.slope_sd:
            raise EpishotError(
                f"An interaction with slope {self.slope} and slope_sd {self.slope_sd} would invert the ranking of "
                f"some cell; keep the slope above {SPREAD} times its standard deviation."
            )

    def suffix(self) -> str:
        """Name suffix of the settings that differ from the defaults, e.g. "-seed2-cells24"."""
        parts = [
            f"-{field.name.replace('_', '-')}{getattr(self, field.name):g}"
            for field in fields(self)
            if field.name not in {"coupling", "nuisance"} and getattr(self, field.name) != field.default
        ]
        return "".join(parts)

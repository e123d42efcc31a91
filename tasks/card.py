"""The task card: what one must know of an EP dataset before trusting a number computed on it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator


class Feature(BaseModel):
    """One chromatin feature of the EP table.

    Attributes:
        name: column name, unique within the card.
        unit: physical unit or scale, e.g. "RPM", "percentile (0-1)", "0/1".
        side: what the feature describes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    name: str = Field(min_length=1)
    unit: str = Field(min_length=1)
    side: Literal["enhancer", "promoter", "window", "gene", "pair"]


class Source(BaseModel):
    """Where the rows come from, pinned.

    Attributes:
        repository: public address of the source, or "generated".
        revision: commit or generator version; never a branch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    repository: str = Field(min_length=1)
    revision: str = Field(min_length=1)


class TaskCard(BaseModel):
    """Card of a task. Unknown keys are refused, so that a typing error cannot silently drop a fact.

    Attributes:
        name: registry name.
        version: changes whenever rows, features or labels change.
        cells: cell lines in fixed order.
        families: groups of cells that test the same loci and are therefore held out together.
        features: chromatin features in column order (may be empty).
        activity: features whose geometric mean is the enhancer's activity (activity x distance control).
        support_pool_chromosomes: chromosomes of the support pool under protocol `cell`.
        headline_shots: "all", or "zero" where cells are too small for a macro mean with k > 0.
        sequence_length: bases (enhancer, promoter) where the task has sequences.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(min_length=1)
    summary: str = Field(min_length=1)
    source: Source
    genome_build: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    label_meaning: str = Field(min_length=1)
    cells: tuple[str, ...] = Field(min_length=2)
    families: tuple[tuple[str, ...], ...] = ()
    features: tuple[Feature, ...]
    activity: tuple[str, ...] = ()
    support_pool_chromosomes: tuple[str, ...] = Field(min_length=1)
    headline_shots: Literal["all", "zero"] = "all"
    sequence_length: tuple[PositiveInt, PositiveInt] | None = None
    coordinates: Literal["complete", "partial", "none"] = "complete"
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> TaskCard:
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            raise ValueError("feature names repeat")
        if len(set(self.cells)) != len(self.cells):
            raise ValueError("cells repeat")
        if unknown := set(self.activity) - set(names):
            raise ValueError(f"activity names no feature: {sorted(unknown)}")
        members = [cell for family in self.families for cell in family]
        if len(set(members)) != len(members):
            raise ValueError("a cell belongs to two families")
        if unknown := set(members) - set(self.cells):
            raise ValueError(f"families name unknown cells: {sorted(unknown)}")
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Feature names in column order."""
        return tuple(feature.name for feature in self.features)

    def family(self, cell: str) -> tuple[str, ...]:
        """All cells that must be held out together with `cell`, itself included."""
        return next((family for family in self.families if cell in family), (cell,))

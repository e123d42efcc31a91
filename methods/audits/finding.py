"""What an audit says: one named finding with a sentence and the figures it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ...tasks.errors import EpishotError


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"
    FAIL = "fail"
    NOT_EVALUABLE = "not evaluable"


@dataclass(frozen=True)
class Finding:
    """One check of one method.

    Attributes:
        name: short kebab-case name of the check. sentence: one plain sentence.
        evidence: the figures the verdict rests on, thresholds included. where: file, class, loss.
    """

    name: str
    outcome: Outcome
    sentence: str
    evidence: Mapping[str, float | int | str | None] = field(default_factory=dict)
    where: str = ""


class AuditFailure(EpishotError):
    """A check failed under `strict`; the text names the place."""

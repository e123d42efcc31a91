"""What an audit says: one finding per named check, and all findings of one method together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from ...tasks.errors import EpishotError

#: A figure that a finding rests on; None where it is not defined.
Figure = float | int | str | None


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"
    FAIL = "fail"
    NOT_EVALUABLE = "not evaluable"  #: the check says nothing about this method, or lacks data


@dataclass(frozen=True)
class Finding:
    """One check of one method.

    Attributes:
        name: short kebab-case name of the check, e.g. `query-order`, `J5-collapse`.
        sentence: one plain sentence.
        evidence: the figures that the outcome rests on, thresholds included.
        where: file, class, loss.
    """

    name: str
    outcome: Outcome
    sentence: str
    evidence: Mapping[str, Figure] = field(default_factory=dict)
    where: str = ""


class AuditFailure(EpishotError):
    """A check failed where failures stop everything (`--strict`); the text names check and place."""


@dataclass(frozen=True)
class Audit:
    """All findings of one method in one configuration on one task.

    Attributes:
        method: its name. config_hash: sha256 (hex) of its configuration as JSON.
        kind: `harness` (the audits that fit any plugin), or `full` (those of the method's own `audit` as well).
    """

    method: str
    config_hash: str
    task: str
    findings: tuple[Finding, ...]
    kind: str = "harness"

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed, in their order."""
        return tuple(one.name for one in self.findings if one.outcome is Outcome.FAIL)

    @property
    def verdict(self) -> str:
        """`pass`, or the names of the failed checks; `not evaluable` if no check could say anything."""
        if self.failed:
            return ", ".join(self.failed)
        passed = any(one.outcome is Outcome.PASS for one in self.findings)
        return Outcome.PASS.value if passed else Outcome.NOT_EVALUABLE.value

    def to_json(self) -> str:
        """The audit as JSON.

        Raises:
            ValueError: a figure is NaN or infinite; give None.
        """
        value = asdict(self) | {"findings": [asdict(one) | {"evidence": dict(one.evidence)} for one in self.findings]}
        return json.dumps(value, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Audit:
        """The audit that `to_json` wrote.

        Raises:
            EpishotError: the text is something else.
        """
        try:
            value = json.loads(text)
            findings = tuple(Finding(**one | {"outcome": Outcome(one["outcome"])}) for one in value["findings"])
            return cls(**value | {"findings": findings})
        except (ValueError, TypeError, KeyError) as error:
            raise EpishotError(f"This is not the JSON of an audit ({error}); write it again.") from error

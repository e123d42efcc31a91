"""The harness audits: what can be demanded of any plugin, whatever it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..check import Status, run_rules
from ..check_subject import CHECKS, Rule, demand
from . import cell_codes, identity_lookup, label_leaks, support_gain  # noqa: F401 (fill AUDITS)
from .finding import AuditFailure, Finding, Outcome
from .subject import AUDITS, AuditSubject, audit

#: Conformance checks (`epishot check`) that are audits as well, here on real data and a longer fit.
SHARED = (
    "determinism",
    "declared-deterministic",
    "query-order",
    "query-independence",
    "cell-table-order",
    "support-order",
    "batching",
    "stateless",
    "inputs-unchanged",
    "null-task",
)
_OUTCOMES = {Status.PASS: Outcome.PASS, Status.FAIL: Outcome.FAIL, Status.SKIP: Outcome.NOT_EVALUABLE}


@audit("fits")
def fits(subject: AuditSubject) -> None:
    """It can be fitted and scores under every regime that it serves."""
    for setting in subject.settings:
        scores = subject.score(subject.case.supports(setting, 2))
        demand(bool(np.isfinite(scores).all()), f"scores are not finite ({setting})")


def harness_rules() -> Mapping[str, Rule]:
    """All harness audits by name, in the order they run."""
    others = {name: CHECKS[name] for name in SHARED} | {name: AUDITS[name] for name in AUDITS if name != "fits"}
    return {"fits": AUDITS["fits"]} | {name: replace(rule, needs=("fits",)) for name, rule in others.items()}


def run_harness(subject: AuditSubject, where: str = "", names: Sequence[str] | None = None) -> list[Finding]:
    """Run harness audits.

    Args:
        subject: the method under audit. where: file and class, for the findings. names: which; None for all.
    """
    rules = {name: rule for name, rule in harness_rules().items() if names is None or name in names}
    return [
        Finding(
            result.name,
            _OUTCOMES[result.status],
            _sentence(result.finding or rules[result.name].demand),
            result.evidence,
            where,
        )
        for result in run_rules(subject, rules)
    ]


def raise_first_failure(findings: Sequence[Finding]) -> None:
    """Stop at the first finding that failed.

    Raises:
        AuditFailure: there is one; it names check and place.
    """
    for finding in findings:
        if finding.outcome is Outcome.FAIL:
            place = f" ({finding.where})" if finding.where else ""
            raise AuditFailure(f"The audit {finding.name} failed{place}: {finding.sentence}")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"

"""Making findings, and naming places in the code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...audits.finding import Finding, Outcome

Evidence = Mapping[str, float | int | str | None]


def verdict(name: str, problems: Sequence[str], fine: str, evidence: Evidence, where: str = "") -> Finding:
    """Failed with the first problem (and how many more there are), else passed with the sentence `fine`."""
    if not problems:
        return Finding(name, Outcome.PASS, fine, evidence, where)
    more = f" ({len(problems) - 1} more like it)" if len(problems) > 1 else ""
    return Finding(name, Outcome.FAIL, f"{problems[0]}{more}.", evidence, where)


def judged(name: str, failed: bool, bad: str, fine: str, evidence: Evidence, where: str = "") -> Finding:
    """Failed with the sentence `bad`, or passed with `fine`."""
    return Finding(name, Outcome.FAIL if failed else Outcome.PASS, bad if failed else fine, evidence, where)


def not_evaluable(name: str, reason: str, evidence: Evidence | None = None) -> Finding:
    """The check says nothing here, and why."""
    return Finding(name, Outcome.NOT_EVALUABLE, reason, evidence or {})


def place(subject: object, loss: str = "") -> str:
    """File and class of a live object, and the loss if there is one: "methods/energy/losses/transfer.py Distill"."""
    kind = subject if isinstance(subject, type) else type(subject)
    path = kind.__module__.removeprefix("epishot.").replace(".", "/") + ".py"
    return f"{path} {kind.__qualname__}" + (f", loss {loss}" if loss else "")

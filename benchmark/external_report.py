"""The matching report of an external row, in lines."""

from __future__ import annotations

from collections.abc import Iterator

from .records import ExternalFacts


def report_lines(facts: ExternalFacts) -> Iterator[str]:
    """How the rows of a prediction file were matched: counts, examples, and what to know of the row."""
    taken = ", ".join(f"{meaning}={column}" for meaning, column in facts.columns.items())
    yield f"{facts.file}: {facts.rows:,} rows (columns {taken}; sha256 {facts.sha256[:16]})"
    yield f"  joined by {facts.joined_by}; {facts.matched:,} rows are of pairs of the task"
    yield f"  {facts.query - facts.missing:,} of {facts.query:,} query pairs have a prediction"
    yield from _counted("query pairs without a prediction", facts.missing, facts, "no prediction")
    for reason, number in facts.unmatched.items():
        yield from _counted(f"rows unmatched: {reason}", number, facts, reason)
    yield from _counted("rows of pairs that are no query here", facts.outside, facts)
    yield from _counted("rows repeat a pair with the same score", facts.repeats, facts)
    settled = f", settled by {facts.settled_by}" if facts.settled_by else ""
    yield from _counted(f"pairs with different scores{settled}", facts.conflicts, facts, "different scores")
    yield from _counted("rows state another label than the task", facts.other_labels, facts, "other label")
    for note in facts.notes:
        yield f"  note: {note}"


def _counted(what: str, number: int, facts: ExternalFacts, examples: str = "") -> Iterator[str]:
    if number:
        shown = "; ".join(facts.examples.get(examples, ()))
        yield f"  {number:,} {what}" + (f" (e.g. {shown})" if shown else "")

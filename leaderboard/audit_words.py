"""What the audit of a row comes to, in words."""

from __future__ import annotations

from ..benchmark.audit_store import audit_of
from ..benchmark.records import CompactRecord

NOT_AUDITED, NO_METHOD = "not audited", "–"


def audit_words(record: CompactRecord) -> str:
    """`pass`, the names of the failed checks, or `not audited`; nothing for rows that are no methods."""
    if record.method.kind == "reference":
        return NO_METHOD
    return NOT_AUDITED if record.audit is None else audit_of(record.audit).verdict

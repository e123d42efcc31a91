"""Audits in the run store, and the audit that belongs to a row: the one of the very code and configuration it ran.

`<store>/audits/<method>/<key>.json`, the key made of method, code, configuration and task: auditing again replaces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ..methods.audits.finding import Audit, Finding, Outcome
from ..tasks.errors import EpishotError
from .atomic import write_bytes
from .compact import compact_json
from .records import AuditRecord, CompactRecord
from .store import RunStore


def audit_key(record: AuditRecord) -> str:
    """sha256 (hex) of what was audited."""
    parts = (record.method, record.method_version, record.method_code, record.config, record.task, record.task_hash)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def keep_audit(store: RunStore, record: AuditRecord) -> Path:
    """Write an audit into the store, in place of an earlier one of the same method, code, configuration and task."""
    path = store.folder / "audits" / record.method / f"{audit_key(record)}.json"
    write_bytes(path, audit_json(record))
    return path


def audit_json(record: AuditRecord) -> bytes:
    """An audit as it is stored."""
    return (record.model_dump_json(indent=1) + "\n").encode()


def audits_of(store: RunStore, method: str) -> list[AuditRecord]:
    """All readable audits of a method."""
    found = []
    for path in sorted((store.folder / "audits" / method).glob("*.json")):
        try:
            record = AuditRecord.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if record.method == method and audit_key(record) == path.stem:
            found.append(record)
    return found


def matching_audit(record: CompactRecord, store: RunStore) -> AuditRecord | None:
    """The audit of the code and configuration that gave a row.

    An audit on the row's own task comes first; among others the one with the most failures, so that none is hidden.
    """
    facts = record.method
    known = [one for one in audits_of(store, facts.name) if one.method_version == facts.version]
    known = [one for one in known if one.config == facts.config]
    if not known or facts.kind not in ("method", "control") or not record.run_keys:
        return None
    code = _code_of(record, store)
    known = [one for one in known if one.method_code == code]
    own = [one for one in known if one.task_hash == record.task_hash]
    return max(own or known, key=lambda one: (len(audit_of(one).failed), one.kind == "full", one.task), default=None)


def attach_audits(store: RunStore, board: Path) -> list[str]:
    """Give every row of a board of the store's the audit that belongs to it, or none; returns the rows changed.

    Raises:
        EpishotError: the folder cannot be written.
    """
    changed = []
    for path in sorted((board / "records").glob("*/*/*.json")):
        try:
            record = CompactRecord.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue  # whoever shows the board complains
        found = matching_audit(record, store)
        if found == record.audit:
            continue
        try:
            write_bytes(path, compact_json(record.model_copy(update={"audit": found})))
        except OSError as error:
            raise EpishotError(f"The board folder {board} cannot be written to ({error.strerror}).") from error
        changed.append(record.method.name)
    return changed


def audit_of(record: AuditRecord) -> Audit:
    """The audit in a record, with its verdict."""
    findings = tuple(
        Finding(one.name, Outcome(one.outcome), one.sentence, one.evidence, one.where) for one in record.findings
    )
    return Audit(record.method, record.config_hash, record.task, findings, record.kind)


def audit_contradictions(record: CompactRecord) -> Sequence[str]:
    """What in a row's audit cannot be: an audit of something else, or one that contradicts itself."""
    audit, facts = record.audit, record.method
    if audit is None:
        return ()
    found = []
    if facts.kind not in ("method", "control"):
        found.append(f"a {facts.kind} row cannot be audited")
    if (audit.method, audit.method_version, audit.config) != (facts.name, facts.version, facts.config):
        found.append("its audit is of another method, version or configuration")
    if audit.config_hash != hashlib.sha256(audit.config.encode()).hexdigest():
        found.append("the hash of the audited configuration is not that of the configuration")
    if not audit.findings:
        found.append("its audit has no findings")
    return found


def _code_of(record: CompactRecord, store: RunStore) -> str | None:
    """Digest of the source that gave a row's runs; None if they are not here, or not of one source."""
    runs = [store.find(record.task, key) for key in record.run_keys]
    codes = {run.identity.method_code for run in runs if run is not None}
    return codes.pop() if len(codes) == 1 and all(run is not None for run in runs) else None

"""What a reader must know of single rows; external ones are predictions made elsewhere, not to be run again here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..benchmark.records import CompactRecord
from .board import BoardTable
from .format import code_span, escape_markdown


def row_notes(table: BoardTable) -> list[str]:
    """One paragraph per row that carries notes (external: filled-in pairs, conflicts; controls: configuration)."""
    kinds = {"external": "External row"}
    return [
        f"{kinds.get(row.kind, 'Row')} {escape_markdown(row.name)}: {escape_markdown('; '.join(row.notes))}."
        for row in table.rows
        if row.notes
    ]


def prediction_files(records: Sequence[CompactRecord]) -> Iterator[str]:
    """One line per external row: its prediction file, and how that was matched."""
    for record in records:
        facts = record.external
        if facts is None:
            continue
        yield (
            f"- **{escape_markdown(record.task)}, `{record.protocol}`, {escape_markdown(record.method.name)}** "
            f"(external, not re-runnable): {code_span(facts.file)}, sha256 `{facts.sha256[:16]}`, {facts.rows:,} rows "
            f"joined by {escape_markdown(facts.joined_by)}; {facts.query - facts.missing:,} of {facts.query:,} query "
            f"pairs predicted, {sum(facts.unmatched.values()):,} rows of no pair, {facts.repeats:,} repeats, "
            f"{facts.conflicts:,} conflicts."
        )

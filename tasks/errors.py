"""The few exception types of the suite. Their text is one sentence that also names the remedy."""

from __future__ import annotations

from collections.abc import Sequence


class EpishotError(Exception):
    """A problem the user can mend; the CLI prints it without a traceback and exits with code 2."""


class UnknownNameError(EpishotError):
    """A task, method or suite that nobody registered; the text suggests near names."""


class DuplicateNameError(EpishotError):
    """Two registrations claim one name."""


class TableError(EpishotError):
    """An EP table that breaks the schema.

    Attributes:
        where: the file or source.
        problems: one text per finding; long runs of one kind are cut short.
        total: number of findings, those that were cut short included.
    """

    def __init__(self, where: str, problems: Sequence[str], total: int | None = None) -> None:
        self.where = where
        self.problems = list(problems)
        self.total = len(self.problems) if total is None else total
        shown = "\n".join(f"  - {problem}" for problem in self.problems[:20])
        more = f"\n  - and {len(self.problems) - 20} more lines like these" if len(self.problems) > 20 else ""
        super().__init__(f"{where}: {self.total} problem(s) found, nothing was written.\n{shown}{more}")


class SourceError(EpishotError):
    """Source data that is missing, incomplete or not the pinned bytes."""


class OverlapError(EpishotError):
    """Support, query or training rows share a locus that the protocol keeps apart."""


class MethodError(EpishotError):
    """A method that breaks the plugin contract."""

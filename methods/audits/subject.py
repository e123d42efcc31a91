"""A method under audit: fitted briefly, in one configuration, on one cut of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..base import FitContext, Method, PairTable, Supports
from ..check_case import Case
from ..check_subject import Rule, Subject
from .cut import AuditCut


class AuditSubject(Subject):
    """A `Subject` with the labels that only its audits see.

    Args:
        cls: the class. cut: the data. arguments: of the constructor.
        seed_globals: called with the seed before fit and score, as the runner's own process does.
    """

    def __init__(
        self,
        cls: type[Method],
        cut: AuditCut,
        arguments: Mapping[str, object],
        seed_globals: Callable[[int], None] = lambda seed: None,
    ) -> None:
        super().__init__(cls, None, cut.case.context.seed, cut.case, arguments)
        self.cut = cut
        self._seed_globals = seed_globals

    def fit(self, case: Case | None = None, context: FitContext | None = None) -> Method:
        """A new instance, fitted."""
        self._seed_globals((context or self.case.context).seed)
        return super().fit(case, context)

    def score(
        self,
        supports: Supports,
        method: Method | None = None,
        query: PairTable | None = None,
        cell_table: PairTable | None = None,
    ) -> np.ndarray:
        """Scores as a new float64 array; see `Subject.score`."""
        method = method or self.method
        self._seed_globals(self.seed)
        return super().score(supports, method, query, cell_table)


#: The harness audits by name, in the order they run.
AUDITS: dict[str, Rule] = {}


def audit(name: str, *needs: str) -> Callable[[Callable[[AuditSubject], None]], Callable[[AuditSubject], None]]:
    """Register a harness audit under a name; `needs` are audits without which it cannot say anything."""

    def add(function: Callable[[AuditSubject], None]) -> Callable[[AuditSubject], None]:
        AUDITS[name] = Rule(function, needs)  # type: ignore[arg-type]
        return function

    return add

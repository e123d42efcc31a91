"""What the checks work with: the method under check, the list of checks, and how one fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..tasks.task import Task
from .base import FitContext, Method, PairTable, Supports
from .check_case import Case, Setting, served_settings

#: Scores may differ by this share of their spread where only the order of floating-point sums changed.
TOLERANCE = 1e-3


class BrokenRuleError(Exception):
    """A method breaks the clause that is being checked."""


class RuleNotApplicableError(Exception):
    """The clause says nothing about this method."""


class Subject:
    """A method class with the case it is checked on and its first fit, made once.

    Args:
        cls: the class. seed: of supports, shuffled labels and the method.
        task: what the case is cut from. case: a case that was cut already. arguments: of the constructor.
    """

    def __init__(
        self,
        cls: type[Method],
        task: Task | None,
        seed: int,
        case: Case | None = None,
        arguments: Mapping[str, object] | None = None,
    ) -> None:
        self.cls = cls
        self.task = task
        self.seed = seed
        self.arguments = dict(arguments or {})
        #: What the method is given: only the columns that it declared.
        self.case = case or Case.of(self.whole_task, cls.capabilities().reads, seed)
        #: Figures of the check that runs; each check begins with none.
        self.evidence: dict[str, float | int | str | None] = {}
        #: What a check that passes has to say.
        self.remark = ""

    @property
    def whole_task(self) -> Task:
        """The task.

        Raises:
            ValueError: the subject was made of a case alone.
        """
        if self.task is None:
            raise ValueError("this subject has no task, only a case")
        return self.task

    @cached_property
    def method(self) -> Method:
        """The method after one fit."""
        return self.fit()

    @property
    def settings(self) -> list[Setting]:
        """One setting per served regime (and balance)."""
        return served_settings(self.cls.capabilities().regimes)

    @property
    def richest(self) -> Setting:
        """The served setting that says most about the held-out cell."""
        return self.settings[-1] if len(self.settings) < 4 else self.settings[2]

    def fit(self, case: Case | None = None, context: FitContext | None = None) -> Method:
        """A new instance, fitted."""
        case = case or self.case
        method = self.cls(**self.arguments)
        method.fit(case.train, context or case.context)
        return method

    def score(
        self,
        supports: Supports,
        method: Method | None = None,
        query: PairTable | None = None,
        cell_table: PairTable | None = None,
    ) -> np.ndarray:
        """Scores as a new float64 array; the cell table goes to transductive methods only."""
        table = (cell_table or self.case.cell_table) if self.cls.transductive else None
        query = self.case.query if query is None else query
        scores = (method or self.method).score(supports, query, table)
        if not isinstance(scores, np.ndarray) or scores.shape != (supports.n_episodes, query.n):
            found = getattr(scores, "shape", type(scores).__name__)
            raise BrokenRuleError(f"score returned {found} where (E, n) = ({supports.n_episodes}, {query.n}) is due")
        return np.array(scores, dtype=np.float64)

    def close(self, expected: np.ndarray, found: np.ndarray) -> bool:
        """Whether two (E, n) scores agree up to the rounding of sums; keeps the largest gap."""
        gap = relative_gap(expected, found)
        self.evidence["gap"] = max(gap, float(self.evidence.get("gap") or 0.0))
        self.evidence["allowed"] = TOLERANCE
        return gap <= TOLERANCE

    def demand_close(self, expected: np.ndarray, found: np.ndarray, finding: str) -> None:
        """Raise `BrokenRuleError` unless two (E, n) scores agree up to the rounding of sums; keeps the largest gap."""
        demand(
            self.close(expected, found),
            f"{finding}: scores differ by up to {float(np.abs(expected - found).max()):.3g}",
        )


@dataclass(frozen=True)
class Rule:
    """A check: the function, and the checks without which it cannot say anything."""

    function: Callable[[Subject], None]
    needs: tuple[str, ...]

    @property
    def demand(self) -> str:
        """The clause in one line: the first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0]


#: All checks by name, in the order they run.
CHECKS: dict[str, Rule] = {}


def rule(name: str, *needs: str) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Register a check under a name; `needs` are checks without which it cannot say anything."""

    def add(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        CHECKS[name] = Rule(function, needs)
        return function

    return add


def demand(holds: bool, finding: str) -> None:
    """Raise `BrokenRuleError` with the finding unless the clause holds."""
    if not holds:
        raise BrokenRuleError(finding)


def relative_gap(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest difference of two score arrays as a share of the spread of the first."""
    return float(np.abs(expected - found).max()) / max(float(np.ptp(expected)), 1e-6)

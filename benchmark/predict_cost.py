"""How long a plan will take: from what fits of the same methods took before, else from the default budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from .described import Description
from .plan import Missing, PlannedFit
from .records import RunRecord
from .store import RunStore

#: Seconds that a fit and its scoring take on one core by default, before the budget is applied.
DEFAULT_FIT_S = 8.0
#: The same for a control, which learns next to nothing.
DEFAULT_CONTROL_S = 0.5


class CostModel:
    """Seconds of one core per fit, by method.

    Args:
        records: past runs; each fit's cost is its fit time once plus the scoring times of its runs.
    """

    def __init__(self, records: Iterable[RunRecord] = ()) -> None:
        fits: dict[tuple, list[RunRecord]] = defaultdict(list)
        for record in records:
            one = record.identity
            if record.cost is not None:
                fits[
                    one.task, one.protocol, one.method, one.budget, one.cell, one.fold, one.seed, one.task_hash
                ].append(record)
        by_method: dict[tuple[str, str, str, float], list[float]] = defaultdict(list)
        for (task, protocol, method, budget, *_), runs in fits.items():
            costs = [run.cost for run in runs if run.cost is not None]
            seconds = max(cost.fit_s for cost in costs) + sum(cost.score_s for cost in costs)
            by_method[task, protocol, method, budget].append(seconds)
        self._mean = {key: sum(values) / len(values) for key, values in by_method.items()}

    def fit_s(self, fit: PlannedFit, budget: float) -> float:
        """Predicted seconds of one fit and its scoring."""
        return self.method_s(fit.spec.task, fit.spec.protocol, fit.method, budget)

    def method_s(self, task: str, protocol: str, method: Description, budget: float) -> float:
        """Predicted seconds of one fit of a method, and its scoring, on a task under a protocol."""
        default = DEFAULT_CONTROL_S if method.facts.kind == "control" else DEFAULT_FIT_S
        return self._mean.get((task, protocol, method.name, budget), default * budget)

    def total_s(self, missing: Iterable[Missing], budget: float) -> float:
        """Predicted seconds of all fits that must be run."""
        return sum(self.fit_s(one.fit, budget) for one in missing)


def cost_model(store: RunStore, task: str) -> CostModel:
    """The cost model of a task from the runs in a store."""
    return CostModel(store.records(task))

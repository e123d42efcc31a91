"""The within-cell oracle: the reference row of tasks for which nobody knows P(y = 1).

Boosted trees that learn from the held-out cell itself: from its labels on other loci than those of the query, the rows
that supports are drawn from. No method of the benchmark may read these labels, so the row shows how much the features
can tell where the cell is known. It is not a strict upper bound: a method with more cells to learn from can pass it.

It is fitted like a method, one fresh process per split, and shown as a reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .described import Description, describe_methods
from .specs import MethodSpec

if TYPE_CHECKING:
    from ..tasks.splits import Split
    from ..tasks.task import Task
    from .executor import Executor
    from .records import MethodFacts
    from .store import RunStore

NAME = "within-cell"
#: Registered name of the learner: the best plain one on the real tasks.
LEARNER = "pooled-trees-rank"
#: Rows of the rarer class that each of its fits needs: the size of the trees' smallest leaf on few rows.
FEWEST = 20


def within_cell(store: RunStore, executor: Executor) -> Description:
    """The reference, described as a method of its own name.

    Raises:
        UnknownNameError: its learner is not registered.
    """
    (learner,) = describe_methods([MethodSpec(LEARNER)], store, executor)
    return learner.model_copy(update={"facts": within_cell_facts(learner.facts)})


def within_cell_facts(learner: MethodFacts) -> MethodFacts:
    """What the leaderboard shows of the reference, given the facts of its learner."""
    summary = f"{LEARNER} trained on the held-out cell's own labels on other loci"
    return learner.model_copy(update={"name": NAME, "kind": "reference", "marks": "", "summary": summary})


def is_within_cell(facts: MethodFacts) -> bool:
    """Whether a row learns from the held-out cell itself."""
    return facts.kind == "reference" and facts.name == NAME


def own_cell(split: Split) -> Split:
    """The split that trains on the held-out cell's pool, which shares no locus with the query."""
    return replace(split, train_rows=split.pool_rows, dropped_train=split.dropped_pool)


def too_few_labels(task: Task, splits: Iterable[Split]) -> dict[str, str]:
    """Cells that hold too few labels to learn from in some fold, and why; they have no within-cell row."""
    found: dict[str, str] = {}
    for split in splits:
        counts = np.bincount(task.columns.label[split.pool_rows], minlength=2)
        rarer = "positives" if counts[1] <= counts[0] else "negatives"
        if counts.min() < FEWEST:
            found.setdefault(split.cell, f"only {counts.min()} {rarer} to learn from")
    return found

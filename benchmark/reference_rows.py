"""Reference rows (ceiling, oracle): scores that come with the task instead of from a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..methods.base import Balance, Regime
from .records import MethodFacts
from .run_scores import RunScores
from .specs import Condition

if TYPE_CHECKING:
    from ..tasks.episodes import EpisodeSet
    from ..tasks.task import Task

#: Reference rows see no support; they are evaluated once, like zero-shot methods.
REFERENCE_CONDITION = Condition(0, Regime.NONE, Balance.NATURAL)

_SUMMARIES = {
    "ceiling": "Exact P(y = 1) given everything a method may read",
    "oracle": "Exact P(y = 1) given the simulator's latents",
}


def reference_facts(name: str) -> MethodFacts:
    """What the leaderboard shows of a reference row."""
    return MethodFacts(
        name=name,
        summary=_SUMMARIES.get(name, "Reference scores of the task"),
        version="1",
        kind="reference",
        marks="",
        reads=(),
        regimes=(Regime.NONE.value,),
        deterministic=True,
        logits=True,
        config="{}",
    )


def reference_runs(task: Task, episodes: EpisodeSet, name: str) -> list[RunScores]:
    """The reference row as runs, one per split: logits of the task's probabilities.

    Args:
        task: a task whose `references` hold probabilities under `name`.
        episodes: its episode set; k = 0 must be one of its shots.
    """
    scores = logit(task.references[name])
    return [
        RunScores(split.cell, split.fold, 0, REFERENCE_CONDITION, scores[split.query_rows][None])
        for split in episodes.splits
    ]


def logit(probability: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)), finite: 0 and 1 become the nearest probabilities that a float64 can tell from them."""
    p = np.clip(np.asarray(probability, dtype=np.float64), 1e-300, 1.0 - 2.0**-53)
    return np.log(p) - np.log1p(-p)

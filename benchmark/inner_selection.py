"""Choosing among methods or settings without a look at the held-out cell: leave one training cell out.

For a held-out cell c an inner cell v among its training cells is scored by fits on the remaining cells, on one
chromosome fold: rows of c are never read, so what is chosen for c is chosen without its labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..methods.base import Regime, Supports
from ..methods.tables import cell_table, fit_context, pair_table, train_table
from ..tasks.chance import chance_aupr
from ..tasks.draws import Balance
from ..tasks.episodes import EpisodeSet
from ..tasks.errors import EpishotError
from ..tasks.splits import Protocol
from .average_precision import average_precision
from .described import describe, locate
from .jobs import FitJob
from .specs import MethodSpec

if TYPE_CHECKING:
    from ..tasks.task import Task
    from .described import Description
    from .executor import Executor


class InnerFit(NamedTuple):
    """Method number, held-out cell (untouched), inner cell (scored), seed."""

    method: int
    held_out: str
    inner: str
    seed: int


@dataclass(frozen=True)
class InnerScore:
    """Mean over draws of the chance-corrected AUPR of one inner cell.

    Attributes:
        error: why there is no score (then `corrected` is NaN).
    """

    method: str
    held_out: str
    inner: str
    seed: int
    k: int
    corrected: float
    error: str | None = None


def inner_pairs(task: Task, cells: Sequence[str], *, every: bool) -> list[tuple[str, str]]:
    """(held-out, inner) cells: for each held-out cell the next cell outside its family, or every one.

    Args:
        task: its card names the families. cells: those with query rows on the fold. every: all inner cells.

    Raises:
        EpishotError: a held-out cell leaves no inner cell that still has a training cell.
    """
    card = task.card
    found = []
    for place, held_out in enumerate(cells):
        order = [*cells[place + 1 :], *cells[:place]]
        others = [cell for cell in order if cell not in card.family(held_out)]
        trainable = [v for v in others if set(card.cells) - set(card.family(held_out)) - set(card.family(v))]
        if not trainable:
            raise EpishotError(f"Holding out {held_out!r} leaves too few cells of {card.name!r} for an inner one.")
        found += [(held_out, inner) for inner in (trainable if every else trainable[:1])]
    return found


def inner_scores(
    task: Task,
    methods: Sequence[MethodSpec],
    executor: Executor,
    *,
    fold: int = 0,
    shots: Sequence[int] = (0, 16, 64),
    draws: int = 5,
    seeds: Sequence[int] = (0,),
    budget: float = 1.0,
    every: bool = False,
) -> Iterator[InnerScore]:
    """Score every method on inner cells; one `InnerScore` per (method, held-out, inner, seed, k), as they come.

    Args:
        task: under `cell+chrom`. fold: the only fold used, for training cells and inner cell alike.
        shots: natural labelled supports of the inner cell (0: none). every: all inner cells instead of one.

    Raises:
        EpishotError: an impossible fold, or no inner cell.
    """
    episodes = EpisodeSet.build(task, Protocol.CELL_CHROM, shots, draws)
    described = [describe(locate(spec)) for spec in methods]
    cells = [split.cell for split in episodes.splits if split.fold == fold]
    work = [
        InnerFit(number, held_out, inner, seed)
        for number in range(len(methods))
        for held_out, inner in inner_pairs(task, cells, every=every)
        for seed in seeds
    ]
    conditions = {inner: _feasible(episodes, inner, shots) for inner in task.card.cells}

    def job(one: InnerFit) -> FitJob:
        return _job(task, episodes, described[one.method], one, fold, conditions[one.inner], budget)

    for one, outcome in executor.run((one, partial(job, one)) for one in work):
        method = described[one.method]
        label = task.columns.label[_query(episodes, one.inner, fold)]
        chance = chance_aupr(label.size, int(label.sum()))
        for request, (k, _) in enumerate(_requests(method, conditions[one.inner])):
            scored = outcome.scored.get(request)
            if scored is None:
                reason = outcome.error_of(request)
                yield InnerScore(method.name, one.held_out, one.inner, one.seed, k, float("nan"), reason)
                continue
            precision = average_precision(scored.scores, label)
            corrected = float(np.mean((precision - chance) / (1 - chance)))
            yield InnerScore(method.name, one.held_out, one.inner, one.seed, k, corrected)


def _feasible(episodes: EpisodeSet, cell: str, shots: Sequence[int]) -> tuple[int, ...]:
    return tuple(k for k in shots if episodes.infeasible(cell, Balance.NATURAL.value, k) is None)


def _requests(method: Description, shots: Sequence[int]) -> list[tuple[int, Regime]]:
    regimes = ((k, Regime.LABELLED if k else Regime.NONE) for k in shots)
    return [(k, regime) for k, regime in regimes if regime in method.regimes]


def _query(episodes: EpisodeSet, cell: str, fold: int) -> np.ndarray:
    """Query rows in an order of their own: the source's may betray labels."""
    return np.random.default_rng(1).permutation(episodes.split(cell, fold).query_rows)


def _job(
    task: Task,
    episodes: EpisodeSet,
    method: Description,
    one: InnerFit,
    fold: int,
    shots: Sequence[int],
    budget: float,
) -> FitJob:
    inner, outer = episodes.split(one.inner, fold), episodes.split(one.held_out, fold)
    # Outside both cells' families, and apart from the loci of both queries.
    rows = np.intersect1d(inner.train_rows, outer.train_rows)
    reads = method.reads
    requests = []
    for k, regime in _requests(method, shots):
        support = episodes.support_rows(one.inner, fold, Balance.NATURAL.value, k)
        pool, place = np.unique(support, return_inverse=True)
        requests.append(
            Supports(
                regime=regime,
                balance=Balance.NATURAL,
                pool=pair_table(task, pool, reads),
                rows=place.reshape(support.shape).astype(np.int64),
                label=task.columns.label[support] if regime is Regime.LABELLED else None,
            )
        )
    shuffled = np.random.default_rng(0).permutation(task.cell_rows(one.inner))
    return FitJob(
        method=method.address,
        arguments=json.loads(method.arguments),
        code=method.code,
        train=train_table(task, rows, reads),
        context=fit_context(task, seed=one.seed, budget=budget),
        query=pair_table(task, _query(episodes, one.inner, fold), reads),
        cell_table=cell_table(task, shuffled, reads) if method.transductive else None,
        requests=tuple(requests),
    )

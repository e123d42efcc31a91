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

from ..methods.base import Regime
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
from .support_tables import support_table

if TYPE_CHECKING:
    from ..tasks.card import TaskCard
    from ..tasks.task import Task
    from .described import Description
    from .executor import Executor, FitOutcome


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
        trainable = [cell for cell in order if can_be_inner(card, cell, held_out)]
        if not trainable:
            raise EpishotError(f"Holding out {held_out!r} leaves too few cells of {card.name!r} for an inner one.")
        found += [(held_out, inner) for inner in (trainable if every else trainable[:1])]
    return found


def can_be_inner(card: TaskCard, cell: str, held_out: str) -> bool:
    """Whether `cell` is outside the family of `held_out`, and leaves a cell outside both families to train on."""
    family = set(card.family(held_out))
    return cell not in family and bool(set(card.cells) - family - set(card.family(cell)))


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

    def job(one: InnerFit) -> FitJob:
        return inner_job(task, episodes, described[one.method], one, fold, shots, budget)

    for one, outcome in executor.run((one, partial(job, one)) for one in work):
        method = described[one.method]
        for k, score in corrected_by_shots(task, episodes, method, one.inner, fold, shots, outcome).items():
            value, error = (float("nan"), score) if isinstance(score, str) else (score, None)
            yield InnerScore(method.name, one.held_out, one.inner, one.seed, k, value, error)


def served_shots(episodes: EpisodeSet, method: Description, inner: str, shots: Sequence[int]) -> tuple[int, ...]:
    """Of `shots`, those that the inner cell has natural supports of and the method serves, with labels where k > 0."""
    return tuple(
        k
        for k in shots
        if _regime(k) in method.regimes and episodes.infeasible(inner, Balance.NATURAL.value, k) is None
    )


def corrected_by_shots(
    task: Task,
    episodes: EpisodeSet,
    method: Description,
    inner: str,
    fold: int,
    shots: Sequence[int],
    outcome: FitOutcome,
) -> dict[int, float | str]:
    """What came back of an `inner_job` with the same arguments, by k.

    Returns:
        For each served k the chance-corrected AUPR of the inner cell, mean over draws, or why there is none.
    """
    label = task.columns.label[_query(episodes, inner, fold)]
    chance = chance_aupr(label.size, int(label.sum()))
    found: dict[int, float | str] = {}
    for request, k in enumerate(served_shots(episodes, method, inner, shots)):
        if (error := outcome.error_of(request)) is not None:
            found[k] = error
            continue
        precision = average_precision(outcome.scored[request].scores, label)
        found[k] = float(np.mean((precision - chance) / (1 - chance)))
    return found


def _regime(k: int) -> Regime:
    return Regime.LABELLED if k else Regime.NONE


def _query(episodes: EpisodeSet, cell: str, fold: int) -> np.ndarray:
    """Query rows in an order of their own: the source's may betray labels."""
    return np.random.default_rng(1).permutation(episodes.split(cell, fold).query_rows)


def inner_train_rows(task: Task, episodes: EpisodeSet, held_out: str, inner: str, fold: int) -> np.ndarray:
    """Rows outside both cells' families and outside the fold's chromosomes."""
    train = episodes.split(inner, fold).train_rows
    family = [task.cell_code(cell) for cell in task.card.family(held_out)]
    return train[~np.isin(task.columns.cell[train], family)]


def inner_job(
    task: Task,
    episodes: EpisodeSet,
    method: Description,
    one: InnerFit,
    fold: int,
    shots: Sequence[int],
    budget: float,
) -> FitJob:
    """The fit on the `inner_train_rows` of one pair of cells, scored on the inner cell.

    Args:
        task, episodes: under `cell+chrom`. shots: supports of the inner cell, as far as `served_shots`.
        budget: factor on training steps.
    """
    rows = inner_train_rows(task, episodes, one.held_out, one.inner, fold)
    reads = method.reads
    requests = []
    for k in served_shots(episodes, method, one.inner, shots):
        regime = _regime(k)
        support = episodes.support_rows(one.inner, fold, Balance.NATURAL.value, k)
        requests.append(support_table(task, support, regime, Balance.NATURAL, reads))
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

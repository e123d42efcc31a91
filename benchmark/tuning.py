"""Tuning: for each held-out cell one setting of a method's grid, chosen on one of its training cells.

On fold 1 of `cell+chrom`, seed 0, every setting is fitted on rows outside the families of held-out and inner cell and
outside the fold's chromosomes, and scored on the inner cell's rows of the fold. The setting with the highest
chance-corrected AUPR, mean over draws and over the run's shots that the inner cell has supports of, serves all
folds, seeds and shots of the held-out cell, under both protocols. The held-out cell's labels are never read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..methods.base import Regime
from ..tasks.errors import EpishotError
from ..tasks.splits import Protocol
from .described import Description, describe_methods
from .inner_selection import InnerFit, can_be_inner, corrected_by_shots, inner_job, inner_train_rows, served_shots
from .provenance import versions
from .records import EVALUATOR_VERSION, InnerIdentity, InnerRecord
from .specs import MethodSpec, SuitePart
from .store import RunStore, run_key
from .tuned import SCORE_DECIMALS, Choice, Tuned, best_setting

if TYPE_CHECKING:
    from ..tasks.episodes import EpisodeSet
    from ..tasks.task import Task
    from .executor import Executor, FitOutcome
    from .jobs import FitJob

#: Raise it whenever inner cells are taken or settings are scored in another way.
TUNING_RULE = "1"
FOLD = 0
SEED = 0
_NOT_YET = "not chosen yet"


class SettingFit(NamedTuple):
    """One fit of the choice: a setting of a method (described), and what identifies its score."""

    setting: Description
    identity: InnerIdentity

    @property
    def key(self) -> str:
        """Names the score in the store."""
        return run_key(self.identity)


@dataclass(frozen=True)
class _Grid:
    """The grid of one method.

    Attributes:
        fits: by held-out cell, one per setting. whys: by held-out cell, why nothing can be chosen for it.
    """

    method: Description
    fits: dict[str, tuple[SettingFit, ...]]
    whys: dict[str, str]


@dataclass(frozen=True, eq=False)
class Tuning:
    """What is to be chosen for the methods of a part.

    Attributes:
        methods: as described, with the settings that the store lets one choose; in the part's order.
        missing: the fits for held-out cells that were asked for and whose scores are not in the store.
    """

    task: Task
    episodes: EpisodeSet | None
    methods: tuple[Description, ...]
    missing: tuple[SettingFit, ...]
    _grids: tuple[_Grid | None, ...]
    _asked: tuple[str, ...]

    def looked_up(self, store: RunStore, errors: dict[str, str] | None = None) -> Tuning:
        """The same with what the store holds now. `errors`: why fits that were tried failed, by key."""
        methods = list(self.methods)
        missing: list[SettingFit] = []
        for place, grid in enumerate(self._grids):
            if grid is None:
                continue
            cells: dict[str, Choice] = {}
            default = json.loads(grid.method.settings[0])
            for cell, why in grid.whys.items():
                cells[cell] = Choice(setting=default, why=why)
            for cell, fits in grid.fits.items():
                found = [store.inner(fit.identity) for fit in fits]
                lacking = [fit for fit, record in zip(fits, found, strict=True) if record is None]
                if not lacking or (errors is not None and cell in self._asked):
                    cells[cell] = _choice(grid.method, fits, found, errors or {})
                elif cell in self._asked:
                    missing += lacking
                    cells[cell] = Choice(setting=default, why=_NOT_YET)
            known = {cell: cells[cell] for cell in self.task.card.cells if cell in cells}
            tuned = Tuned(settings=tuple(map(json.loads, grid.method.settings)), cells=known)
            methods[place] = grid.method.as_tuned(tuned)
        return replace(self, methods=tuple(methods), missing=tuple(missing))


def plan_tuning(
    part: SuitePart,
    task: Task,
    episodes: EpisodeSet,
    methods: Sequence[Description],
    store: RunStore,
    executor: Executor,
) -> Tuning:
    """Which fits choose the settings of a part's methods, and what is known of them.

    Args:
        episodes: the part's, under its own protocol. methods: the part's methods described, in its order.
        executor: gives the process that describes settings.
    """
    asked = tuple(part.cells or task.card.cells)
    tunable = [
        bool(part.tune and method.settings and not spec.arguments)
        for spec, method in zip(part.methods, methods, strict=True)
    ]
    nothing = Tuning(task, None, tuple(methods), (), (None,) * len(methods), asked)
    if not any(tunable):
        return nothing
    strict, why = _strict_episodes(part, task, episodes)
    inner = {} if strict is None else {cell: _inner_cell(task, strict, cell) for cell in task.card.cells}
    grids = [
        _grid(part, spec, method, task, strict, inner, why, store, executor) if wanted else None
        for spec, method, wanted in zip(part.methods, methods, tunable, strict=True)
    ]
    return replace(nothing, episodes=strict, _grids=tuple(grids)).looked_up(store)


def choose_settings(
    tuning: Tuning, budget: float, store: RunStore, executor: Executor, after_each: Callable[[SettingFit], None]
) -> Tuning:
    """Run the missing fits, keep their scores in the store, and choose.

    Args:
        budget: factor on training steps, that of the part. after_each: called when a fit has ended.
    """
    task, episodes, errors = tuning.task, tuning.episodes, dict[str, str]()
    if episodes is None:
        return tuning

    def job(fit: SettingFit) -> FitJob:
        one = fit.identity
        inner = InnerFit(0, one.held_out, one.inner, one.seed)
        return inner_job(task, episodes, fit.setting, inner, one.fold, one.shots, budget)

    for fit, outcome in executor.run((fit, partial(job, fit)) for fit in tuning.missing):
        one = fit.identity
        scores = corrected_by_shots(task, episodes, fit.setting, one.inner, one.fold, one.shots, outcome)
        failures = [score for score in scores.values() if isinstance(score, str)]
        if failures:
            errors[fit.key] = failures[0].splitlines()[0]
        else:
            store.keep_inner(InnerRecord(identity=one, corrected=_mean(scores), seconds=_seconds(outcome)))
        after_each(fit)
    return tuning.looked_up(store, errors)


def _strict_episodes(part: SuitePart, task: Task, episodes: EpisodeSet) -> tuple[EpisodeSet | None, str]:
    """The part's shots and draws under `cell+chrom`, or why there are none."""
    from ..tasks.episodes import EpisodeSet

    if episodes.protocol is Protocol.CELL_CHROM:
        return episodes, ""
    try:
        return EpisodeSet.build(task, Protocol.CELL_CHROM, part.episode_shots, part.draws), ""
    except EpishotError as error:
        return None, f"no fold to choose on ({error})"


def _grid(
    part: SuitePart,
    spec: MethodSpec,
    method: Description,
    task: Task,
    episodes: EpisodeSet | None,
    inner_cells: Mapping[str, str | None],
    why: str,
    store: RunStore,
    executor: Executor,
) -> _Grid:
    specs = [MethodSpec(spec.reference, setting) for setting in method.settings]
    settings = describe_methods(specs, store, executor)
    fits: dict[str, tuple[SettingFit, ...]] = {}
    whys: dict[str, str] = {}
    for held_out in task.card.cells:
        inner = inner_cells.get(held_out)
        if episodes is None or inner is None:
            whys[held_out] = why or "no training cell could be left out to choose on"
            continue
        shots = (0,) if method.regimes == {Regime.NONE} else tuple(sorted(part.shots))
        shots = served_shots(episodes, method, inner, shots)
        if not shots:
            whys[held_out] = f"{inner} has no support that the method could be chosen by"
            continue
        identity = InnerIdentity(
            rule=TUNING_RULE,
            task=task.card.name,
            task_hash=task.content_hash,
            episode_set=episodes.hash,
            held_out=held_out,
            inner=inner,
            fold=FOLD,
            method=method.name,
            method_version=method.facts.version,
            method_code=method.code,
            config="",
            seed=SEED,
            budget=part.budget,
            shots=shots,
            draws=part.draws,
            evaluator=EVALUATOR_VERSION,
            versions=versions(),
        )
        fits[held_out] = tuple(
            SettingFit(setting, identity.model_copy(update={"config": setting.facts.config})) for setting in settings
        )
    return _Grid(method, fits, whys)


def _inner_cell(task: Task, episodes: EpisodeSet, held_out: str) -> str | None:
    """The training cell with most positives on the fold, as the least noisy judge; None if there is none."""
    positives: dict[str, int] = {}
    for split in episodes.splits:
        if split.fold != FOLD or not can_be_inner(task.card, split.cell, held_out):
            continue
        label = task.columns.label[split.query_rows]
        if 0 < label.sum() < label.size and inner_train_rows(task, episodes, held_out, split.cell, FOLD).size:
            positives[split.cell] = int(label.sum())
    return max(positives, key=positives.__getitem__, default=None)


def _choice(
    method: Description, fits: Sequence[SettingFit], found: Sequence[InnerRecord | None], errors: dict[str, str]
) -> Choice:
    inner = fits[0].identity.inner
    scores = tuple(None if record is None else round(record.corrected, SCORE_DECIMALS) for record in found)
    best = best_setting(scores)
    why = None
    if best is None:
        cause = next((errors[fit.key] for fit in fits if fit.key in errors), "unknown")
        why = f"every setting failed on {inner}: {cause}"
    return Choice(setting=json.loads(method.settings[best or 0]), inner=inner, scores=scores, why=why)


def _mean(scores: dict[int, float | str]) -> float:
    return float(np.mean([score for score in scores.values() if not isinstance(score, str)]))


def _seconds(outcome: FitOutcome) -> float:
    fit_s = outcome.fitted.fit_s if outcome.fitted is not None else 0.0
    return fit_s + sum(scored.score_s for scored in outcome.scored.values())

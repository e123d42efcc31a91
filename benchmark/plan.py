"""From a suite part to its grid: every fit, every run with its key, and what is infeasible and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..methods.base import Balance, Regime
from ..tasks.errors import EpishotError
from .described import Description
from .provenance import versions
from .records import EVALUATOR_VERSION, RunIdentity
from .specs import Condition, FitSpec, RunSpec, SuitePart
from .store import RunStore, run_key
from .within_cell import is_within_cell, own_cell, too_few_labels

if TYPE_CHECKING:
    from ..tasks.episodes import EpisodeSet
    from ..tasks.splits import Split
    from ..tasks.task import Task


@dataclass(frozen=True)
class PlannedRun:
    """A run, its identity and its key."""

    spec: RunSpec
    identity: RunIdentity
    key: str


@dataclass(frozen=True, eq=False)
class PlannedFit:
    """A fit and all runs that it is scored under."""

    spec: FitSpec
    method: Description
    split: Split
    runs: tuple[PlannedRun, ...]


@dataclass(frozen=True)
class Infeasible:
    """Episodes that cannot exist, and why."""

    cell: str
    condition: Condition
    reason: str


@dataclass(frozen=True, eq=False)
class PartPlan:
    """The grid of one suite part.

    Attributes:
        splits: the splits of the requested cells.
        fits: ordered by method, then split, then seed; fits without a feasible run are left out.
        infeasible: per cell and condition, for the conditions that any method is scored under.
        untrainable: cells for which nothing is left to train on, and why; they are infeasible throughout.
        seeds: seeds of each method, by name.
    """

    part: SuitePart
    task: Task
    episodes: EpisodeSet
    methods: tuple[Description, ...]
    splits: tuple[Split, ...]
    fits: tuple[PlannedFit, ...]
    infeasible: tuple[Infeasible, ...]
    untrainable: Mapping[str, str]
    seeds: Mapping[str, tuple[int, ...]]

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return sum(len(fit.runs) for fit in self.fits)


def make_plan(part: SuitePart, task: Task, episodes: EpisodeSet, methods: Sequence[Description]) -> PartPlan:
    """Lay out the grid of a part.

    Args:
        methods: the part's methods described, in its order; others may follow, with the part's number of seeds.

    Raises:
        EpishotError: an unknown cell, two methods of one name, or a method that none of the conditions serves.
    """
    cells = part.cells or task.card.cells
    for cell in cells:
        task.cell_code(cell)
    splits = tuple(split for split in episodes.splits if split.cell in cells)
    if not splits:
        raise EpishotError(f"No cell of {', '.join(cells)} has query rows under protocol {part.protocol!r}.")
    _check_methods(part, methods)
    wanted = sorted(
        {condition for method in methods for condition in part.conditions_for(method.regimes)},
        key=lambda c: (c.k, c.regime.value, c.balance.value),
    )
    untrainable = {split.cell: _why_untrainable(task, split) for split in splits if not split.train_rows.size}
    infeasible = tuple(
        Infeasible(cell, condition, reason)
        for cell in dict.fromkeys(split.cell for split in splits)
        for condition in wanted
        if (reason := untrainable.get(cell) or _why_infeasible(episodes, cell, condition))
    )
    impossible = {(one.cell, one.condition) for one in infeasible}
    seeds = _seeds(part, methods)
    fits: list[PlannedFit] = []
    for method in methods:
        conditions = part.conditions_for(method.regimes)
        for split in _splits_of(method, task, splits):
            possible = [c for c in conditions if (split.cell, c) not in impossible]
            wanted_seeds = seeds[method.name] if possible else ()
            fits.extend(_fit(part, task, episodes, method, split, seed, possible) for seed in wanted_seeds)
    return PartPlan(part, task, episodes, tuple(methods), splits, tuple(fits), infeasible, untrainable, seeds)


def _seeds(part: SuitePart, methods: Sequence[Description]) -> dict[str, tuple[int, ...]]:
    own = [spec.seeds for spec in part.methods] + [None] * (len(methods) - len(part.methods))
    return {
        method.name: tuple(range(1 if method.deterministic else number or part.seeds))
        for method, number in zip(methods, own, strict=True)
    }


def widest_plan(plan: PartPlan) -> PartPlan:
    """The grid of everything on the same episodes that could stand beside a plan's runs in one row.

    That is every cell of the card and every regime and balance, with the plan's methods, seeds and budget.
    """
    # Balanced supports exist for even k only; a part that asks for them and an odd k is refused.
    even = not any(k % 2 for k in plan.part.shots)
    everything = replace(
        plan.part,
        cells=None,
        shots=plan.part.episode_shots,
        regimes=tuple(Regime),
        balances=tuple(Balance) if even else (Balance.NATURAL,),
    )
    return make_plan(everything, plan.task, plan.episodes, plan.methods)


def _why_untrainable(task: Task, split: Split) -> str:
    if set(task.card.family(split.cell)) >= set(task.card.cells):
        return "no training cell outside the family"
    return f"no training row is left for {split.name}"


def _why_infeasible(episodes: EpisodeSet, cell: str, condition: Condition) -> str | None:
    return episodes.infeasible(cell, condition.balance.value, condition.k) if condition.k else None


def _splits_of(method: Description, task: Task, splits: Sequence[Split]) -> Sequence[Split]:
    """What a method is fitted on: the training cells, but for the within-cell oracle."""
    if not is_within_cell(method.facts):
        return splits
    poor = too_few_labels(task, splits)
    return [own_cell(split) for split in splits if split.cell not in poor]


def _fit(
    part: SuitePart,
    task: Task,
    episodes: EpisodeSet,
    method: Description,
    split: Split,
    seed: int,
    conditions: Sequence[Condition],
) -> PlannedFit:
    spec = FitSpec(task.card.name, part.protocol, split.cell, split.fold, method.name, seed)
    runs = []
    for condition in conditions:
        draws = part.draws if condition.k else 1
        identity = RunIdentity(
            task=task.card.name,
            task_hash=task.content_hash,
            protocol=part.protocol,
            episode_set=episodes.hash,
            cell=split.cell,
            fold=split.fold,
            method=method.name,
            method_version=method.facts.version,
            method_code=method.code,
            config=method.config_for(split.cell),
            seed=seed,
            budget=part.budget,
            regime=condition.regime.value,
            balance=condition.balance.value,
            k=condition.k,
            draws=draws,
            evaluator=EVALUATOR_VERSION,
            versions=versions(),
        )
        runs.append(PlannedRun(RunSpec(spec, condition, draws), identity, run_key(identity)))
    return PlannedFit(spec, method, split, tuple(runs))


def _check_methods(part: SuitePart, methods: Sequence[Description]) -> None:
    names = [method.name for method in methods]
    for name in names:
        if names.count(name) > 1:
            raise EpishotError(f"Two methods are called {name!r}; give one of them another `name`.")
    for method in methods:
        if not part.conditions_for(method.regimes):
            served = ", ".join(regime.value for regime in method.regimes)
            raise EpishotError(
                f"Method {method.name!r} serves regime {served} only, and none of the requested conditions is "
                "of that kind; change --regime, --shots or --methods."
            )


@dataclass(frozen=True)
class Missing:
    """What of a fit is not in the store yet."""

    fit: PlannedFit
    runs: tuple[PlannedRun, ...]


def missing_runs(plan: PartPlan, store: RunStore) -> list[Missing]:
    """The fits that must be run, each with the runs that the store lacks (or holds as failed)."""
    found = []
    for fit in plan.fits:
        runs = tuple(run for run in fit.runs if store.find(run.identity.task, run.key) is None)
        if runs:
            found.append(Missing(fit, runs))
    return found

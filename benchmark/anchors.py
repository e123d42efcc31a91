"""Fold-pooled average precision of runs beside TransEPI's published figures, with cluster-bootstrap intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..tasks.episodes import EpisodeSet
from ..tasks.task import Task
from .average_precision import average_precision
from .bootstrap import replicate_average_precision
from .interval import percentile_interval
from .query_facts import QueryFacts
from .records import N_REPLICATES, RunIdentity
from .resamples import Resamples, cluster_resamples
from .store import RunStore

#: Chen et al. 2022, doi:10.1093/bib/bbab577, figures of the published model under the same chromosome folds;
#: trained on GM12878 and HeLa, all assays.
TRANSEPI: Mapping[str, float] = {"HMEC": 0.668, "IMR90": 0.583, "NHEK": 0.440}
#: `bengi` trains on all other cells, `bengi-transepi` on GM12878 and HeLa only.
TASKS = ("bengi", "bengi-transepi")


@dataclass(frozen=True)
class Anchor:
    """One method on one cell.

    Attributes:
        value: fold-pooled AP, mean over draws and seeds. interval: 95 % percentile interval over locus clusters.
        published: TransEPI's figure. runs: how often the method's scores of the cell were drawn (draws x seeds).
    """

    task: str
    method: str
    k: int
    cell: str
    value: float
    interval: tuple[float, float]
    published: float
    runs: int

    @property
    def verdict(self) -> str:
        """Whether the interval lies above or below the published figure, which itself has no interval."""
        if self.interval[0] > self.published:
            return "above"
        return "below" if self.interval[1] < self.published else "not separable"


def anchors(store: RunStore, load: Mapping[str, Task], replicates: int = N_REPLICATES) -> Iterator[Anchor]:
    """Every complete method of the store under `cell+chrom`, natural supports; the same resamples for all.

    Args:
        store: where the runs are. load: the tasks at hand, by name; runs of others are left out.
    """
    for name, task in load.items():
        groups: dict[tuple, dict[tuple[str, int], list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
        for record in store.records(name):
            identity = record.identity
            if record.status == "ok" and _counts(identity, task):
                scores = store.scores(record)
                if scores is not None:
                    groups[_group(identity)][identity.cell, identity.fold].append(scores)
        prepared: dict[tuple[str, str], _Pooled] = {}
        for (method, k, episode_set, *_), found in sorted(groups.items(), key=lambda item: item[0][:2]):
            for cell, published in TRANSEPI.items():
                if (episode_set, cell) not in prepared:
                    prepared[episode_set, cell] = _Pooled.of(task, cell, episode_set, replicates)
                pooled = prepared[episode_set, cell]
                folds = [found.get((cell, query.fold), []) for query in pooled.queries]
                n_seeds = {len(parts) for parts in folds}
                if n_seeds == {0} or len(n_seeds) > 1:
                    continue
                rows = np.concatenate(
                    [np.concatenate([parts[s] for parts in folds], axis=1) for s in range(n_seeds.pop())]
                )
                value, interval = pooled(rows)
                yield Anchor(name, method, k, cell, value, interval, published, len(rows))


def _counts(identity: RunIdentity, task: Task) -> bool:
    return (
        identity.protocol == "cell+chrom"
        and identity.balance == "natural"
        and identity.cell in TRANSEPI
        and identity.task_hash == task.content_hash
    )


def _group(identity: RunIdentity) -> tuple:
    """What the folds and seeds of one row share."""
    code = (identity.method_version, identity.method_code, str(identity.config), identity.budget, identity.regime)
    return (identity.method, identity.k, identity.episode_set, identity.draws, *code, str(identity.versions))


@dataclass(frozen=True, eq=False)
class _Pooled:
    """The five queries of a cell as one, each resampled by its own clusters."""

    queries: Sequence[QueryFacts]
    whole: QueryFacts
    resamples: Resamples

    @classmethod
    def of(cls, task: Task, cell: str, episode_set: str, replicates: int) -> _Pooled:
        splits = EpisodeSet.build(task, "cell+chrom", (0,), 1).splits
        queries = [QueryFacts.of(task, split) for split in splits if split.cell == cell]
        parts = [cluster_resamples(query, episode_set, replicates) for query in queries]
        first = np.concatenate([[0], np.cumsum([query.n_clusters for query in queries])])
        whole = QueryFacts(
            cell=cell,
            fold=queries[0].fold,
            labels=np.concatenate([query.labels for query in queries]),
            pair=np.concatenate([query.pair for query in queries]),
            distance=np.concatenate([query.distance for query in queries]),
            cluster=np.concatenate([query.cluster + start for query, start in zip(queries, first, strict=False)]),
        )
        resamples = Resamples(
            counts=np.concatenate([part.counts for part in parts]),
            n=np.sum([part.n for part in parts], axis=0),
            positives=np.sum([part.positives for part in parts], axis=0),
            chance=parts[0].chance,  # not used: raw AP
            redrawn=sum(part.redrawn for part in parts),
        )
        return cls(queries, whole, resamples)

    def __call__(self, rows: np.ndarray) -> tuple[float, tuple[float, float]]:
        """Mean AP of (R, n) scores and its interval."""
        drawn = [replicate_average_precision(row, self.whole, self.resamples) for row in rows]
        low, high = percentile_interval(np.mean(drawn, axis=0))
        return float(average_precision(rows, self.whole.labels).mean()), (low, high)


def markdown(found: Sequence[Anchor]) -> str:
    """A table with one line per method, task and k; bold where the interval lies above the published figure."""
    head = " | ".join(f"{cell} (TransEPI {value:.3f})" for cell, value in TRANSEPI.items())
    out = [f"| method | task | k | {head} | above |", f"| --- | --- | ---: |{' ---: |' * (len(TRANSEPI) + 1)}"]
    # Runs of two versions of a method may stand in one store: each is a line.
    lines: list[dict[str, Anchor]] = []
    for one in found:
        fits = lines and _line(one) == _line(next(iter(lines[-1].values()))) and one.cell not in lines[-1]
        if not fits:
            lines.append({})
        lines[-1][one.cell] = one
    for line in lines:
        first = next(iter(line.values()))
        values = [_shown(line.get(cell)) for cell in TRANSEPI]
        above = sum(one.verdict == "above" for one in line.values())
        out.append(f"| {first.method} | {first.task} | {first.k} | {' | '.join(values)} | {above} of {len(line)} |")
    return "\n".join(out)


def _line(one: Anchor) -> tuple[str, str, int]:
    return one.method, one.task, one.k


def _shown(one: Anchor | None) -> str:
    if one is None:
        return "n/a"
    bold = "**" if one.verdict == "above" else ""
    return f"{bold}{one.value:.3f}{bold} [{one.interval[0]:.3f}, {one.interval[1]:.3f}]"

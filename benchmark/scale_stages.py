"""What is measured at each size: registration, episodes and methods, each in its own process for its peak memory.

`peak_mb` is all resident memory; it counts pages of mapped files, which the system takes back when it needs them.
`private_mb` is the rest, sampled every few milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..methods import tables
from ..methods.base import Balance, Regime
from ..methods.registry import find_method
from ..methods.tables import cell_table, fit_context, pair_table, train_table
from ..tasks.catalog import forget_tasks, load_task
from ..tasks.episodes import EpisodeSet
from ..tasks.sources import CACHE_VARIABLE
from .support_tables import support_table
from .variables import variables
from .worker import confine_process, peak_memory_mb

Found = dict[str, float]


def apart(stage: Callable[..., Found], *arguments: object) -> Found:
    """Run a stage in a fresh process with one thread; adds its `peak_mb`."""
    cache = os.environ.get(CACHE_VARIABLE)
    with multiprocessing.get_context("spawn").Pool(1, initializer=_prepare, initargs=(cache,)) as pool:
        return pool.apply(_measured, (stage, arguments))


def _prepare(cache: str | None) -> None:
    """As the process of a fit, but tables are kept where this process keeps them."""
    confine_process()
    if cache is not None:
        os.environ[CACHE_VARIABLE] = cache


def _measured(stage: Callable[..., Found], arguments: tuple[object, ...]) -> Found:
    done, peak = threading.Event(), [0.0]

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], _private_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        found = stage(*arguments)
    finally:
        done.set()
        watcher.join()
    return {**found, "peak_mb": peak_memory_mb(), "private_mb": peak[0]}


def _private_mb() -> float:
    """Resident memory that is not a page of a file; NaN where the system does not tell."""
    try:
        resident, shared = (int(pages) for pages in Path("/proc/self/statm").read_text().split()[1:3])
    except OSError:
        return float("nan")
    return (resident - shared) * resource.getpagesize() / 2**20


def register(folder: Path) -> Found:
    """Validate the pairs file, write the mapped table, hash it; in a cache of its own, where nothing is known yet."""
    with tempfile.TemporaryDirectory() as cache, variables({CACHE_VARIABLE: cache}):
        start = time.perf_counter()
        task = load_task(str(folder))
        validated = time.perf_counter()
        assert task.content_hash
        return {
            "pairs": len(task),
            "register_s": validated - start,
            "hash_s": time.perf_counter() - validated,
            "bytes_per_pair": task.table.nbytes / len(task),
        }


def split(folder: Path, shots: int, draws: int) -> Found:
    """Columns, splits with their overlap audit, and the episode set of protocol `cell`."""
    task = load_task(str(folder))
    start = time.perf_counter()
    assert task.columns.label.size
    columns = time.perf_counter()
    episodes = EpisodeSet.build(task, "cell", [0, shots], draws)
    return {"columns_s": columns - start, "episodes_s": time.perf_counter() - columns, "splits": len(episodes.splits)}


def score(folder: Path, method: str, shots: int, draws: int, budget: float) -> Found:
    """Fit on the training cells of the first split and score its query under `draws` labelled supports."""
    task = load_task(str(folder))
    episodes = EpisodeSet.build(task, "cell", [0, shots], draws)
    held_out = episodes.splits[0]
    rows = episodes.support_rows(held_out.cell, 0, "natural", shots)
    del episodes
    cls = find_method(method)
    reads = cls.capabilities().reads
    train = train_table(task, held_out.train_rows, reads)
    query = pair_table(task, held_out.query_rows, reads)
    whole = cell_table(task, task.cell_rows(held_out.cell), reads) if cls.transductive else None
    supports = support_table(task, rows, Regime.LABELLED, Balance.NATURAL, reads)
    context = fit_context(task, budget=budget)
    # The worker of a run has its tables only, not the task, which identities and the catalog keep alive.
    del task, held_out
    tables.forget_identities()
    forget_tasks()
    start = time.perf_counter()
    fitted = cls()
    fitted.fit(train, context)
    done = time.perf_counter()
    scores = fitted.score(supports, query, whole)
    assert np.isfinite(scores).all()
    return {"fit_s": done - start, "score_s": time.perf_counter() - done, "queries": query.n}

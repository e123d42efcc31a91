"""A small board made by hand: two cells, four methods, paired replicates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from epishot.benchmark.records import AcrossEntry, CellEntry, CompactRecord, FoldFacts, MethodFacts
from epishot.leaderboard.board import Loaded

CELLS = ("A", "B")


@pytest.fixture
def noise() -> np.ndarray:
    """Shared resampling noise (cells, 1000): what makes comparisons paired."""
    return np.random.default_rng(0).normal(0, 0.05, (len(CELLS), 1000))


@pytest.fixture
def make(noise: np.ndarray) -> Callable[..., Loaded]:
    def build(
        name: str,
        value: float,
        *,
        kind: str = "method",
        marks: str = "",
        regimes: tuple[str, ...] = ("none", "labelled"),
        shots: tuple[int, ...] = (0, 16),
        own_noise: float = 0.001,
        headline: str = "all",
        infeasible: tuple[tuple[str, int], ...] = (),
        failed: tuple[str, ...] = (),
        seeds: int = 1,
        deterministic: bool = True,
        **shared: object,
    ) -> Loaded:
        rng = np.random.default_rng(sum(name.encode()))
        entries, replicates = [], []
        for k in shots if regimes != ("none",) else (0,):
            for c, cell in enumerate(CELLS):
                common = {
                    "cell": cell,
                    "regime": "labelled" if k else "none",
                    "balance": "natural",
                    "k": k,
                    "n": 100,
                    "positives": 10,
                    "folds": (FoldFacts(fold=0, n=100, positives=10, chance=0.13),),
                    "draws": 2,
                    "seeds": seeds,
                }
                if (cell, k) in infeasible:
                    entries.append(CellEntry(**common, status="infeasible", reason="too few pairs"))
                elif cell in failed:
                    entries.append(CellEntry(**common, status="failed", reason="ValueError: boom"))
                else:
                    replicates.append(value + noise[c] + rng.normal(0, own_noise, 1000))
                    entries.append(
                        CellEntry(
                            **common,
                            status="ok",
                            metrics={"corrected": value, "aupr": value * 0.87 + 0.13, "auroc": 0.7, "brier": None},
                            reasons={"brier": "no-logits"},
                            interval=(value - 0.1, value + 0.1),
                            replicates=len(replicates) - 1,
                        )
                    )
        record = CompactRecord(
            task="toy",
            task_version="1",
            task_hash="t" * 64,
            headline_shots=headline,
            protocol="cell",
            episode_set="e" * 64,
            method=MethodFacts(
                name=name,
                summary="",
                version="1",
                kind=kind,
                marks=marks,
                reads=("features",),
                regimes=regimes,
                deterministic=deterministic,
                logits=False,
                config="{}",
            ),
            cells=CELLS,
            entries=tuple(entries),
            across=(
                AcrossEntry(
                    regime="none",
                    balance="natural",
                    k=0,
                    cells=CELLS,
                    metrics={"cell_pooled_aupr": 0.5, "swap_auc": None},
                ),
            ),
            run_keys=(),
            test_scorings=4,
            cost={"fits": 2, "fit_s": 1.25, "score_s": 0.5, "cpu_s": 1.75, "peak_memory_mb": 400.0},
            command="epishot run --suite toy",
            commit="abc",
            versions={"numpy": "2"},
        )
        record = record.model_copy(update=shared)
        return Loaded(record, np.array(replicates, dtype=np.float32).reshape(-1, 1000))

    return build

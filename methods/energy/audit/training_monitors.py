"""Monitors of a trail: losses, weights, batches and gradients, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..losses.competition import PaceLock
from ..names import LossName
from .monitor_table import Row
from .records import Trail

if TYPE_CHECKING:
    from ..training import _Training

#: What counts as the loss of the prediction, the first that is active.
PREDICTION = (LossName.TASK, LossName.CROSS_ENTROPY, LossName.LIKELIHOOD)


def step_rows(trail: Trail, every: int) -> Iterator[Row]:
    """Losses, their weights and the batch, averaged over `every` steps, with the loss drop since the last epoch."""
    for stage in dict.fromkeys(record.stage for record in trail.steps):
        records = [record for record in trail.steps if record.stage == stage]
        before = float("nan")
        for start in range(0, len(records), every):
            part = records[start : start + every]
            step = part[-1].step
            names = sorted({name for record in part for name in record.losses})
            for name in names:
                values = [record.losses[name] for record in part if name in record.losses]
                yield Row(step, stage, None, f"loss:{name}", float(np.mean(values)))
                yield Row(step, stage, None, f"weight:{name}", part[-1].applied.get(name, 0.0))
            batches = [record.batch for record in part]
            yield Row(step, stage, None, "batch-prevalence", float(np.mean([b.positive_share for b in batches])))
            yield Row(step, stage, None, "batch-cells", float(np.mean([b.distinct_cells for b in batches])))
            main = next((name for name in PREDICTION if name in names), None)
            if main is not None:
                now = float(np.mean([record.losses[main] for record in part if main in record.losses]))
                if not np.isnan(before):
                    yield Row(step, stage, None, "loss-drop", (before - now) / max(abs(before), 1e-12))
                before = now


def gradient_rows(trail: Trail) -> Iterator[Row]:
    """Norm of every loss's gradient in every group, of their sums, and cosines between losses in the encoder."""
    for record in trail.gradients:
        for (name, group), size in record.norms.items():
            yield Row(record.step, record.stage, None, f"gradient:{name}:{group}", size)
        for group, size in record.total.items():
            if size:
                yield Row(record.step, record.stage, None, f"gradient-total:{group}", size)
        for (one, other), cosine in record.cosines.items():
            yield Row(record.step, record.stage, None, f"cosine:{one}:{other}", cosine)


def pace_rows(training: _Training, step: int, stage: str) -> Iterator[Row]:
    """rho of every cell: how far the student's task loss is above the opportunist's."""
    pace = getattr(training.losses.get(LossName.PULL), "pace", None)
    if not isinstance(pace, PaceLock):
        pace = getattr(training.losses.get(LossName.OPPORTUNIST), "pace", None)
    if isinstance(pace, PaceLock):
        for code, rho in enumerate(pace.rho.tolist()):
            yield Row(step, stage, str(code), "rho", rho)

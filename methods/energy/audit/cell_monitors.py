"""Monitors of a snapshot: what the pair side knows of the cell, what the environment does, how scores look."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....tasks.chance import chance_aupr
from .information import conditional_hsic, conditional_nats, hsic, probe
from .mine import conditional_mine, mine
from .monitor_table import Row
from .snapshot import HELD_OUT, CellState, Snapshot

#: Rows on which kernels and probes are computed; prevalence at which training and held-out cells are compared.
_KERNEL_ROWS, EQUAL_PREVALENCE = 300, 0.2
_CERTAIN = 0.01


def cell_rows(snapshot: Snapshot) -> Iterator[Row]:
    """What is logged of every cell."""
    for cell in snapshot.cells:
        name = "held-out" if cell.code == HELD_OUT else str(cell.code)
        for monitor, value in _of_cell(cell).items():
            yield Row(snapshot.step, snapshot.stage, name, monitor, float(value))


def joint_rows(snapshot: Snapshot, seed: int) -> Iterator[Row]:
    """What is logged of all training cells together."""
    for monitor, value in {**_information(snapshot, seed), **_environment(snapshot)}.items():
        yield Row(snapshot.step, snapshot.stage, None, monitor, float(value))


def last_rows(snapshot: Snapshot, seed: int) -> Iterator[Row]:
    """What takes longer and is logged of the trained model alone: critics trained to find the cell in z."""
    latent, _, cell, label = snapshot.stacked()
    rng = np.random.default_rng([seed, snapshot.step, 1])
    rows = np.sort(rng.permutation(cell.size)[:_KERNEL_ROWS])
    found = mine(latent[rows], cell[rows], rng)
    given = conditional_mine(latent[rows], cell[rows], label[rows], rng)
    values = {"mine": found.nats, "mine-p": found.p, "mine-given-y": given.nats, "mine-given-y-p": given.p}
    for monitor, value in values.items():
        yield Row(snapshot.step, snapshot.stage, None, monitor, value)


def average_precision(label: np.ndarray, score: np.ndarray) -> float:
    """Share of the way from chance to 1; NaN without both classes."""
    if not 0 < label.sum() < label.size:
        return float("nan")
    chance = chance_aupr(label.size, int(label.sum()))
    return (_precision(label, score, np.ones(label.size)) - chance) / (1 - chance)


def equal_precision(label: np.ndarray, score: np.ndarray) -> float:
    """Average precision as it would be with `EQUAL_PREVALENCE` positives."""
    if not 0 < label.sum() < label.size:
        return float("nan")
    share = label.mean()
    weight = np.where(label == 1, EQUAL_PREVALENCE / share, (1 - EQUAL_PREVALENCE) / (1 - share))
    return _precision(label, score, weight)


def _precision(label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    """Weighted, tie-exact average precision of rows that hold both classes."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    hits = np.cumsum((weight * label)[order])[ends]
    drawn = np.cumsum(weight[order])[ends]
    return float((np.diff(hits, prepend=0.0) * hits / drawn).sum() / hits[-1])


def _of_cell(cell: CellState) -> dict[str, float]:
    label, p = cell.label[cell.query], cell.probability
    logits = cell.logits
    likelihood = np.logaddexp(0.0, np.where(label == 1, -logits, logits)).mean()
    out = {
        "u-mean": cell.potential.mean(),
        "u-sd": cell.potential.std(),
        "score-sd": logits.std(1).mean(),
        "probability-sd": p.std(1).mean(),
        "saturation": ((p < _CERTAIN) | (p > 1 - _CERTAIN)).mean(),
        "aupr-u": average_precision(label, cell.potential[cell.query]),
        "aupr": float(np.mean([average_precision(label, row) for row in logits])),
        "aupr-equal": float(np.mean([equal_precision(label, row) for row in logits])),
        "log-loss": likelihood,
        "prevalence": label.mean(),
        "mean-p": p.mean(),
        "temperature": cell.temperature,
        "slope": cell.slope.mean(),
        "offset": cell.offset.mean(),
        "offset-sd-supports": cell.offset.std(),
    }
    if cell.parameters.shape[1]:
        out["environment"] = cell.parameters[:, 0].mean()
        out["environment-sd-supports"] = cell.parameters[:, 0].std()
        if cell.teacher is not None:
            out["teacher"] = cell.teacher[0]
            out["teacher-gap"] = abs(cell.parameters[:, 0].mean() - cell.teacher[0])
    if cell.mean is not None and cell.log_variance is not None:
        per_row = 0.5 * (cell.mean**2 + np.exp(cell.log_variance) - cell.log_variance - 1)
        divergence = per_row.mean(0)
        out |= {
            "kl": divergence.sum(),
            "active-dimensions": (cell.mean.var(0) > 0.01).sum(),
            "sigma": np.exp(0.5 * cell.log_variance).mean(),
        }
    return out


def _information(snapshot: Snapshot, seed: int) -> dict[str, float]:
    latent, potential, cell, label = snapshot.stacked()
    rng = np.random.default_rng([seed, snapshot.step])
    rows = np.sort(rng.permutation(cell.size)[:_KERNEL_ROWS])
    found = probe(latent, cell)
    curved = probe(latent, cell, quadratic=True)
    kernel = hsic(latent[rows], cell[rows], rng)
    given = conditional_hsic(latent[rows], cell[rows], label[rows], rng)
    means = np.array([state.potential.mean() for state in snapshot.training])
    return {
        "cell-probe-accuracy": found.accuracy,
        "cell-majority": found.majority,
        "cell-information": found.share,
        "cell-information-quadratic": curved.share,
        "cell-information-nats": found.nats,
        "cell-entropy": found.entropy,
        "cell-information-given-y": conditional_nats(latent, cell, label),
        "hsic": kernel.share,
        "hsic-p": kernel.p,
        "hsic-given-y": given.share,
        "hsic-given-y-p": given.p,
        "u-between": float(means.var() / max(potential.var(), 1e-12)),
    }


def _environment(snapshot: Snapshot) -> dict[str, float]:
    cells = snapshot.training
    _, potential, code, _ = snapshot.stacked()
    spread = float(np.mean([cell.potential.var() for cell in cells]))
    out = {"temperature": float(np.mean([cell.temperature for cell in cells]))}
    slope, offset = (np.array([getattr(cell, name).mean() for cell in cells]) for name in ("slope", "offset"))
    out |= {"slope-min": float(min(cell.slope.min() for cell in snapshot.cells)), "slope-variance": slope.var()}
    noise = np.mean([cell.offset.var() for cell in cells])
    out["offset-variance"] = offset.var()
    # In units of what U itself contributes to a logit.
    out["environment-ratio"] = float(offset.var() / max(np.mean(slope) ** 2 * spread, 1e-12))
    out["student-discriminability"] = float(offset.var() / max(noise, 1e-12)) if noise or offset.var() else 0.0
    if cells[0].parameters.shape[1]:
        first = np.array([cell.parameters[:, 0].mean() for cell in cells])
        out["environment-variance"] = first.var()
        by_row = first[np.searchsorted([cell.code for cell in cells], code)]
        known = by_row.std() > 1e-12 and potential.std() > 1e-12
        out["correlation-m-u"] = float(np.corrcoef(by_row, potential)[0, 1]) if known else 0.0
        taught = [cell.teacher[0] for cell in cells if cell.teacher is not None]
        if len(taught) == len(cells):
            ideal = np.array(taught)
            own, mean = np.abs(first - ideal).mean(), np.abs(ideal - ideal.mean()).mean()
            out["teacher-variance"] = ideal.var()
            # 1: the student is as far from each cell's own word as the mean over cells is.
            out["student-mimicry"] = float(own / mean) if mean > 1e-6 else float("nan")
    return out

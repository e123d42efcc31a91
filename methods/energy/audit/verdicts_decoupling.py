"""Verdicts on decoupling: does U keep out of the cell's business, and the cell out of the pair's?"""

from __future__ import annotations

import numpy as np
import torch

from ...audits.finding import Finding
from ..config import CouplingKind
from .subject import Subject
from .thresholds import (
    CELL_INFORMATION,
    COMMON_INTERACTION,
    CONSTANT_ENVIRONMENT,
    DRIFT,
    ENVIRONMENT_RATIO,
    LINEAR_LOW,
    MIMICRY,
    MIMICRY_SPREAD,
    NONLINEAR,
    U_BETWEEN,
)
from .verdict import judged, not_evaluable, place


def pseudo_decoupling(subject: Subject) -> Finding:
    """J1: z tells the cell and the environment says the same of every cell."""
    told = subject.monitors.last("cell-information")
    ratio = subject.monitors.last("environment-ratio")
    return judged(
        "J1-pseudo-decoupling",
        told > CELL_INFORMATION and ratio < ENVIRONMENT_RATIO,
        f"z tells {told:.0%} of which cell a pair is from while the environment hardly differs between cells.",
        "z does not stand in for an environment that says nothing.",
        {
            "cell_information": told,
            "threshold": CELL_INFORMATION,
            "environment_ratio": ratio,
            "ratio_threshold": ENVIRONMENT_RATIO,
            "probe_accuracy": subject.monitors.last("cell-probe-accuracy"),
            "majority": subject.monitors.last("cell-majority"),
            "mine_nats": subject.monitors.last("mine"),
            "mine_p": subject.monitors.last("mine-p"),
            "mine_nats_given_y": subject.monitors.last("mine-given-y"),
            "mine_p_given_y": subject.monitors.last("mine-given-y-p"),
            "hsic_p": subject.monitors.last("hsic-p"),
            "hsic_p_given_y": subject.monitors.last("hsic-given-y-p"),
        },
    )


def constant_environment(subject: Subject) -> Finding:
    """J2: the same parameters for every cell and every support."""
    name = "J2-constant-environment"
    if not _declared(subject):
        return not_evaluable(name, "no environment is declared: the cell is not read at all.")
    cells = subject.last.cells
    read = np.concatenate([cell.parameters for cell in cells])
    spread = float(read.std(0).max()) if read.size else 0.0
    return judged(
        name,
        spread < CONSTANT_ENVIRONMENT,
        "The environment is the same for every cell and every support.",
        "The environment differs between supports.",
        {
            "largest_sd_of_a_parameter": spread,
            "threshold": CONSTANT_ENVIRONMENT,
            "environment_variance": subject.monitors.last("environment-variance"),
        },
        place(subject.model.student.estimator),
    )


def translation_drift(subject: Subject) -> Finding:
    """J4: mean U and the offsets move together, each against the other."""
    start = subject.snapshots[0]
    sd = max(np.mean([cell.potential.std() for cell in subject.last.training]), 1e-9)
    mean = [np.mean([cell.potential.mean() for cell in shot.training]) for shot in (start, subject.last)]
    offset = [np.mean([cell.offset.mean() for cell in shot.training]) for shot in (start, subject.last)]
    up, down = (mean[1] - mean[0]) / sd, (offset[1] - offset[0]) / sd
    together = abs(up) > DRIFT and abs(down) > DRIFT and np.sign(up) != np.sign(down)
    return judged(
        "J4-translation-drift",
        bool(together),
        f"Mean U moved by {up:.2g} and the offsets by {down:.2g} of its sd, against each other.",
        "U keeps its place; the offsets do not run after it.",
        {"u_drift": float(up), "offset_drift": float(down), "threshold": DRIFT},
    )


def role_swap(subject: Subject) -> Finding:
    """J8: U codes the cell, or the environment codes the pair."""
    between = subject.monitors.last("u-between")
    common = _common_share(subject)
    return judged(
        "J8-role-swap",
        between > U_BETWEEN or (common is not None and common > COMMON_INTERACTION),
        f"{between:.0%} of the variance of U lies between cells."
        if between > U_BETWEEN
        else "The interaction of pair and cell is the same in every cell, so it codes the pair.",
        "U varies within cells and the environment between them.",
        {
            "u_between_share": between,
            "threshold": U_BETWEEN,
            "common_interaction": common,
            "interaction_threshold": COMMON_INTERACTION,
        },
    )


def nonlinear_dependence(subject: Subject) -> Finding:
    """J9: no linear trace of the cell in z, and a strong other one."""
    linear, curved = subject.monitors.last("cell-information"), subject.monitors.last("cell-information-quadratic")
    p = subject.monitors.last("hsic-p")
    return judged(
        "J9-nonlinear-dependence",
        linear < LINEAR_LOW and curved - linear > NONLINEAR and p < 0.05,
        f"Linear probes find {linear:.0%} of the cell in z, quadratic ones {curved:.0%}.",
        "Quadratic probes find no more of the cell in z than linear ones.",
        {
            "linear": linear,
            "quadratic": curved,
            "hsic": subject.monitors.last("hsic"),
            "hsic_p": p,
            "mine_nats": subject.monitors.last("mine"),
            "mine_p": subject.monitors.last("mine-p"),
            "threshold": NONLINEAR,
        },
    )


def student_mimicry(subject: Subject) -> Finding:
    """J20: the student says the mean of the teacher's words in every cell."""
    name = "J20-student-mimicry"
    if subject.model.teacher is None or not subject.last.training[0].parameters.shape[1]:
        return not_evaluable(name, "there is no teacher to mimic.")
    if subject.declared.environment.fusion == 1.0:
        return not_evaluable(name, "the student refines a posterior in unknown cells and is not taught by the teacher.")
    mimicry = subject.monitors.last("student-mimicry")
    spread = subject.monitors.last("environment-variance") / max(subject.monitors.last("teacher-variance"), 1e-12)
    return judged(
        name,
        mimicry > MIMICRY and spread < MIMICRY_SPREAD,
        f"The student's words vary {spread:.1%} as much as the teacher's and are no nearer to a cell's own.",
        "The student tells cells apart.",
        {
            "mimicry": mimicry,
            "threshold": MIMICRY,
            "spread": spread,
            "spread_threshold": MIMICRY_SPREAD,
            "discriminability": subject.monitors.last("student-discriminability"),
        },
        place(subject.model.student.estimator),
    )


def inverted_ranking(subject: Subject) -> Finding:
    """B2: a negative slope in U inverts the ranking of a cell."""
    slope = subject.monitors.last("slope-min")
    return judged(
        "B2-inverted-ranking",
        slope < 0,
        f"The slope in U is {slope:.3g} under some support, so its ranking is inverted.",
        "The slope in U is positive in every cell.",
        {"smallest_slope": slope, "threshold": 0.0},
        place(subject.model.coupling),
    )


def _declared(subject: Subject) -> bool:
    from ..config import EstimatorKind

    environment = subject.declared.environment
    return environment.student is not EstimatorKind.NONE or environment.posterior


def _common_share(subject: Subject) -> float | None:
    """Share of an x-dependent interaction's variance over pairs that all supports have in common; None without one."""
    model = subject.model
    if not model.coupling.x_dependent or subject.declared.coupling.kind is CouplingKind.PROJECTION:
        return None
    with torch.no_grad():
        encoded = subject.encoded(subject.held.query)
        read = np.concatenate([cell.parameters for cell in subject.last.cells])
        environment = model._environment(torch.from_numpy(read), None)._replace(parameters=torch.from_numpy(read))
        natural, temperature = model._split(environment)
        logits = subject.coupled(encoded, natural, temperature).numpy()
        neutral = model.neutral(1)
        plain = subject.coupled(encoded, *model._split(neutral)).numpy()
    added = logits - plain
    added = added - added.mean(1, keepdims=True)
    whole = float((added**2).mean())
    return float((added.mean(0) ** 2).mean() / whole) if whole > 1e-12 else None

"""What healthy presets show on the calibration seeds, beside the thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .trial import Trial

#: The figure that each statistical verdict rests on, and the name of its threshold in the evidence.
FIGURES: tuple[tuple[str, str, str], ...] = (
    ("J1-pseudo-decoupling", "cell_information", "threshold"),
    ("J1-pseudo-decoupling", "environment_ratio", "ratio_threshold"),
    ("J2-constant-environment", "largest_sd_of_a_parameter", "threshold"),
    ("J4-translation-drift", "u_drift", "threshold"),
    ("J5-collapse", "smallest_score_sd", "threshold"),
    ("J6-overfit", "train_aupr", "train_threshold"),
    ("J6-overfit", "gap", "gap_threshold"),
    ("J8-role-swap", "u_between_share", "threshold"),
    ("J8-role-swap", "common_interaction", "interaction_threshold"),
    ("J9-nonlinear-dependence", "quadratic", "threshold"),
    ("J10-cancellation", "lowest_median_cosine", "threshold"),
    ("J12-stall", "relative_drop", "threshold"),
    ("J17-constant-energy", "u_sd", "threshold"),
    ("J20-student-mimicry", "spread", "spread_threshold"),
    ("J21-weak-ranking", "p", "threshold"),
    ("J23-dominant-regulariser", "median_ratio", "threshold"),
    ("J24-ranking-mismatch", "fall_of_aupr", "threshold"),
    ("J25-over-compression", "active_dimensions", "threshold"),
    ("J26-saturation", "share", "threshold"),
    ("J27-dominant-adversary", "median_ratio", "threshold"),
    ("J29-gene-prior", "spearman", "threshold"),
    ("J32-label-shortcut", "told_by_cell", "threshold"),
)


class Span(NamedTuple):
    """Smallest and largest value of one figure, and its threshold."""

    check: str
    figure: str
    low: float
    high: float
    threshold: float


def spans(trials: Sequence[Trial]) -> list[Span]:
    """Of every figure that some trial has."""
    out = []
    for check, figure, limit in FIGURES:
        evidence = [finding.evidence for trial in trials for finding in trial.findings if finding.name == check]
        values = [float(v) for found in evidence if isinstance(v := found.get(figure), (int, float))]
        limits = [float(v) for found in evidence if isinstance(v := found.get(limit), (int, float))]
        if values and limits:
            out.append(Span(check, figure, min(values), max(values), limits[0]))
    return out

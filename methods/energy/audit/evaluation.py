"""Alignment: early stopping looks at whole, held-out training cells, at their own prevalence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from sklearn.metrics import average_precision_score

from ...audits.finding import Finding
from .. import training as live
from .subject import Evaluation, Subject
from .thresholds import PREVALENCE_ERROR
from .verdict import not_evaluable, verdict

_PLACE = "methods/energy/training.py _Training._stop"


@contextmanager
def recorded(into: list[Evaluation]) -> Iterator[None]:
    """While this lasts, every score of early stopping is noted with what it was computed on."""
    real = live.mean_average_precision

    def noted(label: np.ndarray, score: np.ndarray, cell: np.ndarray) -> float:
        value = real(label, score, cell)
        into.append(Evaluation(label.copy(), score.copy(), cell.copy(), value))
        return value

    live.mean_average_precision = noted
    try:
        yield
    finally:
        live.mean_average_precision = real


def evaluation(subject: Subject) -> Finding:
    """The rows that were evaluated, against the cells' own rows, and the value, computed anew."""
    training = subject.watch.training
    if not subject.declared.stopping.cells or training is None:
        return not_evaluable("evaluation", "nothing is evaluated during training: a fixed number of steps is made.")
    labels, problems = training.labels, []
    wanted = {int(code): labels.label[labels.cell == code] for code in training.validation}
    worst, error = 0.0, 0.0
    for one in subject.evaluations:
        for code in np.unique(one.cell):
            own = one.label[one.cell == code]
            natural = wanted.get(int(code))
            if natural is None:
                problems.append(f"Early stopping looked at training cell {code}, which is not held out")
                continue
            shift = abs(float(own.mean()) - float(natural.mean()))
            worst = max(worst, shift)
            if shift > PREVALENCE_ERROR or own.size != natural.size:
                problems.append(
                    f"Early stopping evaluated {own.size} rows at prevalence {own.mean():.3f} where the cell has "
                    f"{natural.size} at {natural.mean():.3f}"
                )
        again = np.mean(
            [average_precision_score(one.label[one.cell == c], one.score[one.cell == c]) for c in np.unique(one.cell)]
        )
        error = max(error, abs(float(again) - one.value))
    if error > 1e-6:
        problems.append(f"The score of early stopping differs by {error:.2g} from the average precision of its rows")
    if not subject.evaluations:
        problems.append("Early stopping is declared and nothing was evaluated")
    seen = sum(int(np.isin(labels.cell[rows], training.validation).sum()) for rows in training.rows.values())
    if seen:
        problems.append(f"{seen} rows of the validation cells are trained on")
    evidence = {
        "evaluations": len(subject.evaluations),
        "largest_prevalence_shift": worst,
        "value_error": error,
        "threshold": PREVALENCE_ERROR,
        "validation_rows_in_training": seen,
    }
    return verdict("evaluation", problems, "Early stopping looks at whole held-out training cells.", evidence, _PLACE)

"""The metrics that the page can show."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """A metric that the page can show.

    Attributes:
        scope: "cell" if it has a value per cell, else "across": one value over all cells.
        group: heading in the list of metrics.
        better: "higher" or "lower".
        pivot: what no information scores: a number, "chance" (the cell's chance AUPR), or None.
        macro: whether its mean over cells may be taken.
        help: one sentence.
    """

    id: str
    name: str
    scope: str
    group: str
    better: str
    pivot: float | str | None
    macro: bool
    help: str


_NO_MEAN = "No mean over cells: its chance level differs between cells."
METRICS = (
    Metric(
        "corrected",
        "Corrected AUPR",
        "cell",
        "Ranking",
        "higher",
        0.0,
        True,
        "The headline: (AP - E)/(1 - E), with E the exact expectation of a random ranker; 0 is chance, 1 perfect.",
    ),
    Metric("aupr", "Raw AUPR", "cell", "Ranking", "higher", "chance", False, f"Average precision. {_NO_MEAN}"),
    Metric(
        "pair_aupr",
        "Gene-pair AUPR",
        "cell",
        "Ranking",
        "higher",
        "chance",
        False,
        f"Raw AUPR over enhancer-gene pairs, each by its best TSS. {_NO_MEAN}",
    ),
    Metric(
        "distance_aupr",
        "Distance-matched AUPR",
        "cell",
        "Ranking",
        "higher",
        1 / 6,
        True,
        "Weighted AP with five times as many negatives as positives in each distance bin; chance is about 1/6.",
    ),
    Metric("auroc", "AUROC", "cell", "Ranking", "higher", 0.5, True, "Area under the ROC curve; 0.5 is chance."),
    Metric(
        "precision_at_70",
        "Precision at 70 % recall",
        "cell",
        "Ranking",
        "higher",
        "chance",
        False,
        f"Precision where 70 % of the positives are found. {_NO_MEAN}",
    ),
    Metric(
        "brier",
        "Brier score",
        "cell",
        "Calibration-sensitive",
        "lower",
        None,
        True,
        "Mean squared error of the probability; lower is better.",
    ),
    Metric(
        "ece",
        "Calibration error (ECE)",
        "cell",
        "Calibration-sensitive",
        "lower",
        None,
        True,
        "Expected calibration error; lower is better.",
    ),
    Metric(
        "f1_half",
        "F1 at p = 0.5",
        "cell",
        "Calibration-sensitive",
        "higher",
        None,
        True,
        "F1 of calling a pair positive at probability 0.5.",
    ),
    Metric(
        "f1_share",
        "F1 at training share",
        "cell",
        "Calibration-sensitive",
        "higher",
        None,
        True,
        "F1 with the predicted-positive share set to the mean prevalence of the training cells.",
    ),
    Metric(
        "fold_pooled_aupr",
        "Fold-pooled AUPR",
        "cell",
        "Calibration-sensitive",
        "higher",
        "chance",
        False,
        f"Raw AUPR of the scores of all folds pooled, although each fold has its own model. {_NO_MEAN}",
    ),
    Metric(
        "cell_pooled_aupr",
        "Cell-pooled AUPR",
        "across",
        "Across cells",
        "higher",
        None,
        True,
        "Raw AUPR of the scores of all cells pooled; one value for all cells.",
    ),
    Metric(
        "swap_auc",
        "Swap AUC",
        "across",
        "Across cells",
        "higher",
        0.5,
        True,
        "The same enhancer-gene pair with different labels in two held-out cells: does the score order them?",
    ),
    Metric(
        "swap_auc_quantile",
        "Swap AUC (quantiles)",
        "across",
        "Across cells",
        "higher",
        0.5,
        True,
        "Swap AUC on quantiles within each episode.",
    ),
)

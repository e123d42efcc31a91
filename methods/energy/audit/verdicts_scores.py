"""Verdicts on scores: collapse, saturation, over-fitting, weak ranking, and where the ranking comes from."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from ...audits.finding import Finding
from ...check_null import permutation_p
from .subject import Subject
from .thresholds import (
    CONSTANT_U,
    GAP,
    GENE_PRIOR,
    LABEL_SHORTCUT,
    MANY_LOSSES,
    MISMATCH,
    NEAR_RANDOM,
    OVERFIT_TRAIN,
    SATURATION,
    SCORE_SD,
    WEAK_P,
)
from .verdict import judged, not_evaluable, place

_BOUND = 1e-6


def temperature_limits(subject: Subject) -> Finding:
    """J3: T outside its declared bounds, or at a bound with every probability saturated."""
    declared = subject.declared.temperature
    seen = subject.monitors.series("temperature")
    low, high = float(seen.min()), float(seen.max())
    outside = low < declared.low * (1 - _BOUND) - _BOUND or high > declared.high * (1 + _BOUND) + _BOUND
    saturated = float(np.mean(list(subject.monitors.cells("saturation").values())))
    return judged(
        "J3-temperature",
        outside or (saturated > SATURATION and seen[-1] <= declared.low * 1.01),
        f"T went to {low if low < declared.low else high:.3g}, and [{declared.low:g}, {declared.high:g}] is declared."
        if outside
        else f"T fell to its bound with {saturated:.0%} of the probabilities saturated.",
        "T stayed inside its bounds.",
        {
            "lowest": low,
            "highest": high,
            "declared_low": declared.low,
            "declared_high": declared.high,
            "saturation": saturated,
        },
        place(subject.model.temperature),
    )


def collapse(subject: Subject) -> Finding:
    """J5: scores hardly vary within a cell; by their own spread, never by a tuned threshold."""
    sd = float(np.min(list(subject.monitors.cells("score-sd").values())))
    p = float(np.min(list(subject.monitors.cells("probability-sd").values())))
    return judged(
        "J5-collapse",
        sd < SCORE_SD,
        f"Scores within a cell have a standard deviation of {sd:.2g}: the model says the same of every pair.",
        "Scores vary within every cell.",
        {"smallest_score_sd": sd, "threshold": SCORE_SD, "smallest_probability_sd": p},
    )


def overfit(subject: Subject) -> Finding:
    """J6: nearly perfect in training cells, far worse in an unseen one, at equal prevalence."""
    train, held, known = _gap(subject)
    name = "J6-overfit"
    if not known:
        return not_evaluable(name, "every cell is needed for training, so none is unseen.")
    return judged(
        name,
        train > OVERFIT_TRAIN and train - held > GAP,
        f"AUPR at equal prevalence is {train:.2f} in training cells and {held:.2f} in an unseen one.",
        "Training cells are not fitted far beyond an unseen one.",
        {
            "train_aupr": train,
            "held_out_aupr": held,
            "gap": train - held,
            "gap_threshold": GAP,
            "train_threshold": OVERFIT_TRAIN,
            "parameters_per_row": subject.model_parameters / max(1, subject.train.pairs.n),
        },
    )


def inflated_training(subject: Subject) -> Finding:
    """J14: good in training cells, near chance in an unseen one."""
    train, held, known = _gap(subject)
    name = "J14-inflated-training"
    if not known:
        return not_evaluable(name, "every cell is needed for training, so none is unseen.")
    corrected = subject.monitors.last("aupr", "held-out")
    return judged(
        name,
        train - held > GAP and corrected < NEAR_RANDOM,
        f"AUPR at equal prevalence is {train:.2f} in training and the unseen cell is ranked near chance.",
        "A good ranking in training is not near chance elsewhere.",
        {
            "train_aupr": train,
            "held_out_aupr": held,
            "held_out_corrected": corrected,
            "gap_threshold": GAP,
            "near_random": NEAR_RANDOM,
        },
    )


def constant_energy(subject: Subject) -> Finding:
    """J17: many objectives on the encoder and a U that hardly varies."""
    sd = float(np.mean(list(subject.monitors.cells("u-sd").values())))
    names = {
        name
        for record in subject.watch.trail.gradients
        for (name, group), size in record.norms.items()
        if group == "encoder" and size > 0
    }
    return judged(
        "J17-constant-energy",
        sd < CONSTANT_U and len(names) >= MANY_LOSSES,
        f"{len(names)} losses pull at the encoder and U has a standard deviation of {sd:.2g}.",
        "The losses on the encoder leave U its spread.",
        {"u_sd": sd, "threshold": CONSTANT_U, "losses_on_encoder": len(names), "losses_threshold": MANY_LOSSES},
    )


def weak_ranking(subject: Subject) -> Finding:
    """J21: U does not rank an unseen cell better than permuted labels."""
    name = "J21-weak-ranking"
    if subject.held.seen:
        return not_evaluable(name, "every cell is needed for training, so none is unseen.")
    score = subject.score(subject.held.supports(subject.regimes[-1]))[:1]
    p = permutation_p(score, subject.held.label, subject.seed)
    return judged(
        name,
        p > WEAK_P,
        f"The ranking of an unseen cell is no better than of permuted labels (p = {p:.2g}).",
        "An unseen cell is ranked better than by chance.",
        {"p": p, "threshold": WEAK_P, "corrected_aupr": subject.monitors.last("aupr", "held-out")},
    )


def ranking_mismatch(subject: Subject) -> Finding:
    """J24: the held-out loss goes on falling while the held-out ranking falls from its best."""
    name = "J24-ranking-mismatch"
    aupr, loss = (subject.monitors.series(what, "held-out") for what in ("aupr-u", "log-loss"))
    if subject.held.seen or aupr.size < 3:
        return not_evaluable(name, "no unseen cell was followed long enough.")
    best = int(np.argmax(aupr))
    fall = float(aupr[best] - aupr[-1])
    last = subject.last.held_out
    positives = 1 if last is None else max(1, int(last.label[last.query].sum()))
    level = float(np.clip(aupr[best], 0.0, 1.0))
    noise = 2 * float(np.sqrt(level * (1 - level) / positives))
    return judged(
        name,
        fall > max(MISMATCH, noise) and loss[-1] < loss[best],
        f"The held-out ranking fell by {fall:.2f} from its best while the held-out loss went on falling.",
        "Loss and ranking of an unseen cell agree.",
        {
            "fall_of_aupr": fall,
            "threshold": max(MISMATCH, noise),
            "loss_at_best": float(loss[best]),
            "loss_at_end": float(loss[-1]),
        },
    )


def saturated(subject: Subject) -> Finding:
    """J26: most probabilities beyond 0.01 and 0.99."""
    share = float(np.mean(list(subject.monitors.cells("saturation").values())))
    rare = float(np.mean(list(subject.monitors.cells("prevalence").values()))) < 0.02
    if rare:
        return not_evaluable("J26-saturation", "positives are so rare that honest probabilities lie below 0.01.")
    return judged(
        "J26-saturation",
        share > SATURATION,
        f"{share:.0%} of the probabilities lie beyond 0.01 and 0.99.",
        "Probabilities are not saturated.",
        {"share": share, "threshold": SATURATION},
    )


def gene_prior(subject: Subject) -> Finding:
    """J29: the scores are those of a table of genes."""
    name, pairs = "J29-gene-prior", subject.held.query
    if pairs.gene is None or subject.train.pairs.gene is None:
        return not_evaluable(name, "the method is not told which gene a pair has.")
    genes, code = np.unique(subject.train.pairs.gene, return_inverse=True)
    prevalence = subject.train.prevalence
    rate = (np.bincount(code, subject.train.label) + 2 * prevalence) / (np.bincount(code) + 2)
    place_of = np.searchsorted(genes, pairs.gene).clip(max=genes.size - 1)
    known = genes[place_of] == pairs.gene
    if known.sum() < 30 or np.ptp(rate[place_of[known]]) == 0:
        return not_evaluable(name, "hardly a gene of the unseen cell occurs in training.")
    score = subject.score(subject.held.supports(subject.regimes[0])).mean(0)
    rho = float(spearmanr(score[known], rate[place_of[known]]).statistic) if np.ptp(score[known]) else 0.0
    return judged(
        name,
        rho > GENE_PRIOR,
        f"Scores follow the genes' positive rates in training with rank correlation {rho:.2f}.",
        "Scores are not those of a table of genes.",
        {"spearman": rho, "threshold": GENE_PRIOR, "pairs_with_known_gene": int(known.sum())},
    )


def label_shortcut(subject: Subject) -> Finding:
    """J32: a training cell of one class, or a cell's identity that tells much of the label."""
    label, cell = subject.train.label, subject.train.cell
    shares = np.array([label[cell == code].mean() for code in range(subject.train.n_cells)])
    weights = np.bincount(cell, minlength=subject.train.n_cells) / label.size
    told = 1.0 - float((weights * _entropy(shares)).sum() / max(_entropy(np.array([label.mean()]))[0], 1e-12))
    single = int(((shares == 0) | (shares == 1)).sum())
    return judged(
        "J32-label-shortcut",
        single > 0 or told > LABEL_SHORTCUT,
        f"{single} training cells hold one class only." if single else f"The cell alone tells {told:.0%} of the label.",
        "Which cell a pair is from tells little of its label.",
        {
            "one_class_cells": single,
            "told_by_cell": told,
            "threshold": LABEL_SHORTCUT,
            "lowest_prevalence": float(shares.min()),
            "highest_prevalence": float(shares.max()),
        },
    )


def _gap(subject: Subject) -> tuple[float, float, bool]:
    train = float(np.nanmean(subject.monitors.known("aupr-equal")))
    return train, subject.monitors.last("aupr-equal", "held-out"), not subject.held.seen


def _entropy(share: np.ndarray) -> np.ndarray:
    p = np.clip(share, 1e-12, 1 - 1e-12)
    found: np.ndarray = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    return found

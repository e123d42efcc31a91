"""Verdicts on a training: losses that say nothing, fight, stall or turn negative; competition; mixed supports."""

from __future__ import annotations

import math

import numpy as np

from ...audits.finding import Finding
from ..config import Phase, Unseen
from ..names import Group, LossName
from .subject import Subject
from .thresholds import (
    COMPARABLE,
    CONSTANT_ENVIRONMENT,
    DOMINANT,
    NEGATIVE,
    OPPOSED,
    STALL,
    SUICIDE,
)
from .training_monitors import PREDICTION
from .verdict import judged, not_evaluable, place

_WAITING = (LossName.PULL, LossName.PUSH)


def cancellation(subject: Subject) -> Finding:
    """J10: two losses with opposite gradients of comparable size in the encoder, most of the time."""
    seen: dict[tuple[LossName, LossName], list[float]] = {}
    for record in subject.watch.trail.gradients:
        for pair, cosine in record.cosines.items():
            sizes = [record.norms.get((name, Group.ENCODER), 0.0) for name in pair]
            comparable = min(sizes) > COMPARABLE * max(*sizes, record.total.get(Group.ENCODER, 0.0))
            seen.setdefault(pair, []).append(cosine if comparable else 0.0)
    medians = {pair: float(np.median(values)) for pair, values in seen.items() if len(values) >= 3}
    worst = min(medians, key=lambda pair: medians[pair], default=None)
    cosine = 0.0 if worst is None else medians[worst]
    names = "" if worst is None else f"{worst[0]} and {worst[1]}"
    return judged(
        "J10-cancellation",
        cosine < OPPOSED,
        f"The gradients of {names} in the encoder are opposite (median cosine {cosine:.2f}).",
        "No two losses of comparable size cancel in the encoder.",
        {"lowest_median_cosine": cosine, "threshold": OPPOSED, "losses": names or None},
    )


def stall(subject: Subject) -> Finding:
    """J12: the prediction's loss does not fall over the stages that train U."""
    name = "J12-stall"
    drops = {}
    records = [r for r in subject.watch.trail.steps if r.phase is not Phase.ENVIRONMENT]
    for loss in PREDICTION:
        values = [r.losses[loss] for r in records if loss in r.losses]
        if len(values) >= 8:
            part = max(2, len(values) // 5)
            early, late = float(np.mean(values[:part])), float(np.mean(values[-part:]))
            drops[loss] = (early - late) / max(abs(early), 1e-12)
            break
    if not drops:
        return not_evaluable(name, "too few steps to see a loss fall.")
    loss, drop = next(iter(drops.items()))
    return judged(
        name,
        drop < STALL,
        f"The loss {loss} fell by {drop:.2%} over the stages that train U.",
        "The prediction's loss falls.",
        {"relative_drop": float(drop), "threshold": STALL, "loss": str(loss)},
    )


def mixed_context(subject: Subject) -> Finding:
    """J13: a support drawn from several cells: its environment is an average."""
    name = "J13-mixed-context"
    steps = [r for r in subject.watch.trail.steps if r.phase is not Phase.POTENTIAL]
    reads = [r for r in steps if r.support_rows]
    if not subject.reads_support or not reads:
        return not_evaluable(name, "no support is read.")
    most = max(r.support_cells for r in reads)
    sampler = None if subject.watch.training is None else subject.watch.training.samplers[0]
    return judged(
        name,
        most > 1,
        f"One support held rows of {most} cells, so the environment read from it is an average.",
        "Every support comes from one cell.",
        {"most_cells_in_a_support": most, "threshold": 1, "steps": len(reads)},
        place(sampler),
    )


def dead_competition(subject: Subject) -> Finding:
    """J15: pull and push are zero and rho is one, all the time."""
    name = "J15-dead-competition"
    live = [loss for loss in _WAITING if loss in subject.declared.losses and subject.declared.losses[loss].weight]
    if not subject.declared.environment.opportunist or not live:
        return not_evaluable(name, "no competition is declared.")
    records = [r for r in subject.watch.trail.steps if any(loss in r.losses for loss in live)]
    fired = sum(any(r.losses.get(loss, 0.0) > 0 for loss in live) for r in records)
    rho = np.array([row.value for row in subject.monitors.rows if row.monitor == "rho" and math.isfinite(row.value)])
    spread = float(np.abs(rho - 1).max()) if rho.size else 0.0
    return judged(
        name,
        fired == 0 and spread < 1e-3,
        "Pull and push were zero in every step and rho never left 1.",
        "The competition is alive.",
        {"steps_with_pull_or_push": fired, "steps": len(records), "largest_distance_of_rho_from_1": spread},
    )


def suicidal_push(subject: Subject) -> Finding:
    """J16: the opportunist is driven beyond random answers."""
    name = "J16-suicidal-push"
    config = subject.declared.losses.get(LossName.PUSH)
    values = [r.losses[LossName.OPPORTUNIST] for r in subject.watch.trail.steps if LossName.OPPORTUNIST in r.losses]
    if config is None or not config.weight or not values:
        return not_evaluable(name, "nothing pushes the opportunist.")
    share = float(subject.train.prevalence)
    chance = -(share * math.log(share) + (1 - share) * math.log(1 - share))
    late = float(np.mean(values[-max(1, len(values) // 5) :])) / chance
    return judged(
        name,
        late > SUICIDE,
        f"The opportunist ends at {late:.1f} times the loss of a random answer.",
        "The opportunist is not driven to random answers.",
        {"loss_over_chance": late, "threshold": SUICIDE},
    )


def absent_at_inference(subject: Subject) -> Finding:
    """J18: an environment in training and none when an unseen cell is scored."""
    name = "J18-absent-at-inference"
    steps = {r.stage for r in subject.watch.trail.steps if r.phase is not Phase.POTENTIAL}
    if not steps or subject.declared.readout == "potential":
        return not_evaluable(name, "training uses no environment either.")
    if subject.declared.environment.unseen is not Unseen.NONE and not subject.reads_support:
        return not_evaluable(name, "no support is served, so there is nothing to read an unseen cell from.")
    supports = subject.held.supports(subject.regimes[0])
    neutral = subject.method.model.neutral(1)
    encoded = subject.encoded(subject.held.query)
    plain = subject.coupled(encoded, *subject.model._split(neutral)).detach().numpy()
    gap = float(np.abs(subject.score(supports) - plain).max())
    return judged(
        name,
        gap < CONSTANT_ENVIRONMENT,
        "An unseen cell is scored without any environment, though training has one.",
        "An unseen cell is scored with the environment read from it.",
        {"largest_effect_of_the_environment": gap, "threshold": CONSTANT_ENVIRONMENT},
        place(subject.method),
    )


def id_environment(subject: Subject) -> Finding:
    """J22: the environment of an unseen cell comes from a table of ids."""
    environment = subject.declared.environment
    return judged(
        "J22-id-environment",
        environment.unseen is not Unseen.RAISE,
        f"An unseen cell gets what the id table has for it: {environment.unseen.value}.",
        "Unseen cells are not read by an id.",
        {"unseen": environment.unseen.value, "student": environment.student.value},
        place(subject.model.student.estimator),
    )


def dominant_regulariser(subject: Subject) -> Finding:
    """J23: sparsity or orthogonality outweighs the prediction where it acts."""
    return _dominance(subject, "J23-dominant-regulariser", (LossName.SPARSE, LossName.ORTHOGONAL))


def dominant_adversary(subject: Subject) -> Finding:
    """J27: gradient reversal outweighs the prediction in the encoder."""
    return _dominance(subject, "J27-dominant-adversary", (LossName.DOMAIN,), only=Group.ENCODER)


def over_compression(subject: Subject) -> Finding:
    """J25: the bottleneck's posterior has collapsed on the prior."""
    if not subject.declared.encoder.bottleneck:
        return not_evaluable("J25-over-compression", "no bottleneck is declared.")
    active = float(np.max(list(subject.monitors.cells("active-dimensions").values()), initial=0.0))
    return judged(
        "J25-over-compression",
        active < 1,
        "No dimension of the bottleneck tells pairs apart any more.",
        "The bottleneck lets something through.",
        {"active_dimensions": active, "threshold": 1, "kl": subject.monitors.last("kl", "held-out")},
        place(subject.model.wrapper),
    )


def degenerate_loss(subject: Subject) -> Finding:
    """J31: a weighted loss that is zero, or the same number, in every step."""
    problems = []
    checked = 0
    for name, config in subject.declared.losses.items():
        values = [r.losses[name] for r in subject.watch.trail.steps if name in r.losses]
        if not config.weight or name in _WAITING or len(values) < 4:
            continue
        checked += 1
        if np.ptp(values) < 1e-9 and name is not LossName.GAMMA_PRIOR:
            problems.append((name, values[0]))
    training = subject.watch.training
    where = place(training.losses[problems[0][0]], problems[0][0]) if problems and training is not None else ""
    return judged(
        "J31-degenerate-loss",
        bool(problems),
        f"The loss {problems[0][0]} is {problems[0][1]:.3g} in every step." if problems else "",
        "No weighted loss is constant.",
        {"losses": checked, "constant": len(problems)},
        where,
    )


def no_validation(subject: Subject) -> Finding:
    """J33: training goes on without looking at held-out training cells."""
    stopping = subject.declared.stopping
    if not stopping.cells:
        return not_evaluable("J33-no-validation", "a fixed number of steps is made, and no epoch is selected.")
    return judged(
        "J33-no-validation",
        not subject.evaluations,
        "Early stopping is declared and never looked.",
        "Training is watched on held-out training cells.",
        {"evaluations": len(subject.evaluations), "cells": stopping.cells},
    )


def negative_loss(subject: Subject) -> Finding:
    """J34: a loss that cannot be negative is."""
    training = subject.watch.training
    lowest, worst = 0.0, None
    for record in subject.watch.trail.steps:
        for name, value in record.losses.items():
            if training is not None and training.losses[name].nonnegative and not value >= lowest:
                lowest, worst = value, name
    where = place(training.losses[worst], worst) if training is not None and worst is not None else ""
    return judged(
        "J34-negative-loss",
        not lowest >= NEGATIVE,
        f"The loss {worst} went to {lowest:.3g}, and it cannot be negative.",
        "No loss is below its bound.",
        {"lowest": lowest, "threshold": NEGATIVE},
        where,
    )


def _dominance(subject: Subject, name: str, losses: tuple[LossName, ...], only: Group | None = None) -> Finding:
    wanted = [loss for loss in losses if loss in subject.declared.losses and subject.declared.losses[loss].weight]
    if not wanted:
        return not_evaluable(name, f"none of {', '.join(losses)} is declared.")
    ratios: dict[tuple[LossName, Group], list[float]] = {}
    for record in subject.watch.trail.gradients:
        for (loss, group), size in record.norms.items():
            if loss not in wanted or (only is not None and group is not only):
                continue
            main = max((record.norms.get((task, group), 0.0) for task in PREDICTION), default=0.0)
            if main > 0:
                ratios.setdefault((loss, group), []).append(size / main)
    worst = max(ratios.items(), key=lambda item: float(np.median(item[1])), default=None)
    if worst is None:
        return not_evaluable(name, "the regulariser and the prediction never met in one group.")
    (loss, group), values = worst
    ratio = float(np.median(values))
    return judged(
        name,
        ratio > DOMINANT,
        f"The loss {loss} sends {ratio:.1f} times the prediction's gradient into {group}.",
        "Regularisers stay below the prediction.",
        {"median_ratio": ratio, "threshold": DOMINANT, "loss": str(loss), "group": str(group)},
    )

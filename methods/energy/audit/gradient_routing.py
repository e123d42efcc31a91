"""Alignment: gradients reach what the table of routing allows, exactly, and every loss and part takes part."""

from __future__ import annotations

from ...audits.finding import Finding
from ..names import Group, LossName
from .e26 import E26
from .thresholds import ROUTING_ERROR
from .verdict import not_evaluable, place, verdict
from .watch import Watch

#: They wait for a student that is worse than its rival; dead competition is a verdict of its own.
_WAITING = {LossName.PULL, LossName.PUSH}


def routing(watch: Watch) -> Finding:
    """Declarations against the table, single losses through the live routing, and the sum that arrived."""
    training = watch.training
    if training is None or not watch.trail.gradients:
        return not_evaluable("routing", "no gradient was seen.")
    problems, where = [], ""
    for name, loss in training.losses.items():
        allowed = E26[name]
        wrong = sorted(loss.reach - allowed.full - allowed.small)
        loud = sorted((loss.reach - loss.small) & (allowed.small - allowed.full))
        leak = training.config.losses[name].leak and Group.ENCODER not in allowed.full | allowed.small
        if wrong or leak:
            found = ", ".join(wrong or [Group.ENCODER])
            problems.append(f"The loss {name} may reach {found}, which the routing table forbids")
        elif loud:
            problems.append(f"The loss {name} reaches {', '.join(loud)} in full, and the table allows a small part")
        if (wrong or leak or loud) and not where:
            where = place(loss, name)
    strayed, worst = 0.0, 0.0
    for record in watch.trail.gradients:
        for (name, group), size in record.strayed.items():
            strayed = max(strayed, size)
            if not any(f"loss {name} " in text for text in problems):
                problems.append(f"The loss {name} sends a gradient of norm {size:.2g} into {group}, which is forbidden")
                where = where or place(training.losses[name], name)
        for group, error in record.error.items():
            worst = max(worst, error)
            if error > ROUTING_ERROR and not any(f"in {group} " in text for text in problems):
                problems.append(
                    f"The gradient that arrived in {group} differs by {error:.2g} of its norm from the sum of the "
                    f"losses that may reach it (step {record.step})"
                )
                where = where or "methods/energy/routing.py route"
    evidence = {
        "watched_steps": len(watch.trail.gradients),
        "largest_forbidden_norm": strayed,
        "largest_relative_error": worst,
        "threshold": ROUTING_ERROR,
    }
    return verdict(
        "routing", problems, "Every loss reaches the groups that the table allows and no other.", evidence, where
    )


def gradient_share(watch: Watch) -> Finding:
    """Share of every loss in the whole gradient, and parts that no gradient reaches; judged at the end of training."""
    training, records = watch.training, watch.trail.gradients
    if training is None or not records:
        return not_evaluable("gradient-share", "no gradient was seen.")
    problems, where = [], ""
    shares: dict[LossName, list[float]] = {}
    for record in records:
        total = sum(size**2 for size in record.total.values()) ** 0.5
        for name in {name for name, _ in record.norms}:
            own = sum(size**2 for (loss, _), size in record.norms.items() if loss is name) ** 0.5
            shares.setdefault(name, []).append(own / total if total > 0 else 0.0)
    for name, config in watch.config.losses.items():
        if not (config.weight or config.start) or name in _WAITING:
            continue
        if not any(share > 0 for share in shares.get(name, [])):
            problems.append(f"The loss {name} moved nothing in any watched step")
            where = where or place(training.losses[name], name)
    model = training.model
    for part in watch._parts:
        module = part.of(model)
        if module is None or not any(True for _ in module.parameters()) or part.path in watch.trail.moved:
            continue
        problems.append(f"No gradient reached the part {part.path} in {len(watch.trail.steps)} steps")
        where = where or place(module)
    idle = sorted(group for group, own in training.groups().items() if own and group not in watch.trail.optimised)
    if idle:
        problems.append(f"The optimiser never held the parameters of {', '.join(idle)}")
    evidence: dict[str, float | int | str | None] = {}
    for name, own in shares.items():
        evidence[f"share_{name}_start"], evidence[f"share_{name}_end"] = own[0], own[-1]
        evidence[f"share_{name}_middle"] = own[len(own) // 2]
    return verdict("gradient-share", problems, "Every loss and every part takes part in training.", evidence, where)

"""Alignment: every declared part exists, is of its class, is registered, has trainable parameters, and no other."""

from __future__ import annotations

from ...audits.finding import Finding
from .declared_parts import OPTIONAL
from .verdict import not_evaluable, place, verdict
from .watch import Watch

NAME = "presence"


def presence(watch: Watch) -> Finding:
    """The live model of a training against its declared parts."""
    if watch.training is None:
        return not_evaluable(NAME, "no step of training was seen.")
    model = watch.training.model
    registered = {id(module) for module in model.modules()}
    grouped = {id(p) for own in watch.training.groups().values() for p in own}
    problems, where, parameters = [], place(model), 0
    parts = watch._parts
    for part in parts:
        module = part.of(model)
        if module is None:
            problems.append(f"The declared part {part.path} ({part.kind.__name__}) does not exist")
            continue
        own = list(module.parameters())
        parameters += sum(p.numel() for p in own)
        if type(module) is not part.kind:
            problems.append(f"The part {part.path} is a {type(module).__name__}, and {part.kind.__name__} is declared")
            where = place(module)
        elif id(module) not in registered:
            problems.append(f"The part {part.path} is not registered, so nothing trains or saves it")
        elif any(not p.requires_grad for p in own):
            problems.append(f"Parameters of {part.path} cannot be trained")
        elif any(id(p) not in grouped for p in own):
            problems.append(f"Parameters of {part.path} belong to no group that training knows")
    declared = {part.path.split(".")[0] for part in parts}
    problems += [
        f"The model holds a {name} that is not declared"
        for name in OPTIONAL
        if getattr(model, name, None) is not None and name not in declared
    ]
    evidence = {"parts": len(parts), "parameters": parameters, "problems": len(problems)}
    return verdict(NAME, problems, "Every declared part exists, is registered and can be trained.", evidence, where)

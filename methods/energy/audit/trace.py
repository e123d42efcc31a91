"""Alignment: every declared part runs and the prediction depends on it; what must not speak there does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ...audits.finding import Finding
from ..config import EstimatorKind, Unseen
from ..couplings.temperature import Temperature
from .declared_parts import Part
from .subject import Subject
from .thresholds import TRACE_EFFECT
from .verdict import place, verdict

_STRENGTH = 0.1


def trace(subject: Subject) -> Finding:
    """Forward hooks on a real scoring, and a perturbed output of every part."""
    model, environment = subject.model, subject.declared.environment
    supports = subject.held.supports(subject.regimes[0])
    problems: list[str] = []
    where, effects, parts = "", {}, subject.watch._parts
    ran: set[str] = set()
    with _listening(model, parts, ran):
        before = subject.score(supports)
    known_before = _known_scores(subject)
    for part in parts:
        module, reason = part.of(model), _silent(part, subject)
        if module is None:
            continue
        if part.path not in subject.watch.trail.executed:
            problems.append(f"The part {part.path} never ran in training")
            where = where or place(module)
        if reason == "training only":
            continue
        if reason == "never":
            with _perturbed(module):
                moved = float(np.abs(subject.score(supports) - before).max())
            if moved > 0:
                problems.append(
                    f"The prediction for an unseen cell changes by {moved:.2g} with {part.path}, "
                    "which may not speak there"
                )
                where = where or place(module)
            if part.path.startswith("teacher") and environment.fusion > 0:
                with _perturbed(module):
                    effects[part.path] = float(np.abs(_known_scores(subject) - known_before).max())
            else:
                continue
        elif subject.declared.readout == "potential" and not part.path.startswith(("encoder", "wrapper", "head")):
            continue
        else:
            if part.path not in ran:
                problems.append(f"The part {part.path} did not run when the method scored")
                where = where or place(module)
                continue
            with _perturbed(module):
                effects[part.path] = float(np.abs(subject.score(supports) - before).max())
        if not effects[part.path] > TRACE_EFFECT:
            problems.append(f"Perturbing the output of {part.path} leaves every score as it is")
            where = where or place(module)
    for name, effect in _parameter_effects(subject).items():
        effects[f"parameter_{name}"] = effect
        if not effect > TRACE_EFFECT:
            problems.append(f"The coupling's parameter {name} has no effect on any score")
            where = where or place(model.coupling)
    evidence = {f"effect_{name}": value for name, value in effects.items()} | {"threshold": TRACE_EFFECT}
    return verdict("trace", problems, "Every declared part ran, and the prediction depends on it.", evidence, where)


def _silent(part: Part, subject: Subject) -> str:
    """Why a part has no word in the prediction for an unseen cell; empty if it has one."""
    environment = subject.declared.environment
    if part.path == "chromatin":
        return "training only"
    if part.path.startswith(("teacher", "opportunist")):
        return "never"
    if part.path == "student.estimator" and environment.student is EstimatorKind.NONE:
        return "training only"
    if part.path.startswith("student") and environment.unseen is Unseen.NONE:
        return "training only"
    if part.path.startswith("student.estimator") and not subject.reads_support and not subject.method._reads_cell:
        return "training only"
    if part.path == "posterior" and not subject.reads_support:
        return "training only"
    return ""


def _parameter_effects(subject: Subject) -> dict[str, float]:
    """Effect on held-out logits of moving each raw parameter of the cell by one."""
    model = subject.model
    with torch.no_grad():
        encoded = subject.encoded(subject.held.query)
        default = model.student.modulator.default
        # At the default an interaction may stand at zero; a little off it nothing may.
        start = default + 0.3 * torch.sign(torch.randn(default.shape, generator=_fixed()).to(default))
        rows = [start, *(start + _unit(start, place) for place in range(model.coupling.n_raw))]
        environment = model._environment(torch.stack(rows), None)
        natural, temperature = model._split(environment)
        logits = subject.coupled(encoded, natural, temperature)
    return {name: float((logits[place + 1] - logits[0]).abs().max()) for place, name in enumerate(model.coupling.names)}


def _known_scores(subject: Subject) -> np.ndarray:
    """Logits of a few training rows in their own, known cells."""
    rows = np.concatenate([np.flatnonzero(subject.train.cell == code)[:40] for code in range(subject.train.n_cells)])
    train = subject.train
    few = type(train)(train.pairs.take(rows), train.label[rows], train.cell[rows], train.n_cells)
    return subject.method.score_training(few)


@contextmanager
def _listening(model: nn.Module, parts: list[Part], ran: set[str]) -> Iterator[None]:
    handles = []
    for part in parts:
        module = part.of(model)
        if module is not None:
            handles.append(module.register_forward_hook(lambda m, given, out, path=part.path: ran.add(path)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _perturbed(module: nn.Module) -> Iterator[None]:
    """While this lasts, the module's output is off by a tenth of its size, in a fixed direction."""
    scale = 1.0 + _STRENGTH if isinstance(module, Temperature) else None
    handle = module.register_forward_hook(lambda m, given, out: _off(out, scale))
    try:
        yield
    finally:
        handle.remove()


def _off(value: object, scale: float | None) -> object:
    if isinstance(value, Tensor) and value.is_floating_point():
        if scale is not None:
            return value * scale
        return value + _STRENGTH * (value.abs() + 1) * torch.randn(value.shape, generator=_fixed()).to(value)
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return value._make([_off(part, scale) for part in value])
    return value


def _unit(like: Tensor, place: int) -> Tensor:
    one = torch.zeros_like(like)
    one[place] = 1.0
    return one


def _fixed() -> torch.Generator:
    return torch.Generator().manual_seed(0)

"""Alignment: what was declared against the live objects, and the weights that losses really got."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from ...audits.finding import Finding
from ..config import EnergyConfig, TemperatureKind
from ..encoders.wrappers import Bottleneck
from ..names import Group
from ..samplers.build import SAMPLERS
from .declared_parts import declared_parts
from .thresholds import WEIGHT_ERROR
from .verdict import not_evaluable, place, verdict
from .watch import Watch

if TYPE_CHECKING:
    from ..training import _Training

NAME = "configuration"
Manifest = dict[str, object]


def configuration(watch: Watch) -> Finding:
    """Manifest of the live objects against the declared one; effective weights of every step against declared ones."""
    if watch.training is None:
        return not_evaluable(NAME, "no step of training was seen.")
    wanted, found = declared_manifest(watch.config), live_manifest(watch.training)
    problems = [
        f"Declared {name} = {wanted.get(name)!r}, live {found.get(name)!r}"
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name)
    ]
    where = place(watch.training.model) if problems else ""
    worst = 0.0
    for record in watch.trail.steps:
        for name, weight in record.wanted.items():
            gap = abs(record.applied[name] - weight) / max(weight, 1e-6)
            worst = max(worst, gap)
            if gap > WEIGHT_ERROR and not any(f"loss {name} " in text for text in problems):
                problems.append(
                    f"The loss {name} has weight {weight:.3g} in the configuration and was applied with "
                    f"{record.applied[name]:.3g} in stage {record.stage}"
                )
                where = place(watch.training.losses[name], name)
    strange = watch.trail.decayed - {Group.ENCODER}
    if strange:
        problems.append(f"Weight decay belongs to the encoder alone and is on {', '.join(sorted(strange))}")
    evidence: dict[str, float | int | str | None] = {
        "hash": manifest_hash(found),
        "declared_hash": manifest_hash(wanted),
        "largest_weight_error": worst,
        "threshold": WEIGHT_ERROR,
    }
    return verdict(NAME, problems, "Live objects and applied loss weights are the declared ones.", evidence, where)


def manifest_hash(manifest: Manifest) -> str:
    """Twelve hexadecimal digits of a manifest."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, default=str).encode()).hexdigest()[:12]


def declared_manifest(config: EnergyConfig) -> Manifest:
    """What the configuration says of parts, sampler, temperature, losses, fusion and stages."""
    temperature = config.temperature
    out: Manifest = {}
    out |= {f"part {part.path}": part.kind.__name__ for part in declared_parts(config)}
    out |= {
        "sampler": SAMPLERS[config.sampler.kind].__name__,
        "sampler options": config.sampler.model_dump(mode="json"),
        "temperature": [temperature.kind.value, temperature.low, temperature.high],
        "fusion": config.environment.fusion,
        "coupling signed": config.coupling.signed,
        "latent": config.encoder.latent,
        "stages": [stage.model_dump(mode="json") for stage in config.stages],
        "losses": sorted(config.losses),
        "stopping": config.stopping.model_dump(mode="json"),
        "optimiser": config.optimiser.model_dump(mode="json"),
    }
    if config.encoder.bottleneck:
        out["sigma_min"] = config.encoder.sigma_min
    return out


def live_manifest(training: _Training) -> Manifest:
    """The same, read from the objects that train."""
    model = training.model
    out: Manifest = {}
    for part in declared_parts(model.config):
        module = part.of(model)
        out[f"part {part.path}"] = None if module is None else type(module).__name__
    sampler, temperature = training.samplers[0], model.temperature
    kinds = {type(sampler).__name__ for sampler in training.samplers}
    low, high = (temperature.low, temperature.high)
    if temperature.kind is TemperatureKind.FIXED and temperature.fixed is not None:
        low, high = training.config.temperature.low, training.config.temperature.high
    out |= {
        "sampler": kinds.pop() if len(kinds) == 1 else sorted(kinds),
        "sampler options": getattr(sampler, "config", training.config.sampler).model_dump(mode="json"),
        "temperature": [temperature.kind.value, low, high],
        "fusion": model.config.environment.fusion,
        "coupling signed": getattr(model.coupling, "signed", model.config.coupling.signed),
        "latent": _width(training),
        "stages": [stage.model_dump(mode="json") for stage in training.config.stages],
        "losses": sorted(training.losses),
        "stopping": training.config.stopping.model_dump(mode="json"),
        "optimiser": training.config.optimiser.model_dump(mode="json"),
    }
    if isinstance(model.wrapper, Bottleneck):
        out["sigma_min"] = model.wrapper.sigma_min
    return out


def _width(training: _Training) -> int:
    wrapper = training.model.wrapper
    linear = getattr(wrapper, "mean", None) or getattr(wrapper, "linear", None)
    return int(getattr(linear, "out_features", training.model.config.encoder.latent))

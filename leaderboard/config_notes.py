"""What a reader must know of a row's configuration: choices that only negative controls make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from ..benchmark.records import MethodFacts

_UNSEEN = {
    "mean": "a cell that training has not seen gets the mean of the table of training cells (unseen = mean)",
    "none": "a cell that training has not seen has no environment, although training cells have one (unseen = none)",
}


def config_notes(facts: MethodFacts) -> tuple[str, ...]:
    """Notes on the configuration of a row, as its record holds it."""
    try:
        config = json.loads(facts.config)
    except ValueError:  # of somebody else's record, which `epishot verify` complains of
        return ()
    return tuple(_notes(config)) if isinstance(config, Mapping) else ()


def _notes(config: Mapping[str, object]) -> Iterator[str]:
    unseen = _section(config, "environment").get("unseen")
    if isinstance(unseen, str) and unseen in _UNSEEN:
        yield _UNSEEN[unseen]
    if _section(config, "sampler").get("mixed_support") is True:
        yield "in training a support is drawn from all cells at once (mixed_support)"
    losses = _section(config, "losses")
    leaks = sorted(name for name in losses if _section(losses, name).get("leak") is True)
    if leaks:
        yield f"losses that reach the encoder against their declaration (leak): {', '.join(leaks)}"
    if config.get("readout") == "potential":
        yield "scores are the potential U alone, without the environment (readout = potential)"


def _section(config: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}

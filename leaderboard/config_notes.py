"""What a reader must know of a row's configuration: what tuning chose, and choices that only negative controls make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from ..benchmark.records import CompactRecord, MethodFacts
from ..benchmark.tuned import Tuned, setting_text, tuned_in
from ..tasks.errors import EpishotError

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
    return (*_tuning(facts.config), *_notes(config)) if isinstance(config, Mapping) else ()


def tuning_note(records: Sequence[CompactRecord]) -> str:
    """One paragraph on how the tuned rows of one task and protocol were tuned; empty where none is."""
    tuned = [(one.budget, found) for one in records if (found := _readable(one.method.config)) is not None]
    if not tuned:
        return ""
    most = max(len(found.settings) for _, found in tuned)
    return (
        f"**Tuned rows** say so below the tables: for each held-out cell one of at most {most} settings, chosen "
        "on one of its training cells by fits on chromosome fold 1, seed 0, that saw neither cell nor the fold's "
        "chromosomes, and then used for all folds, seeds and k. So labels of training cells on every chromosome have "
        "a part in the choice, those of the held-out cell on none. Every fit, of every row that was run here, has the "
        f"budget {tuned[0][0]:g} x the default training steps of its method."
    )


def _tuning(config: str) -> Iterator[str]:
    """The setting of each held-out cell, and where none was chosen, why."""
    tuned = _readable(config)
    if tuned is None:
        return
    chosen: dict[str, list[str]] = {}
    left: dict[str, list[str]] = {}
    for cell, choice in tuned.cells.items():
        if choice.why is None:
            chosen.setdefault(setting_text(choice.setting), []).append(cell)
        else:
            left.setdefault(choice.why, []).append(cell)
    if chosen:
        yield "tuned: " + ", ".join(f"{text} ({', '.join(cells)})" for text, cells in chosen.items())
    for why, cells in left.items():
        yield f"not tuned, default settings ({', '.join(cells)}): {why}"


def _readable(config: str) -> Tuned | None:
    try:
        return tuned_in(config)
    except EpishotError:  # of somebody else's record, likewise
        return None


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

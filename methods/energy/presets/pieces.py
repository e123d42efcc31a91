"""What several presets are made of: losses, environments, samplers and stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...base import Regime
from ..config import DEFAULT_STAGES

RANKING: Mapping[str, object] = {"task": {"weight": 1.0}, "rank": {"weight": 0.5}, "calibration": {"weight": 0.01}}
NATURAL: Mapping[str, object] = {"likelihood": {"weight": 1.0}}
#: Ranking beside the likelihood at natural prevalence, so that U lies on the scale of logits: what slopes and offsets
#: of cells are read against.
NATURAL_RANKING: Mapping[str, object] = {
    "likelihood": {"weight": 1.0},
    "rank": {"weight": 0.5},
    "calibration": {"weight": 0.01},
}
#: A closed form around what the moments of the support say; known cells are read by id alone, so that U is learned
#: beside the whole cell's parameters instead of one support's.
CLOSED_FORM: Mapping[str, object] = {"student": "moments", "posterior": True, "fusion": 1.0}
TAUGHT: Mapping[str, object] = {"distill": {"weight": 0.1}, "sparse": {"weight": 0.001}}
BLOCKS: Mapping[str, object] = {"kind": "block_meta"}
NO_SUPPORT = frozenset({Regime.NONE})


def scaled_stages(
    scale: float = 1.0, *, frozen: Sequence[str] = ("encoder",), last: int | None = None
) -> tuple[Mapping[str, object], ...]:
    """The default stages with `scale` times their steps (for slower parts); the last: groups `frozen`, `last` steps."""
    stages = []
    for stage in DEFAULT_STAGES:
        own = {**stage.model_dump(mode="json"), "steps": round(scale * stage.steps)}
        if stage.restart:
            own |= {"frozen": list(frozen), "steps": last or own["steps"]}
        stages.append(own)
    return tuple(stages)

"""The weights of losses, and those of the default."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ..names import LossName
from .section import Section, Share, Weight


class LossConfig(Section):
    """Weight of a loss: `start` until `ramp[0]`, then linear to `weight` at `ramp[1]` (shares of all steps).

    `options` go to the loss. `leak` lets it reach the encoder against its declaration: negative controls only.
    """

    weight: Weight
    start: Weight = 0.0
    ramp: tuple[Share, Share] = (0.0, 0.0)
    options: dict[str, float | str | bool] = Field(default_factory=dict)
    leak: bool = False

    @property
    def live(self) -> bool:
        """Whether it weighs anything at any time."""
        return bool(self.weight or self.start)

    def at(self, progress: float) -> float:
        """Weight when the share `progress` of all steps is done."""
        low, high = self.ramp
        share = 1.0 if progress >= high else max(0.0, (progress - low) / (high - low))
        return self.start + (self.weight - self.start) * share


#: Losses of ranking and task; the environment losses beside them.
DEFAULT_LOSSES: Mapping[LossName, LossConfig] = {
    LossName.TASK: LossConfig(weight=1.0),
    LossName.RANK: LossConfig(weight=0.5),
    LossName.CALIBRATION: LossConfig(weight=0.01),
    LossName.DISTILL: LossConfig(weight=0.1),
    LossName.SPARSE: LossConfig(weight=0.001),
    LossName.LIKELIHOOD: LossConfig(weight=1.0),
}

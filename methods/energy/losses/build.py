"""From a configuration to losses, and the refusal of losses that would be identically zero."""

from __future__ import annotations

from collections.abc import Mapping

from ....tasks.errors import MethodError
from ..config import LossConfig
from ..names import LossName
from . import (
    adversarial,
    bottleneck,
    calibration,
    competition,
    contrast,
    dependence,
    mmd,
    multitask,
    penalty,
    prototypes,
    ranking,
    swap,
    task,
    temperature,
    transfer,
)
from .base import Loss, Sizes

LOSSES: Mapping[LossName, type[Loss]] = {
    kind.name: kind
    for kind in (
        task.Task,
        task.Likelihood,
        task.CrossEntropy,
        task.Speculation,
        ranking.Rank,
        dependence.Orthogonal,
        transfer.Sparse,
        adversarial.Domain,
        dependence.Correlation,
        bottleneck.Bottleneck,
        swap.Swap,
        dependence.Decorrelation,
        contrast.ContrastLatent,
        contrast.ContrastEnvironment,
        contrast.Hierarchical,
        contrast.SupervisedContrast,
        mmd.MmdAlign,
        mmd.MmdSeparate,
        temperature.Entropy,
        temperature.GammaPrior,
        temperature.PriorMatch,
        dependence.Hsic,
        dependence.Mine,
        transfer.Distill,
        competition.Pull,
        competition.Push,
        competition.Opportunist,
        calibration.Calibration,
        multitask.Chromatin,
        transfer.Consistency,
        prototypes.Prototype,
        prototypes.Graph,
        penalty.EncoderPenalty,
    )
}


def build_losses(configs: Mapping[LossName, LossConfig], sizes: Sizes) -> dict[LossName, Loss]:
    """The configured losses, in their order, for a model of these sizes.

    Raises:
        MethodError: a loss has an unknown or impossible option.
    """
    return {name: LOSSES[name](sizes, **config.options) for name, config in configs.items()}


def refuse_degenerate(
    losses: Mapping[LossName, Loss],
    *,
    distinct_cells: int,
    sampler: str,
    stochastic_encoder: bool,
    cell_free_encoder: bool,
    n_cells: int,
    mixed_support: bool = False,
) -> None:
    """Refuse losses that would be identically zero, or constant, in every step.

    Args:
        losses: that are active together. distinct_cells: that a step is sure to hold. sampler: its kind.
        stochastic_encoder: two encodings of a pair differ.
        cell_free_encoder: what the encoder reads is the same in all cells (DNA).
        n_cells: training cells that can be drawn. mixed_support: supports are drawn from all cells at once, so no
            support row belongs to a known cell.

    Raises:
        MethodError: the text names the loss and the sampler, or what else it needs.
    """
    for name, loss in losses.items():
        text = f"The loss {name.value!r}"
        if loss.cells > distinct_cells:
            if n_cells < loss.cells:
                raise MethodError(
                    f"{text} compares at least {loss.cells} cells, and training has {n_cells}; take it out of `losses`."
                )
            raise MethodError(
                f"{text} compares at least {loss.cells} cells of a step, and the sampler {sampler!r} is sure of "
                f"{distinct_cells}, where it would be zero or say nothing; use the sampler 'block_meta' or 'episodic' "
                f"with `sampler.blocks` of {loss.cells} or more (a stage's own `blocks` too)."
            )
        if mixed_support and "support_cell" in loss.reads:
            raise MethodError(
                f"{text} asks which cell each support was drawn from, and mixed supports come from all of them; set "
                "`sampler.mixed_support` to false and use the sampler 'block_meta' or 'episodic'."
            )
        if name is LossName.SWAP and cell_free_encoder and not stochastic_encoder:
            raise MethodError(
                f"{text} is identically zero for an encoder that reads the same in every cell (DNA only); set "
                "`encoder.bottleneck` to true or read features."
            )

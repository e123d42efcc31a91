"""From a configuration to encoder, wrapper and head."""

from __future__ import annotations

from torch import nn

from ....tasks.errors import MethodError
from ..config import EncoderConfig, EncoderKind, HeadKind
from ..parts import Encoder, PairInputs
from .cached import CachedEncoder
from .cross import CrossAttentionEncoder
from .features import FeatureEncoder
from .heads import FourierEnergyHead, LinearHead
from .kmer import KmerEncoder
from .prism import PrismEncoder
from .wrappers import Bottleneck, LatentMap, Wrapper


def build_encoder(config: EncoderConfig, inputs: PairInputs) -> Encoder:
    """The encoder that `config` names.

    Args:
        config: kind and sizes. inputs: training rows, from which it takes scales and widths.

    Raises:
        MethodError: the task lacks what this kind reads, or sizes that cannot work.
    """
    kind = config.kind
    if kind is EncoderKind.FEATURES:
        if inputs.features is None:
            raise MethodError("A feature encoder reads chromatin features and distance, and was given neither.")
        return FeatureEncoder(
            inputs.features,
            bins=config.bins,
            width=config.width,
            depth=config.depth,
            dropout=config.dropout,
            feature_dropout=config.feature_dropout,
            noise=config.noise,
        )
    _check_sequences(config, inputs)
    if kind is EncoderKind.KMER:
        return KmerEncoder(inputs, k=config.kmer, width=config.width, distance=config.distance)
    if kind is EncoderKind.CACHED:
        return CachedEncoder(inputs, cache=config.cache, width=config.width, distance=config.distance)
    if config.channels % (2 * config.heads):
        raise MethodError(
            f"Rotary attention needs an even number of channels per head; {config.channels} `encoder.channels` over "
            f"{config.heads} `encoder.heads` is not."
        )
    if kind is EncoderKind.PRISM:
        return PrismEncoder(config, inputs)
    return CrossAttentionEncoder(config, inputs)


def _check_sequences(config: EncoderConfig, inputs: PairInputs) -> None:
    if inputs.enhancer is None or inputs.promoter is None:
        raise MethodError(
            f"The {config.kind.value} encoder reads DNA; this task has no sequences. Use the features encoder."
        )
    if config.distance and inputs.features is None:
        raise MethodError("`encoder.distance` appends log10 distance, which these inputs lack.")
    shortest = min(inputs.enhancer.shape[1], inputs.promoter.shape[1])
    if config.kind is not EncoderKind.CACHED and shortest < config.kmer:
        raise MethodError(f"A sequence of {shortest} bases holds no word of `encoder.kmer` = {config.kmer} bases.")


def build_wrapper(config: EncoderConfig, size: int) -> Wrapper:
    """From hidden vectors of `size` to latents; called right after `build_encoder`, it draws what follows.

    Raises:
        MethodError: a bottleneck whose smallest sd is not below that of the prior.
    """
    if config.bottleneck:
        return Bottleneck(size, config.latent, config.sigma_min)
    return LatentMap(size, config.latent)


def build_head(config: EncoderConfig) -> nn.Module:
    """The potential head that `config` names: (..., d) -> (...,)."""
    if config.head is HeadKind.LINEAR:
        return LinearHead(config.latent)
    return FourierEnergyHead(config.latent, config.head_width, config.harmonics)

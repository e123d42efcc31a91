"""What makes hidden vectors of pairs, and U of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from ...features import Scale
from .section import Count, Dropped, Positive, Section, Weight


class EncoderKind(StrEnum):
    """What makes hidden vectors of pairs."""

    FEATURES = "features"  #: multilayer perceptron on chromatin features and distance
    KMER = "kmer"  #: linear map of k-mer counts of both sequences
    PRISM = "prism"  #: k-mer embedding, CNN, RoPE self-attention, CBAT cross-attention
    CROSS_ATTENTION = "cross_attention"  #: the same with plain dense cross-attention
    CACHED = "cached"  #: precomputed embeddings looked up by sequence

    @property
    def reads_sequence(self) -> bool:
        """Whether DNA is needed."""
        return self is not EncoderKind.FEATURES


class HeadKind(StrEnum):
    """How z becomes U."""

    FOURIER = "fourier"  #: FourierEnergyKAN
    LINEAR = "linear"


class EncoderConfig(Section):
    """Encoder, wrappers and potential head.

    `scale` of the features; `bins`, `width`, `depth`, `dropout`, `feature_dropout`, `noise` of the feature network;
    `latent` = d; `harmonics`, `head_width` of the Fourier head. `kmer`, `channels`, `kernel`, `pool`, `heads`,
    `token_dropout` of the sequence encoders (PRISM's published sizes: kmer 6, channels 64, kernel 43, pool 24,
    heads 4, token_embedding 768; the defaults are reduced so that training fits two cores).
    `distance` appends log10 distance to a sequence encoder's hidden vector. `cache` is the file of precomputed
    embeddings. Wrappers: `bottleneck` (sd at least `sigma_min`) and the `chromatin` head.
    """

    kind: EncoderKind = EncoderKind.FEATURES
    scale: Scale = Scale.RANK
    bins: Count = 6
    width: Count = 128
    depth: Count = 2
    latent: Count = 16
    dropout: Dropped = 0.3
    feature_dropout: Dropped = 0.3
    noise: Weight = 0.3
    kmer: Annotated[int, Field(ge=1, le=8)] = 4
    token_embedding: Count = 32
    channels: Count = 32
    kernel: Count = 11
    pool: Count = 12
    heads: Count = 2
    token_dropout: Dropped = 0.1
    distance: bool = True
    cache: str = ""
    head: HeadKind = HeadKind.FOURIER
    harmonics: Count = 5
    head_width: Count = 33
    bottleneck: bool = False
    sigma_min: Positive = 0.3
    chromatin: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> EncoderConfig:
        if self.kind is EncoderKind.CACHED and not self.cache:
            raise ValueError("a cached encoder needs `encoder.cache`, the file of its embeddings")
        if self.chromatin and not self.kind.reads_sequence:
            raise ValueError("the chromatin head predicts what a feature encoder reads; use a sequence encoder")
        if self.channels % self.heads:
            raise ValueError("`encoder.channels` must be a multiple of `encoder.heads`")
        return self

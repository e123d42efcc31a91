"""Presets on DNA: k-mers and attention over both sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..method import FEATURE_READS, SEQUENCE_READS, EnergyMethod
from .pieces import NATURAL, NO_SUPPORT, RANKING, TAUGHT, scaled_stages


class EnergyKmer(EnergyMethod):
    """energy-additive on a linear map of k-mer counts of both sequences."""

    name = "energy-kmer"
    summary = "(U - R) / T on k-mer counts of enhancer and promoter"
    reads = SEQUENCE_READS
    transductive = False
    preset: ClassVar[Mapping[str, object]] = {"encoder": {"kind": "kmer", "head": "linear"}}


#: Attention over DNA costs a hundred times what chromatin features do: fewer and smaller steps.
_DNA: Mapping[str, object] = {"sampler": {"block_rows": 128, "blocks": 2}, "stages": scaled_stages(0.4)}


class EnergyPrism(EnergyMethod):
    """energy-additive on the PRISM encoder: k-mer tokens, CNN, rotary self-attention, anchored cross-attention."""

    name = "energy-prism"
    summary = "(U - R) / T on DNA: k-mer CNN, rotary self-attention, anchored cross-attention (reduced size)"
    reads = SEQUENCE_READS
    transductive = False
    preset: ClassVar[Mapping[str, object]] = {
        "encoder": {"kind": "prism"},
        "losses": {**RANKING, **TAUGHT, **NATURAL, "encoder_penalty": {"weight": 1.0}},
        **_DNA,
    }


class EnergyCrossAttention(EnergyMethod):
    """The sequence baseline: plain cross-attention, no environment, mixed batches."""

    name = "energy-cross-attention"
    summary = "U on DNA with plain cross-attention, no environment: the sequence baseline"
    reads = SEQUENCE_READS
    regimes = NO_SUPPORT
    transductive = False
    preset: ClassVar[Mapping[str, object]] = {
        "encoder": {"kind": "cross_attention"},
        "environment": {"student": "none", "teacher": "none"},
        "temperature": {"kind": "fixed"},
        "losses": {"task": {"weight": 1.0}, "likelihood": {"weight": 1.0}},
        "sampler": {"kind": "random", "block_rows": 128, "blocks": 2},
        "stages": scaled_stages(0.4),
    }


class EnergyMultitask(EnergyMethod):
    """A sequence trunk that predicts chromatin features beside the label; the blocking gate joins the cell."""

    name = "energy-multitask"
    summary = "DNA trunk that also predicts chromatin; (softplus(U) sigma(w R) - b) / T"
    reads = SEQUENCE_READS | FEATURE_READS
    transductive = False
    preset: ClassVar[Mapping[str, object]] = {
        **_DNA,
        "encoder": {"kind": "prism", "chromatin": True},
        "coupling": {"kind": "gate"},
        "environment": {"student": "moments"},
        "losses": {
            **RANKING,
            "chromatin": {"weight": 0.3},
            "encoder_penalty": {"weight": 1.0},
            "distill": {"weight": 0.1},
            **NATURAL,
        },
    }

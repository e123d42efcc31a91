"""The named energy methods: each is a configuration of the same parts.

A preset states what it changes of the default configuration (`EnergyConfig`); a preset's losses and stages
replace the default's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from ..base import Regime
from .config import DEFAULT_STAGES
from .method import FEATURE_READS, SEQUENCE_READS, EnergyMethod

_RANKING: Mapping[str, object] = {"task": {"weight": 1.0}, "rank": {"weight": 0.5}, "calibration": {"weight": 0.01}}
_NATURAL: Mapping[str, object] = {"likelihood": {"weight": 1.0}}
#: Ranking beside the likelihood at natural prevalence, so that U lies on the scale of logits: what slopes and offsets
#: of cells are read against.
_NATURAL_RANKING: Mapping[str, object] = {
    "likelihood": {"weight": 1.0},
    "rank": {"weight": 0.5},
    "calibration": {"weight": 0.01},
}
#: A closed form around what the moments of the support say; known cells are read by id alone, so that U is learned
#: beside the whole cell's parameters instead of one support's.
_CLOSED_FORM: Mapping[str, object] = {"student": "moments", "posterior": True, "fusion": 1.0}
_TAUGHT: Mapping[str, object] = {"distill": {"weight": 0.1}, "sparse": {"weight": 0.001}}
_BLOCKS: Mapping[str, object] = {"kind": "block_meta"}
#: What the old single-vector models were trained by.
_LEGACY: Mapping[str, object] = {
    "task": {"weight": 1.0},
    "sparse": {"weight": 0.01},
    "orthogonal": {"weight": 0.1},
    "domain": {"weight": 0.1},
}
#: One learning rate for all parts, and little decay: as the old models were trained.
_ONE_RATE: Mapping[str, object] = {"environment_rate": 2e-3, "weight_decay": 1e-3}
_ONE_STAGE: tuple[Mapping[str, object], ...] = ({"name": "joint", "steps": 350, "phase": "joint"},)


def _stages(
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


#: The interaction of pair and cell stays as joint training left it: trained on, it learns the few cells and loci of the
#: last stage by heart.
_FROZEN_INTERACTION = _stages(frozen=("encoder", "coupling"))
#: What the x-dependent couplings without a closed form have in common.
_INTERACTING: Mapping[str, object] = {
    "environment": {"student": "mean"},
    "losses": {**_NATURAL_RANKING, **_TAUGHT},
    "sampler": _BLOCKS,
    "stages": _FROZEN_INTERACTION,
}
_NO_SUPPORT = frozenset({Regime.NONE})


class EnergyAdditive(EnergyMethod):
    """logit = (U - R) / T: the environment shifts every pair of a cell alike.

    The ranking inside a cell is that of U; the support moves offset and calibration only.
    """

    name = "energy-additive"
    summary = "(U - R) / T: Fourier-KAN potential, student resistance R >= 0 taught by an id-teacher"
    preset: ClassVar[Mapping[str, object]] = {"losses": {**_NATURAL_RANKING, **_TAUGHT}, "sampler": _BLOCKS}


class EnergyInteraction(EnergyMethod):
    """logit = (U - R + lambda U R) / T with a dual-branch encoder and a set mean of environment features.

    lambda is free in sign; 1 + lambda R < 0 would invert a cell's ranking.
    """

    name = "energy-interaction"
    summary = "(U - R + lambda U R) / T: dual branch, InfoNCE on e, correlation and domain losses"
    preset: ClassVar[Mapping[str, object]] = {
        "coupling": {"kind": "interaction"},
        "environment": {"student": "mean", "branch": True, "posterior": True, "fusion": 1.0},
        "losses": {
            **_NATURAL_RANKING,
            "correlation": {"weight": 0.1},
            "domain": {"weight": 0.1},
            "contrast_environment": {"weight": 0.05},
            "sparse": {"weight": 0.01},
        },
        "sampler": _BLOCKS,
    }


class EnergyInteractionConditional(EnergyMethod):
    """logit = (U + a(c) U + b(c)) / T: the fallback of the interaction, linear in the environment."""

    name = "energy-interaction-conditional"
    summary = "(U + a(c) U + b(c)) / T: slope and offset linear in the environment embedding"
    preset: ClassVar[Mapping[str, object]] = {
        "coupling": {"kind": "conditional"},
        "environment": _CLOSED_FORM,
        "losses": _NATURAL_RANKING,
        "sampler": _BLOCKS,
    }


_GATED_LOSSES: Mapping[str, object] = {**_NATURAL_RANKING, "hsic": {"weight": 0.1}}


class EnergyGate(EnergyMethod):
    """logit = (softplus(U) sigma(w R(c)) - b) / T: a gate that blocks, since what it scales is positive."""

    name = "energy-gate"
    summary = "(softplus(U) sigma(w R) - b) / T: blocking gate, moments of the support, HSIC(z, c)"
    preset: ClassVar[Mapping[str, object]] = {
        "coupling": {"kind": "gate", "form": "blocking"},
        "environment": _CLOSED_FORM,
        "temperature": {"kind": "fixed"},
        "losses": _GATED_LOSSES,
        "sampler": _BLOCKS,
    }


class EnergyGateLiteral(EnergyMethod):
    """logit = U sigma(w R(c) + b) / T: the gate on the logit, which is a temperature of the cell's own."""

    name = "energy-gate-literal"
    summary = "U sigma(w R + b) / T: the gate on the logit itself, equal to a temperature per cell"
    preset: ClassVar[Mapping[str, object]] = {**EnergyGate.preset, "coupling": {"kind": "gate", "form": "literal"}}


class EnergySaturating(EnergyMethod):
    """logit = U / (1 + R(c)) / T: suppression that saturates, also a temperature of the cell's own."""

    name = "energy-saturating"
    summary = "U / (1 + R) / T: saturating suppression, moments of the support, HSIC(z, c)"
    preset: ClassVar[Mapping[str, object]] = {**EnergyGate.preset, "coupling": {"kind": "saturating"}}


class EnergyHill(EnergyMethod):
    """logit = s (h - h0) / T, h = U+^n / (U+^n + K(c)^n): occupancy with a half point per cell."""

    name = "energy-hill"
    summary = "s (h - h0) / T with Hill occupancy h of softplus(U) and half point K(c)"
    preset: ClassVar[Mapping[str, object]] = {**EnergyGate.preset, "coupling": {"kind": "hill"}}


class EnergyCmdn(EnergyMethod):
    """logit = M(c) U + B(c): multiplicative modulation read from the support, behind an information bottleneck.

    T is fixed, since only M / T and B / T enter.
    """

    name = "energy-cmdn"
    summary = "M(c) U + B(c): multiplicative modulation, information bottleneck, swap and decorrelation losses"
    preset: ClassVar[Mapping[str, object]] = {
        "encoder": {"bottleneck": True},
        "coupling": {"kind": "affine"},
        "environment": _CLOSED_FORM,
        "temperature": {"kind": "fixed"},
        "losses": {
            **_NATURAL_RANKING,
            "bottleneck": {"weight": 0.003, "ramp": [0.0, 0.5]},
            "swap": {"weight": 0.05},
            "decorrelation": {"weight": 0.05},
            "prior_match": {"weight": 0.1},
        },
        "sampler": _BLOCKS,
    }


class EnergyContrastive(EnergyMethod):
    """(U - R) / T with a dual branch whose environment features are clustered by cell (InfoNCE on e)."""

    name = "energy-contrastive"
    summary = "(U - R) / T: dual branch, InfoNCE by cell on environment features e, prototypes, MMD"
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "prototypes", "branch": True},
        "temperature": {"kind": "gamma"},
        "losses": {
            **_RANKING,
            "contrast_environment": {"weight": 0.1},
            "mmd_align": {"weight": 0.1},
            "orthogonal": {"weight": 0.1},
            "prototype": {"weight": 0.05},
            "gamma_prior": {"weight": 0.01},
            "distill": {"weight": 0.1},
            **_NATURAL,
        },
        "sampler": _BLOCKS,
    }


class EnergyContrastiveLiteral(EnergyMethod):
    """The other reading: InfoNCE by cell on z itself, which makes the pair side predict the cell."""

    name = "energy-contrastive-literal"
    summary = "as energy-contrastive with InfoNCE by cell on z itself: raises I(z; c)"
    preset: ClassVar[Mapping[str, object]] = {
        **EnergyContrastive.preset,
        "losses": {
            **_RANKING,
            "contrast_latent": {"weight": 0.1},
            "orthogonal": {"weight": 0.1},
            "prototype": {"weight": 0.05},
            "gamma_prior": {"weight": 0.01},
            "distill": {"weight": 0.1},
            **_NATURAL,
        },
    }


class EnergyTeacherStudent(EnergyMethod):
    """(U - R) / T with a teacher on a prototype graph, a set-attention student and an opportunist beside them.

    The teacher knows training cells by id and is never asked about another; the student reads the support and
    is distilled towards it; the opportunist competes on simple statistics and never enters a prediction.
    """

    name = "energy-teacher-student"
    summary = "(U - R) / T: prototype-graph teacher, ISAB student, opportunist; pull, pace lock, distillation"
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "isab", "teacher": "teacher", "opportunist": True},
        # Set attention is slow to find what a support says of the offset: after 135 steps it had hardly begun to.
        "stages": _stages(0.8, last=250),
        "losses": {
            **_RANKING,
            "distill": {"weight": 0.05},
            "pull": {"weight": 0.5},
            "push": {"weight": 0.0},
            "opportunist": {"weight": 1.0},
            "graph": {"weight": 0.01},
            "sparse": {"weight": 0.001},
            **_NATURAL,
        },
    }


class EnergyStaged(EnergyMethod):
    """The teacher-student system where only the task loss reaches U, in single-cell batches, in stages."""

    name = "energy-staged"
    summary = "(U - R) / T: prototypes student, graph teacher; single-cell batches, only the task reaches U"
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "prototypes", "teacher": "teacher", "opportunist": True},
        "losses": {
            "task": {"weight": 1.0},
            "distill": {"weight": 1.0},
            "pull": {"weight": 0.5},
            "opportunist": {"weight": 1.0},
            "sparse": {"weight": 0.001},
            **_NATURAL,
        },
        "sampler": {"kind": "cell_batch"},
    }


class EnergyPlatt(EnergyMethod):
    """a(c) U + b(c) by maximum a posteriori over the labelled support (Platt 1999): what students must beat."""

    name = "energy-platt"
    summary = "a U + b in closed form from the labelled support: the reference of the scalar family"
    preset: ClassVar[Mapping[str, object]] = {
        "coupling": {"kind": "affine"},
        "environment": {"student": "none", "posterior": True, "fusion": 1.0},
        "temperature": {"kind": "fixed"},
        "losses": _NATURAL_RANKING,
        "sampler": _BLOCKS,
    }


class EnergyPrototypes(EnergyMethod):
    """(U - R) / T with R read by a kernel over moving prototypes of the training cells (Snell et al. 2017)."""

    name = "energy-prototypes"
    summary = "(U - R) / T: R by a kernel over EMA prototypes of the training cells"
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "prototypes"},
        "losses": {**_NATURAL_RANKING, **_TAUGHT},
        "sampler": _BLOCKS,
    }


class EnergyCellFeatures(EnergyMethod):
    """(U - R) / T with R from label-free statistics of the cell's chromatin: no support is needed."""

    name = "energy-cell-features"
    summary = "(U - R) / T: R from label-free chromatin statistics of the whole cell"
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "cell_features"},
        "losses": {**_NATURAL_RANKING, **_TAUGHT},
        "sampler": _BLOCKS,
    }


class EnergyBilinear(EnergyMethod):
    """logit = (U + phi(z)' W e - R) / T: a low-rank interaction of pair and cell.

    The smallest coupling by which a support can change the ranking inside a cell.
    """

    name = "energy-bilinear"
    summary = "(U + z' W e - R) / T: energy-additive plus a low-rank interaction of pair and environment"
    preset: ClassVar[Mapping[str, object]] = {
        "coupling": {"kind": "bilinear"},
        "environment": _CLOSED_FORM,
        "losses": _NATURAL_RANKING,
        "sampler": _BLOCKS,
        "stages": _FROZEN_INTERACTION,
    }


class EnergyFilm(EnergyMethod):
    """logit = (head(gamma(c) z + beta(c)) - R) / T: feature-wise modulation (Perez et al. 2018), bottlenecked."""

    name = "energy-film"
    summary = "(head(gamma z + beta) - R) / T: feature-wise modulation by a set-attention embedding"
    preset: ClassVar[Mapping[str, object]] = {
        "encoder": {"bottleneck": True},
        "coupling": {"kind": "film"},
        "environment": {"student": "isab"},
        "losses": {**_NATURAL_RANKING, "bottleneck": {"weight": 0.003, "ramp": [0.0, 0.5]}, **_TAUGHT},
        "sampler": _BLOCKS,
        "stages": _stages(0.8, frozen=("encoder", "coupling")),
    }


class EnergyGateVector(EnergyMethod):
    """logit = (head(d g(c) z) - R) / T with g in the simplex by sparsemax (Martins & Astudillo 2016)."""

    name = "energy-gate-vector"
    summary = "(head(g z) - R) / T: sparsemax gate over the latent features"
    preset: ClassVar[Mapping[str, object]] = {
        **_INTERACTING,
        "coupling": {"kind": "gate_vector"},
        "environment": {"student": "moments"},
    }


class EnergyPairResistance(EnergyMethod):
    """logit = (U - R(z, c)) / T: a resistance of the pair, through which R may carry sequence (audit it)."""

    name = "energy-pair-resistance"
    summary = "(U - R(z, c)) / T: a resistance that depends on pair and cell"
    preset: ClassVar[Mapping[str, object]] = {**_INTERACTING, "coupling": {"kind": "pair_resistance"}}


class EnergyProjection(EnergyMethod):
    """logit = (head(z orthogonal to z_E(c)) - R) / T: the hard orthogonal projection."""

    name = "energy-projection"
    summary = "(head(z projected off z_E) - R) / T: hard orthogonality of pair and environment"
    preset: ClassVar[Mapping[str, object]] = {**_INTERACTING, "coupling": {"kind": "projection"}}


class EnergyBypass(EnergyMethod):
    """U plus a modulation of the split [G, F, I] of z: common, specific and interaction parts."""

    name = "energy-bypass"
    summary = "U + FiLM of the split of z into common, specific and interaction parts"
    preset: ClassVar[Mapping[str, object]] = {**_INTERACTING, "coupling": {"kind": "bypass"}}


class EnergyPseudoDecoupled(EnergyMethod):
    """Negative control: an id table beside a U that sees raw features, in mixed batches.

    U absorbs what tells the cells apart and the table is left with nothing; an unseen cell has no resistance.
    """

    name = "energy-pseudo-decoupled"
    summary = "negative control: (U - R) / T, raw features, id table (unseen: none), mixed batches"
    regimes = _NO_SUPPORT
    transductive = False
    preset: ClassVar[Mapping[str, object]] = {
        "encoder": {"scale": "raw", "feature_dropout": 0.0, "dropout": 0.15, "noise": 0.0},
        "optimiser": _ONE_RATE,
        "environment": {"student": "id_table", "teacher": "none", "unseen": "none"},
        "losses": {"task": {"weight": 1.0}, "orthogonal": {"weight": 0.1}, "domain": {"weight": 0.1}},
        "sampler": {"kind": "random"},
        "stages": _ONE_STAGE,
    }


class EnergyLegacy(EnergyMethod):
    """Negative control: the old model as it was run, environment by id in training and absent at inference."""

    name = "energy-legacy"
    summary = "negative control: (U - R) / T, id table in training, no environment at inference"
    regimes = _NO_SUPPORT
    preset: ClassVar[Mapping[str, object]] = {
        "optimiser": _ONE_RATE,
        "environment": {"student": "id_table", "teacher": "none", "unseen": "none"},
        "losses": _LEGACY,
        "sampler": {"kind": "random"},
        "stages": _ONE_STAGE,
    }


class EnergyIdTable(EnergyMethod):
    """Negative control: R from a table of training cells; an unseen cell gets the mean of the table."""

    name = "energy-id-table"
    summary = "negative control: (U - R) / T with R by cell id; unseen cells take the mean of the table"
    regimes = _NO_SUPPORT
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "id_table", "teacher": "none", "unseen": "mean"},
        "losses": {"cross_entropy": {"weight": 1.0}},
        "sampler": {"kind": "random"},
        "stages": _ONE_STAGE,
    }


class EnergyCednetMixed(EnergyMethod):
    """Negative control: teacher, student and an opportunist that trains the backbone, on mixed supports.

    The support is an average over cells, and the losses of the competition reach the encoder, against the
    declarations by which gradients are routed.
    """

    name = "energy-cednet-mixed"
    summary = "negative control: live teacher and student on mixed supports, opportunist through the backbone"
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "isab", "teacher": "teacher", "opportunist": True},
        "losses": {
            **_LEGACY,
            "distill": {"weight": 1.0, "options": {"form": "kl"}, "leak": True},
            "pull": {"weight": 0.5, "leak": True},
            "push": {"weight": 0.1, "leak": True},
            "opportunist": {"weight": 1.0, "leak": True},
            **_NATURAL,
        },
        "sampler": {"kind": "block_meta", "mixed_support": True},
        "stages": _stages(0.6),
    }


class EnergyKmer(EnergyMethod):
    """energy-additive on a linear map of k-mer counts of both sequences."""

    name = "energy-kmer"
    summary = "(U - R) / T on k-mer counts of enhancer and promoter"
    reads = SEQUENCE_READS
    transductive = False
    preset: ClassVar[Mapping[str, object]] = {"encoder": {"kind": "kmer", "head": "linear"}}


#: Attention over DNA costs a hundred times what chromatin features do: fewer and smaller steps.
_DNA: Mapping[str, object] = {"sampler": {"block_rows": 128, "blocks": 2}, "stages": _stages(0.4)}


class EnergyPrism(EnergyMethod):
    """energy-additive on the PRISM encoder: k-mer tokens, CNN, rotary self-attention, anchored cross-attention."""

    name = "energy-prism"
    summary = "(U - R) / T on DNA: k-mer CNN, rotary self-attention, anchored cross-attention (reduced size)"
    reads = SEQUENCE_READS
    transductive = False
    preset: ClassVar[Mapping[str, object]] = {
        "encoder": {"kind": "prism"},
        "losses": {**_RANKING, **_TAUGHT, **_NATURAL, "encoder_penalty": {"weight": 1.0}},
        **_DNA,
    }


class EnergyCrossAttention(EnergyMethod):
    """The sequence baseline: plain cross-attention, no environment, mixed batches."""

    name = "energy-cross-attention"
    summary = "U on DNA with plain cross-attention, no environment: the sequence baseline"
    reads = SEQUENCE_READS
    regimes = _NO_SUPPORT
    transductive = False
    preset: ClassVar[Mapping[str, object]] = {
        "encoder": {"kind": "cross_attention"},
        "environment": {"student": "none", "teacher": "none"},
        "temperature": {"kind": "fixed"},
        "losses": {"task": {"weight": 1.0}, "likelihood": {"weight": 1.0}},
        "sampler": {"kind": "random", "block_rows": 128, "blocks": 2},
        "stages": _stages(0.4),
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
            **_RANKING,
            "chromatin": {"weight": 0.3},
            "encoder_penalty": {"weight": 1.0},
            "distill": {"weight": 0.1},
            **_NATURAL,
        },
    }

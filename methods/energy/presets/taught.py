"""(U - R) / T, read and taught in other ways: by teachers, prototypes, contrasts or label-free chromatin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..method import EnergyMethod
from .pieces import BLOCKS, NATURAL, NATURAL_RANKING, RANKING, TAUGHT, scaled_stages


class EnergyContrastive(EnergyMethod):
    """(U - R) / T with a dual branch whose environment features are clustered by cell (InfoNCE on e)."""

    name = "energy-contrastive"
    summary = "(U - R) / T: dual branch, InfoNCE by cell on environment features e, prototypes, MMD"
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "prototypes", "branch": True},
        "temperature": {"kind": "gamma"},
        "losses": {
            **RANKING,
            "contrast_environment": {"weight": 0.1},
            "mmd_align": {"weight": 0.1},
            "orthogonal": {"weight": 0.1},
            "prototype": {"weight": 0.05},
            "gamma_prior": {"weight": 0.01},
            "distill": {"weight": 0.1},
            **NATURAL,
        },
        "sampler": BLOCKS,
    }


class EnergyContrastiveLiteral(EnergyMethod):
    """The other reading: InfoNCE by cell on z itself, which makes the pair side predict the cell."""

    name = "energy-contrastive-literal"
    summary = "as energy-contrastive with InfoNCE by cell on z itself: raises I(z; c)"
    preset: ClassVar[Mapping[str, object]] = {
        **EnergyContrastive.preset,
        "losses": {
            **RANKING,
            "contrast_latent": {"weight": 0.1},
            "orthogonal": {"weight": 0.1},
            "prototype": {"weight": 0.05},
            "gamma_prior": {"weight": 0.01},
            "distill": {"weight": 0.1},
            **NATURAL,
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
        "stages": scaled_stages(0.8, last=250),
        "losses": {
            **RANKING,
            "distill": {"weight": 0.05},
            "pull": {"weight": 0.5},
            "push": {"weight": 0.0},
            "opportunist": {"weight": 1.0},
            "graph": {"weight": 0.01},
            "sparse": {"weight": 0.001},
            **NATURAL,
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
            **NATURAL,
        },
        "sampler": {"kind": "cell_batch"},
    }


class EnergyPrototypes(EnergyMethod):
    """(U - R) / T with R read by a kernel over moving prototypes of the training cells (Snell et al. 2017)."""

    name = "energy-prototypes"
    summary = "(U - R) / T: R by a kernel over EMA prototypes of the training cells"
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "prototypes"},
        "losses": {**NATURAL_RANKING, **TAUGHT},
        "sampler": BLOCKS,
    }


class EnergyCellFeatures(EnergyMethod):
    """(U - R) / T with R from label-free statistics of the cell's chromatin: no support is needed."""

    name = "energy-cell-features"
    summary = "(U - R) / T: R from label-free chromatin statistics of the whole cell"
    preset: ClassVar[Mapping[str, object]] = {
        "environment": {"student": "cell_features"},
        "losses": {**NATURAL_RANKING, **TAUGHT},
        "sampler": BLOCKS,
    }

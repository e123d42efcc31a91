"""Who reads the cell."""

from __future__ import annotations

from enum import StrEnum

from pydantic import model_validator

from .section import Count, Inner, Positive, Section, Share


class EstimatorKind(StrEnum):
    """What reads a cell."""

    NONE = "none"  #: nothing: the empty-support default for every cell
    ID_TABLE = "id_table"  #: embedding by training-cell id
    MEAN = "mean"  #: Deep Sets with residual statistics
    MOMENTS = "moments"  #: mean, sd and quantiles of rows, learned map
    QUANTILES = "quantiles"
    ISAB = "isab"  #: induced set attention
    PROTOTYPES = "prototypes"  #: kernel over EMA prototypes of the training cells
    CELL_FEATURES = "cell_features"  #: statistics of the cell's unlabelled chromatin
    TEACHER = "teacher"  #: cell id -> mixture over a graph of prototypes
    OPPORTUNIST = "opportunist"  #: simple statistics of the support


class Unseen(StrEnum):
    """What an id table answers for a cell it does not hold."""

    RAISE = "raise"
    MEAN = "mean"  #: mean of the table: negative controls only
    NONE = "none"  #: no environment: the old train/inference mismatch, negative controls only


class EnvironmentConfig(Section):
    """Who reads the cell.

    `student` reads the support, in all cells; `posterior` refines its parameters by the closed form (
    maximum a posteriori over the labelled support, with the student's reading as prior mean). `teacher` knows
    training cells by id; `fusion` is alpha of alpha teacher + (1 - alpha) student in known cells. `opportunist`
    competes beside and never enters a prediction. `branch`: set estimators read e = phi_E'(h) of the rows instead
    of z (a dual-branch encoder). `dim` = d_e; `inducing` points of ISAB; `prototypes` per training cell, moved with
    `decay`, read with kernel width `tau`; `newton` steps and `prior_sd` (start) of the closed form,
    whose x-dependent part, mean and sd, is shrunk by n / (n + 16) for n training cells (`posterior.transfer`).
    """

    student: EstimatorKind = EstimatorKind.MEAN
    teacher: EstimatorKind = EstimatorKind.ID_TABLE
    opportunist: bool = False
    posterior: bool = False
    branch: bool = False
    fusion: Share = 0.5
    unseen: Unseen = Unseen.RAISE
    dim: Count = 16
    inducing: Count = 8
    prototypes: Count = 4
    decay: Inner = 0.9
    tau: Positive = 1.0
    newton: Count = 4
    prior_sd: Positive = 1.0

    @model_validator(mode="after")
    def _consistent(self) -> EnvironmentConfig:
        if self.student in (EstimatorKind.TEACHER, EstimatorKind.OPPORTUNIST):
            raise ValueError(
                f"`environment.student` cannot be {self.student.value!r}: an unseen cell is read by the student alone, "
                "and the teacher knows training cells only, while the opportunist never enters a prediction"
            )
        if self.teacher not in (EstimatorKind.NONE, EstimatorKind.ID_TABLE, EstimatorKind.TEACHER):
            raise ValueError("`environment.teacher` must be none, id_table or teacher")
        if self.student is EstimatorKind.ID_TABLE and self.teacher is not EstimatorKind.NONE:
            raise ValueError(
                "a student that is an id table leaves nothing for a teacher; set `environment.teacher` to none"
            )
        return self

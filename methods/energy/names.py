"""The names of parameter groups and losses, as configurations and the routing table speak of them."""

from __future__ import annotations

from enum import StrEnum


class Group(StrEnum):
    """Groups of parameters."""

    ENCODER = "encoder"  #: everything that makes U and z (backbone and U head)
    TEMPERATURE = "temperature"
    TEACHER = "teacher"
    STUDENT = "student"  #: with the environment branch of a dual-branch encoder
    OPPORTUNIST = "opportunist"
    PROTOTYPES = "prototypes"  #: with their graph
    COUPLING = "coupling"  #: lambda, w, n, W of a coupling
    CHROMATIN = "chromatin"  #: the chromatin head
    DISCRIMINATOR = "discriminator"  #: what losses train for themselves


class LossName(StrEnum):
    """Losses; the comments name the entry of the literature each belongs to."""

    TASK = "task"  #: IMMAX on logits
    LIKELIHOOD = "likelihood"  #: task at natural prevalence
    CROSS_ENTROPY = "cross_entropy"  #: plain BCE on the batch as it is
    SPECULATION = "speculation"  #: against "all positive"
    RANK = "rank"  #: pairwise ranking, within or across cells
    ORTHOGONAL = "orthogonal"  #: cos(z, z_E)
    SPARSE = "sparse"  #: small resistances
    DOMAIN = "domain"  #: gradient reversal, conditional form too
    CORRELATION = "correlation"  #: squared Pearson of z and z_E
    BOTTLENECK = "bottleneck"  #: KL(q(z|x) || N(0, I))
    SWAP = "swap"  #: the same pair in two cells
    DECORRELATION = "decorrelation"  #: corr(U, M(c))^2
    CONTRAST_LATENT = "contrast_latent"  #: InfoNCE by cell on z: the literal reading
    CONTRAST_ENVIRONMENT = "contrast_environment"  #: InfoNCE by cell on e
    HIERARCHICAL = "hierarchical"  #: same cell and label / same cell / other
    SUPERVISED_CONTRAST = "supervised_contrast"  #: same label irrespective of the cell
    MMD_ALIGN = "mmd_align"  #: minimise MMD of z over cells, given y
    MMD_SEPARATE = "mmd_separate"  #: maximise MMD of e over cells
    ENTROPY = "entropy"  #: -T H(p)
    GAMMA_PRIOR = "gamma_prior"  #: T - log T
    PRIOR_MATCH = "prior_match"  #: mean p of a cell = its prevalence
    HSIC = "hsic"  #: HSIC(z, c)
    MINE = "mine"  #: estimate of I(z; z_E)
    DISTILL = "distill"  #: student towards teacher
    PULL = "pull"  #: the student must not lose to the opportunist
    PUSH = "push"  #: the opportunist's shortcut is penalised
    OPPORTUNIST = "opportunist"  #: the opportunist's own task loss
    CALIBRATION = "calibration"  #: place and scale of U
    CHROMATIN = "chromatin"  #: predicted chromatin features
    CONSISTENCY = "consistency"  #: two supports of a cell agree
    PROTOTYPE = "prototype"  #: e near its cell's prototype
    GRAPH = "graph"  #: smooth, centred and separated prototypes
    ENCODER_PENALTY = "encoder_penalty"  #: the encoder's own auxiliary losses

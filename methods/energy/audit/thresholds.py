"""Thresholds of the detectors, all in one place.

Statistical ones were set between what healthy presets show on the calibration seeds and what the planted faults show
there (`epishot audit-faults --calibrate` prints the healthy side); the seeds of the published table and of the tests
are others. What was changed after a wrong answer on those is told in docs/audits.md.
Exact checks (bit-identity, zero gradients) have no threshold.
"""

from __future__ import annotations

#: Seeds on which thresholds were set, and seeds on which the table of faults is made.
CALIBRATION_SEEDS, TABLE_SEEDS = (101, 102), (1,)

#: Loss weights and routed gradients, relative errors of float32 sums.
WEIGHT_ERROR, ROUTING_ERROR = 1e-3, 1e-3
#: Encoding a pair alone or in company may differ by rounding only (float64, relative).
COMPANY_ERROR = 1e-9
#: Replayed logits may differ by rounding only.
REPLAY_ERROR = 1e-9
#: A perturbed part must move the logits by more than this.
TRACE_EFFECT = 1e-9

#: J1: share of H(c) that a linear probe on z tells, while the environment ratio is below the other. The share is
#: half-way between the healthy presets (0) and the weaker of the planted faults (0.64) on the calibration seeds.
CELL_INFORMATION, ENVIRONMENT_RATIO = 0.32, 1e-3
#: J2, J18: the environment's spread over cells and supports, relative to the spread of U.
CONSTANT_ENVIRONMENT = 1e-6
#: J3, J26: share of query probabilities beyond 0.01 and 0.99; about half-way between healthy presets (0.54) and the
#: fault (0.79).
SATURATION = 0.65
#: J4: drift of mean U, in sd of U, that goes with a drift of the offset.
DRIFT = 1.0
#: J5: sd of logits within a cell.
SCORE_SD = 0.02
#: J6, J14: training minus held-out AUPR at equal prevalence; training AUPR from which J6 counts; near-random one.
GAP, OVERFIT_TRAIN, NEAR_RANDOM = 0.2, 0.9, 0.05
#: J8: between-cell share of the variance of U; share of an interaction that is the same in every cell.
U_BETWEEN, COMMON_INTERACTION = 0.5, 1 - 1e-5
#: J9: quadratic minus linear probe, as share of H(c), where the linear one is below the other.
NONLINEAR, LINEAR_LOW = 0.25, 0.1
#: J10: cosine of two losses in the encoder, and the least share of the larger norm that the smaller has.
OPPOSED, COMPARABLE = -0.9, 0.1
#: J12: relative drop of the prediction's loss over a stage that trains U.
STALL = 0.005
#: J16: the opportunist's final task loss over the entropy of the labels.
SUICIDE = 1.5
#: J17: losses of weight in the encoder from which a constant U counts as theirs, and sd of U.
MANY_LOSSES, CONSTANT_U = 4, 0.05
#: J20: distance to the own teacher's word over that of the mean; the student's spread over the teacher's.
MIMICRY, MIMICRY_SPREAD = 0.9, 1e-5
#: J21: p-value of U's AUPR in the held-out cell under permuted labels.
WEAK_P = 0.05
#: J23, J27: gradient of a regulariser in a group over that of the prediction.
DOMINANT = 1.0
#: J24: fall of the held-out AUPR from its best while the held-out loss still falls; at least two standard errors.
MISMATCH = 0.15
#: J28: prevalence of evaluated rows against the cells' own.
PREVALENCE_ERROR = 1e-6
#: J29: Spearman correlation of U with the prior of the pair's gene, beyond which U may be its lookup.
GENE_PRIOR = 0.7
#: J32: share of the labels' entropy that the cell's identity tells.
LABEL_SHORTCUT = 0.2
#: J34: a loss that declares itself non-negative may be below zero by rounding only.
NEGATIVE = -1e-6

#: Verdicts that wait for a model that has learned are not given below this share of a method's own steps.
MATURE = 0.5

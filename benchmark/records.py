"""What is written down: the run record (one run) and the compact record (method x task x protocol).

Records are facts. Everything the leaderboard prints is a pure function of compact records.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

RECORD_SCHEMA = "1"
#: Raise it whenever a metric, the bootstrap or a test changes; rows of different versions never share a table.
EVALUATOR_VERSION = "1"
N_REPLICATES = 1000


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunIdentity(_Frozen):
    """Everything that determines the scores of a run; its canonical JSON is hashed to the run's key.

    Attributes:
        fold: 0..4 under `cell+chrom`, 0 under `cell`.
        method_code: sha256 of the sources that define the method.
        config: configuration as JSON. seed: 0 for deterministic methods.
        versions: versions of the packages that compute.
    """

    task: str
    task_hash: str
    protocol: str
    episode_set: str
    cell: str
    fold: int
    method: str
    method_version: str
    method_code: str
    config: str
    seed: int
    budget: float
    regime: str
    balance: str
    k: int
    draws: int
    evaluator: str
    versions: dict[str, str]


class Cost(_Frozen):
    """Seconds of one core, and memory.

    Attributes:
        fit_s, score_s: wall seconds of the fit and of scoring this run.
        cpu_s, fit_cpu_s: CPU seconds of both, and of the fit alone.
        peak_memory_mb: peak resident memory of the fit's process.
    """

    fit_s: float
    score_s: float
    cpu_s: float
    fit_cpu_s: float = 0.0
    peak_memory_mb: float
    n_parameters: int | None = None


class EpisodeMetrics(_Frozen):
    """Metrics of one draw; an undefined one is None and has a reason code."""

    draw: int
    metrics: dict[str, float | None]
    reasons: dict[str, str] = {}


class RunRecord(_Frozen):
    """One fit scored under one regime, balance and k, over all draws; or why it failed.

    Attributes:
        scores_sha256, scores_bytes: digest and size of the Parquet of scores beside the record (None if failed).
    """

    schema_version: str = RECORD_SCHEMA
    key: str
    identity: RunIdentity
    status: Literal["ok", "failed"]
    error: str | None = None
    n: int
    positives: int
    episodes: tuple[EpisodeMetrics, ...] = ()
    cost: Cost | None = None
    scores_sha256: str | None = None
    scores_bytes: int | None = None
    environment: dict[str, str] = {}


class InnerIdentity(_Frozen):
    """Everything that determines what one setting of a method scores on the inner cell of a held-out cell.

    Attributes:
        rule: version of the way inner cells are taken and settings scored. episode_set: under `cell+chrom`.
        fold: the one used. config: configuration of the setting as JSON. shots: supports of the inner cell.
        Others as in `RunIdentity`.
    """

    rule: str
    task: str
    task_hash: str
    episode_set: str
    held_out: str
    inner: str
    fold: int
    method: str
    method_version: str
    method_code: str
    config: str
    seed: int
    budget: float
    shots: tuple[int, ...]
    draws: int
    evaluator: str
    versions: dict[str, str]


class InnerRecord(_Frozen):
    """Chance-corrected AUPR of the inner cell, mean over draws and then over shots; seconds of fit and scoring."""

    identity: InnerIdentity
    corrected: float
    seconds: float


class FoldFacts(_Frozen):
    """What the query of one fold is like, whatever the method.

    Attributes:
        chance: exact expected AP of a random ranker; None if undefined.
        reason: reason code if average precision is undefined: the fold is then left out for every method.
        pairs, positive_pairs: distinct enhancer-gene pairs. clusters: locus clusters, the bootstrap's unit.
        distance_unmatched: positives that the distance-matched AUPR leaves out (no negative in their bin).
    """

    fold: int
    n: int
    positives: int
    chance: float | None
    reason: str | None = None
    pairs: int = 0
    positive_pairs: int = 0
    clusters: int = 0
    distance_unmatched: int = 0


class CellEntry(_Frozen):
    """One method in one held-out cell under one (regime, balance, k).

    Attributes:
        metrics: means over draws x seeds: "corrected" (the headline), "aupr", "chance", "pair_aupr",
            "distance_aupr", "auroc", "precision_at_70", "fold_pooled_aupr", "brier", "ece", "f1_half", "f1_share".
        reasons: reason codes of the metrics that are None.
        interval: 95 % cluster-bootstrap interval of "corrected".
        redrawn: resamples of the cell's folds that held one class only and were drawn again.
        replicates: row of this entry in the Parquet of replicates, None if there are none.
    """

    cell: str
    regime: str
    balance: str
    k: int
    status: Literal["ok", "infeasible", "failed", "missing"]
    reason: str | None = None
    n: int
    positives: int
    folds: tuple[FoldFacts, ...]
    draws: int
    seeds: int
    metrics: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    interval: tuple[float, float] | None = None
    redrawn: int = 0
    replicates: int | None = None


class AcrossEntry(_Frozen):
    """Metrics over all held-out cells of one (regime, balance, k): cell-pooled AUPR, swap AUC.

    Attributes:
        cells: the cells that were pooled; values over different cells may not be compared.
    """

    regime: str
    balance: str
    k: int
    cells: tuple[str, ...] = ()
    metrics: dict[str, float | None]
    reasons: dict[str, str] = {}


class MethodFacts(_Frozen):
    """What the leaderboard shows of a method.

    Attributes:
        kind: method, control, reference (ceiling, oracle), or external (predictions made elsewhere).
    """

    name: str
    summary: str
    version: str
    kind: Literal["method", "control", "reference", "external"]
    marks: str
    reads: tuple[str, ...]
    regimes: tuple[str, ...]
    deterministic: bool
    logits: bool
    config: str


class ExternalFacts(_Frozen):
    """Where the scores of an external row come from, and how they were matched to pairs. Not re-runnable.

    Attributes:
        file, sha256: name (without folders) and digest of the prediction file.
        columns: the file's column by meaning. joined_by: what identified a pair.
        rows: rows of the file. matched: of these, rows of a pair of the task. outside: matched rows of pairs
            that are no query here. unmatched: the other rows, by reason.
        repeats: rows that repeat a pair with the same score.
        conflicts: pairs with different scores, settled by `settled_by` (max, mean, min).
        other_labels: rows that state another label than the task.
        query: query pairs. missing: of these, pairs without a prediction; they score `fill`.
        scale: ranks, logits or probabilities. inverse: whether all scores were negated.
        examples: up to three rows in words, by finding.
        notes: what a reader of the board must know.
    """

    file: str
    sha256: str
    columns: dict[str, str]
    joined_by: str
    rows: int
    matched: int
    outside: int
    unmatched: dict[str, int] = {}
    repeats: int
    conflicts: int
    settled_by: str | None = None
    other_labels: int
    query: int
    missing: int
    fill: float | None = None
    scale: str
    inverse: bool
    examples: dict[str, tuple[str, ...]] = {}
    notes: tuple[str, ...] = ()


class AuditFinding(_Frozen):
    """One check of an audit; see `methods.audits.finding.Finding`."""

    name: str
    outcome: Literal["pass", "fail", "not evaluable"]
    sentence: str
    evidence: dict[str, float | int | str | None] = {}
    where: str = ""


class AuditRecord(_Frozen):
    """An audit of one method, code and configuration on one task.

    Attributes:
        kind: `harness` (the audits that fit any plugin), or `full` (those of the method's own as well).
        method_code: sha256 of the sources that define the method. config: as JSON. config_hash: sha256 of it.
        task_hash: content of the task. budget, seed: of its fits. own_budget: of the one that the method's own audit
            makes, None if it has none. command, commit, versions: where it comes from.
    """

    schema_version: str = "1"
    kind: Literal["harness", "full"]
    method: str
    method_version: str
    method_code: str
    config: str
    config_hash: str
    task: str
    task_hash: str
    budget: float
    own_budget: float | None = None
    seed: int
    findings: tuple[AuditFinding, ...]
    command: str = ""
    commit: str = ""
    versions: dict[str, str] = {}


class CompactRecord(_Frozen):
    """All results of one method on one task under one protocol; small enough to commit.

    Attributes:
        headline_shots: "all" or "zero", from the task card.
        shots, draws: from which, with the task, the episode set is derived again.
        budget: factor on the methods' default training steps; rows of different budgets may not be compared.
        cells: all held-out cells of the task in card order. tests: how often a held-out cell was scored.
        overlap: per cell, shares of query rows whose gene / pair occurs in training (protocol `cell`).
        cost: per (regime, balance, k) summed over folds, seeds and cells; environment: machine and versions.
        replicates_sha256: digest of the replicates (little-endian float32, row by row) beside this record.
        external: of an external row alone, where its scores come from.
        archive_sha256: digest of the file of full scores that the metrics were computed from; empty where there is
            none (reference rows, whose scores come with the task, and records that were never published).
        audit: of the very code and configuration that was run; None if there is none.
    """

    schema_version: str = RECORD_SCHEMA
    evaluator: str = EVALUATOR_VERSION
    task: str
    task_version: str
    task_hash: str
    headline_shots: str
    protocol: str
    episode_set: str
    shots: tuple[int, ...] = ()
    draws: int = 0
    budget: float = 1.0
    method: MethodFacts
    cells: tuple[str, ...]
    entries: tuple[CellEntry, ...]
    across: tuple[AcrossEntry, ...]
    run_keys: tuple[str, ...]
    test_scorings: int
    overlap: dict[str, dict[str, float]] = {}
    cost: dict[str, float | None] = {}
    replicates_sha256: str = ""
    external: ExternalFacts | None = None
    archive_sha256: str = ""
    audit: AuditRecord | None = None
    command: str
    commit: str
    versions: dict[str, str]

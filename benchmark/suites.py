"""The named suites. A suite never changes under its name and version: a new grid is a new version."""

from __future__ import annotations

from collections.abc import Callable

from ..tasks.registry import Registry
from .specs import MethodSpec, Suite, SuitePart

#: The methods of the first release, controls first. Suites name methods; who implements them is the
#: registry's business.
FIRST_METHODS = tuple(
    MethodSpec(name)
    for name in (
        "constant",
        "distance",
        "activity-distance",
        "gene-prior",
        "element-prior",
        "gene-degree",
        "support-ridge",
        "pooled-logistic-raw",
        "pooled-logistic-rank",
        "pooled-trees-raw",
        "pooled-trees-rank",
        "protonet",
        "maml",
        "energy-additive",
        "energy-bilinear",
    )
)

#: Energy methods that read chromatin features, controls of the family last.
ENERGY_ON_FEATURES = (
    "energy-additive",
    "energy-interaction",
    "energy-interaction-conditional",
    "energy-gate",
    "energy-gate-literal",
    "energy-saturating",
    "energy-hill",
    "energy-cmdn",
    "energy-contrastive",
    "energy-contrastive-literal",
    "energy-teacher-student",
    "energy-staged",
    "energy-film",
    "energy-gate-vector",
    "energy-bilinear",
    "energy-pair-resistance",
    "energy-projection",
    "energy-bypass",
    "energy-platt",
    "energy-prototypes",
    "energy-cell-features",
    "energy-pseudo-decoupled",
    "energy-cednet-mixed",
    "energy-id-table",
    "energy-legacy",
)
#: Energy methods that read DNA, which the real tasks do not have.
ENERGY_ON_SEQUENCE = ("energy-kmer", "energy-prism", "energy-cross-attention", "energy-multitask")
#: The best five on training cells left out (`epishot select --task bengi`, fold 1, seed 0), best first: they get three
#: seeds instead of one.
ENERGY_BEST = (
    "energy-cmdn",
    "energy-saturating",
    "energy-gate-vector",
    "energy-gate-literal",
    "energy-platt",
)

#: Factory of a suite, by name.
SUITES: Registry[Callable[[], Suite]] = Registry("suite")


#: Every learned method of `baselines/` with settings to choose from. Not `maml-learn2learn`: it needs a library of its
#: own, and scores as `maml`.
LEARNED_BASELINES = (
    "pooled-logistic-raw",
    "pooled-logistic-rank",
    "pooled-trees-raw",
    "pooled-trees-rank",
    "pooled-logistic-raw-refit",
    "pooled-logistic-rank-refit",
    "pooled-trees-raw-refit",
    "pooled-trees-rank-refit",
    "pooled-logistic-context",
    "pooled-trees-context",
    "protonet",
    "protonet-mahalanobis",
    "matching",
    "ridge-head",
    "neural-process",
    "maml",
    "fomaml",
    "anil",
    "reptile",
    "fine-tune",
    "erm",
    "coral",
    "dann",
    "groupdro",
    "irm",
    "mixup",
)
#: Named beforehand with settings of their own: nothing is left to choose.
ENSEMBLES = ("pooled-trees-ensemble", "pooled-trees-ensemble-no-context")


def demo() -> Suite:
    """Everything on `synthetic`, offline, in about a minute on two cores."""
    part = SuitePart(
        task="synthetic",
        protocol="cell",
        methods=FIRST_METHODS,
        shots=(0, 16, 64),
        draws=3,
        seeds=1,
        budget=0.2,
    )
    return Suite("demo", "1", (part,))


def v1() -> Suite:
    """The methods of the first release with their default settings: both real tasks under both protocols."""
    return Suite(
        "v1",
        "1",
        tuple(
            SuitePart(
                task=task,
                protocol=protocol,
                methods=FIRST_METHODS,
                shots=(0, 16, 64),
                draws=5,
                seeds=2,
            )
            for task in ("crispr", "bengi")
            for protocol in ("cell+chrom", "cell")
        ),
    )


def energy() -> Suite:
    """The energy family on the grid of `v1`, one seed each, and on the simulator what reads sequences.

    The rows stand beside those of `v1`: same episodes, same budget.
    """
    on_features = tuple(MethodSpec(name, seeds=3 if name in ENERGY_BEST else None) for name in ENERGY_ON_FEATURES)
    real = (
        SuitePart(task=task, protocol=protocol, methods=on_features, shots=(0, 16, 64), draws=5, seeds=1)
        for task in ("crispr", "bengi")
        for protocol in ("cell+chrom", "cell")
    )
    on_sequence = tuple(MethodSpec(name) for name in ENERGY_ON_SEQUENCE)
    simulated = SuitePart(
        task="synthetic",
        protocol="cell",
        # A board without controls would say little.
        methods=(*FIRST_METHODS, *on_sequence),
        shots=(0, 16, 64),
        draws=5,
        seeds=1,
    )
    return Suite("energy", "1", (*real, simulated))


def baselines() -> Suite:
    """Every baseline at full strength: tuned per held-out cell, on the grid of `v1`, and on the simulator.

    The energy family has a suite of its own.
    """
    first = [spec.reference for spec in FIRST_METHODS if not spec.reference.startswith("energy-")]
    methods = tuple(MethodSpec(name) for name in dict.fromkeys([*first, *LEARNED_BASELINES, *ENSEMBLES]))
    places = [(task, protocol) for task in ("crispr", "bengi") for protocol in ("cell+chrom", "cell")]
    return Suite(
        "baselines",
        "1",
        tuple(
            SuitePart(task=task, protocol=protocol, methods=methods, shots=(0, 16, 64), draws=5, seeds=1, tune=True)
            for task, protocol in [*places, ("synthetic", "cell")]
        ),
    )


SUITES.add("baselines", baselines)
SUITES.add("demo", demo)
SUITES.add("energy", energy)
SUITES.add("v1", v1)


def find_suite(name: str) -> Suite:
    """Return a named suite.

    Raises:
        UnknownNameError: no such suite; near names are suggested.
    """
    return SUITES.get(name)()

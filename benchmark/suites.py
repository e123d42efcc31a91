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

#: Factory of a suite, by name.
SUITES: Registry[Callable[[], Suite]] = Registry("suite")


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
    """The published leaderboard: both real tasks under both protocols."""
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


SUITES.add("demo", demo)
SUITES.add("v1", v1)


def find_suite(name: str) -> Suite:
    """Return a named suite.

    Raises:
        UnknownNameError: no such suite; near names are suggested.
    """
    return SUITES.get(name)()

"""What a class may declare as its grid of settings, and what is said where it may not."""

from __future__ import annotations

import numpy as np
import pytest

from epishot.benchmark.suites import LEARNED_BASELINES
from epishot.methods.base import Method, Reads, Regime
from epishot.methods.check import Status, run_checks
from epishot.methods.registry import METHODS, check_method_class, register_method
from epishot.methods.settings import check_settings
from epishot.tasks.errors import MethodError


class Scaled(Method):
    name = "scaled"
    summary = "the distance times a factor"
    reads = frozenset({Reads.DISTANCE})
    regimes = frozenset({Regime.NONE})
    deterministic = True

    def __init__(self, factor: float = 1.0, unseen: int = 0) -> None:
        if factor == 0:
            raise ValueError("a factor of 0 orders nothing")
        self.factor = factor

    def config(self):
        return {"factor": self.factor}

    def fit(self, train, context):
        pass

    def score(self, supports, query, cell_table):
        return np.tile(self.factor * query.distance, (supports.n_episodes, 1))


class Grid(Scaled):
    name = "grid"
    settings = ({"factor": 1.0}, {"factor": 2.0}, {"factor": float("inf")})


class Tried(Scaled):
    name = "tried"
    settings = ({}, {"factor": -1.0})


class NotFinite(Scaled):
    name = "not-finite"
    settings = ({}, {"factor": 1e308})


def declaring(*settings: object) -> type[Method]:
    return type("Declaring", (Scaled,), {"settings": settings, "name": "declaring"})


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (declaring({}, *({"factor": float(n)} for n in range(2, 6))), r"has 5 settings, and at most 4 are tried"),
        (declaring({}, {"scale": 2.0}), r"settings\[1\] = \{'scale': 2.0\} cannot be used: .*scale"),
        (declaring({}, {"factor": 0}), r"settings\[1\] .* cannot be used: a factor of 0 orders nothing"),
        (declaring({"factor": 2.0}, {}), r"settings\[0\] .* is not the default"),
        (declaring({}, {"unseen": 1}), r"same config\(\) as settings\[0\]"),
        (declaring("factor"), r"must be a tuple of mappings"),
        (type("Mapped", (Scaled,), {"settings": {"factor": 2.0}}), r"must be a tuple of mappings"),
        (Grid, r"settings\[2\] .* cannot be used"),
    ],
)
def test_a_grid_that_cannot_be_used_is_refused_at_registration(cls: type[Method], said: str) -> None:
    with pytest.raises(MethodError, match=said):
        register_method(cls)
    assert cls.name not in METHODS


def test_four_settings_and_none_are_fine() -> None:
    check_settings(declaring({}, *({"factor": float(n)} for n in range(2, 5))))
    check_settings(Scaled)


def test_a_class_that_cannot_be_built_here_is_not_refused_for_its_grid() -> None:
    def fails(self: Method, factor: float = 1.0) -> None:
        raise MethodError("a library is missing")

    check_settings(type("Lacking", (Scaled,), {"settings": ({}, {"factor": 2.0}), "__init__": fails}))


def test_the_check_fits_every_setting() -> None:
    def status(cls: type[Method]) -> tuple[Status, str]:
        (result,) = [one for one in run_checks(cls, ["settings"]) if one.name == "settings"]
        return result.status, result.finding

    assert status(Tried)[0] is Status.PASS
    assert status(Scaled) == (Status.SKIP, "declares no settings: it is not tuned")
    assert status(NotFinite) == (Status.FAIL, "scores are not finite with the setting {'factor': 1e+308}")


def test_every_learned_baseline_has_a_grid_in_order_and_no_control_has() -> None:
    names = set(LEARNED_BASELINES) | {"maml-learn2learn"}
    for name in names:
        check_settings(METHODS.get(name))
    tuned = {name for name in METHODS.names() if METHODS.get(name).settings}
    assert tuned == names


def test_loading_a_class_builds_nothing() -> None:
    fails = type("Fails", (Scaled,), {"settings": ({}, {"factor": 0})})
    assert check_method_class(fails) is fails
    with pytest.raises(MethodError, match="orders nothing"):
        check_settings(fails)

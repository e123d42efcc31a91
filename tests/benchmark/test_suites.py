"""Suites and specs: what may be asked for, and what may not."""

from __future__ import annotations

import pytest

from epishot.benchmark.specs import Condition, FitSpec, MethodSpec, RunSpec, SuitePart
from epishot.benchmark.suites import ENERGY_BEST, ENERGY_ON_FEATURES, FIRST_METHODS, find_suite
from epishot.methods.base import Balance, Regime
from epishot.methods.registry import METHODS
from epishot.tasks.errors import EpishotError, UnknownNameError


def part(**changes: object) -> SuitePart:
    arguments: dict = {"task": "synthetic", "protocol": "cell", "methods": (MethodSpec("constant"),), "shots": (0, 16)}
    return SuitePart(**{**arguments, **changes})


def texts(conditions: tuple[Condition, ...]) -> list[str]:
    return [condition.label for condition in conditions]


def test_k_zero_means_regime_none() -> None:
    assert texts(part().conditions) == ["none natural k=0", "labelled natural k=16"]


def test_conditions_are_the_product_without_balanced_unlabelled() -> None:
    everything = part(
        shots=(16, 0, 8), regimes=(Regime.LABELLED, Regime.UNLABELLED), balances=(Balance.NATURAL, Balance.BALANCED)
    )
    assert texts(everything.conditions) == [
        "none natural k=0",
        "labelled natural k=8",
        "labelled balanced k=8",
        "unlabelled natural k=8",
        "labelled natural k=16",
        "labelled balanced k=16",
        "unlabelled natural k=16",
    ]


def test_a_method_is_scored_under_what_it_serves() -> None:
    both = part(shots=(16,), regimes=(Regime.LABELLED, Regime.UNLABELLED))
    assert texts(both.conditions_for(frozenset({Regime.UNLABELLED}))) == ["unlabelled natural k=16"]
    assert texts(both.conditions_for(frozenset(Regime))) == ["labelled natural k=16", "unlabelled natural k=16"]


def test_a_zero_shot_method_is_run_once_even_if_k_zero_was_not_asked_for() -> None:
    asked = part(shots=(16, 64))
    assert texts(asked.conditions_for(frozenset({Regime.NONE}))) == ["none natural k=0"]
    assert asked.episode_shots == (0, 16, 64)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": "chrom"}, "no protocol 'chrom'"),
        ({"shots": ()}, "No shots"),
        ({"methods": ()}, "No methods"),
        ({"shots": (-1,)}, "cannot have -1 pairs"),
        ({"shots": (-1,), "regimes": (Regime.NONE,)}, "cannot have -1 pairs"),
        ({"shots": (8, -2, 0), "regimes": (Regime.NONE, Regime.LABELLED)}, "cannot have -2 pairs"),
        ({"shots": (8, 8)}, "given twice"),
        ({"methods": (MethodSpec("a"), MethodSpec("a"))}, "'a' is given twice"),
        ({"draws": 0}, "0 draws"),
        ({"seeds": 0}, "0 seeds"),
        ({"budget": 0.0}, "budget"),
        ({"budget": float("nan")}, "budget"),
        ({"budget": float("inf")}, "budget"),
        ({"shots": (16,), "regimes": (Regime.NONE,)}, "--shots 0"),
        ({"shots": (15,), "balances": (Balance.BALANCED,)}, "even k"),
        ({"regimes": (Regime.UNLABELLED,), "balances": (Balance.BALANCED,)}, "need labels"),
    ],
)
def test_impossible_parts_are_refused_with_the_reason(changes: dict, said: str) -> None:
    with pytest.raises(EpishotError, match=said):
        part(**changes)


@pytest.mark.parametrize(("k", "regime"), [(0, Regime.LABELLED), (4, Regime.NONE)])
def test_regime_none_and_k_zero_come_together(k: int, regime: Regime) -> None:
    with pytest.raises(EpishotError, match="exclude each other"):
        Condition(k, regime, Balance.NATURAL)


@pytest.mark.parametrize("text", ["[1]", "{", "3"])
def test_a_configuration_is_a_json_object(text: str) -> None:
    with pytest.raises(EpishotError, match="JSON object"):
        MethodSpec("maml", text)
    assert MethodSpec("maml", '{"steps": 2}').arguments == {"steps": 2}


def test_fits_and_runs_are_consistent() -> None:
    fit = FitSpec("t", "cell", "A", 0, "m", 0)
    with pytest.raises(ValueError, match="no fold 2"):
        FitSpec("t", "cell", "A", 2, "m", 0)
    with pytest.raises(ValueError, match="draws"):
        RunSpec(fit, Condition(0, Regime.NONE, Balance.NATURAL), 5)


@pytest.mark.parametrize("name", ["demo", "v1"])
def test_named_suites_use_every_first_method_and_they_all_exist(name: str) -> None:
    suite = find_suite(name)
    assert suite.name == name
    for one in suite.parts:
        assert one.methods == FIRST_METHODS
    assert {spec.reference for spec in FIRST_METHODS} <= set(METHODS.names())


def test_v1_is_the_published_grid() -> None:
    suite = find_suite("v1")
    assert {(p.task, p.protocol) for p in suite.parts} == {
        (task, protocol) for task in ("crispr", "bengi") for protocol in ("cell", "cell+chrom")
    }
    assert {(p.shots, p.draws, p.seeds, p.budget) for p in suite.parts} == {((0, 16, 64), 5, 2, 1.0)}


def test_the_energy_suite_stands_beside_v1_and_names_every_energy_method() -> None:
    *real, simulated = find_suite("energy").parts
    grid = {(p.task, p.protocol, p.shots, p.draws, p.budget) for p in real}
    assert grid == {(p.task, p.protocol, p.shots, p.draws, p.budget) for p in find_suite("v1").parts}
    assert (simulated.task, simulated.protocol) == ("synthetic", "cell")
    for one in real:
        assert [spec.reference for spec in one.methods] == list(ENERGY_ON_FEATURES)
        assert {spec.seeds or one.seeds for spec in one.methods if spec.reference not in ENERGY_BEST} == {1}
    named = {spec.reference for one in (*real, simulated) for spec in one.methods}
    registered = {name for name in METHODS.names() if name.startswith("energy-")}
    assert registered == {name for name in named if name.startswith("energy-")}


def test_a_method_may_have_seeds_of_its_own() -> None:
    assert part(methods=(MethodSpec("maml", seeds=3), MethodSpec("protonet"))).methods[0].seeds == 3
    with pytest.raises(EpishotError, match="0 seeds of 'maml'"):
        MethodSpec("maml", seeds=0)
    with pytest.raises(EpishotError, match="'maml' is given twice"):
        part(methods=(MethodSpec("maml", seeds=3), MethodSpec("maml")))


def test_an_unknown_suite_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'demo'"):
        find_suite("demos")


def test_only_the_suite_of_baselines_tunes_and_it_has_the_grid_of_v1() -> None:
    tuned = {name: {part.tune for part in find_suite(name).parts} for name in ("baselines", "demo", "energy", "v1")}
    assert tuned == {"baselines": {True}, "demo": {False}, "energy": {False}, "v1": {False}}
    *real, simulated = find_suite("baselines").parts
    v1 = find_suite("v1").parts
    assert [(p.task, p.protocol, p.shots, p.draws, p.budget) for p in real] == [
        (p.task, p.protocol, p.shots, p.draws, p.budget) for p in v1
    ]
    assert (simulated.task, simulated.protocol) == ("synthetic", "cell")
    names, first = ({spec.reference for spec in methods} for methods in (real[0].methods, FIRST_METHODS))
    energy = {name for name in first if name.startswith("energy-")}
    assert names >= first - energy
    assert not names & energy

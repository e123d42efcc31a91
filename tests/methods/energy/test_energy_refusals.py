"""Configurations that cannot mean anything are refused in one sentence; losses without an object are listed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from epishot.methods.base import FitContext, PairTable, TrainTable
from epishot.methods.energy import presets, training
from epishot.methods.energy.method import EnergyMethod
from epishot.methods.energy.presets import EnergyAdditive, EnergyCmdn, EnergyIdTable, EnergyPrototypes, EnergyStaged
from epishot.tasks.errors import MethodError

PRESETS = [value for value in vars(presets).values() if isinstance(value, type) and issubclass(value, EnergyMethod)]
PRESETS.remove(EnergyMethod)
SMALL = {
    "encoder": {"width": 16, "latent": 6, "head_width": 7},
    "sampler": {"block_rows": 32, "blocks": 3},
}
BRANCHED = {"student": "mean", "branch": True}
NO_TEACHER = {"losses": {"distill": {"weight": 0.0}}}


def table(*, twins: bool = True, each: int = 100, cells: int = 3) -> TrainTable:
    """Pairs of three cells: the same ones in each, or none in two."""
    rng = np.random.default_rng(0)
    n = each * cells
    pair = np.tile(np.arange(each), cells) if twins else np.arange(n)
    pairs = PairTable(
        n=n,
        features=rng.random((n, 4)).astype(np.float32),
        distance=10 ** rng.uniform(3.5, 6, n),
        chrom=(pair % 8).astype(np.int32),
        element=pair.astype(np.int32),
        gene=(pair // 2).astype(np.int32),
    )
    label = (rng.random(n) < 0.35).astype(np.int8)
    return TrainTable(pairs, label, np.repeat(np.arange(cells, dtype=np.int32), each), cells)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_is_possible(preset):
    preset()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sampler": {"kind": "random"}}, r"'distill' is identically zero: the sampler 'random' mixes cells"),
        ({"sampler": {"pseudo_ood_share": 1.0}}, r"'distill' is identically zero: .*pseudo_ood_share` 1"),
        ({"losses": {"graph": {"weight": 0.1}}}, r"'graph' needs the teacher 'teacher' with its graph"),
        (
            {"environment": {"student": "prototypes"}, "losses": {"graph": {"weight": 0.1}}},
            r"'graph' needs the teacher 'teacher' with its graph",
        ),
        *(
            ({"environment": {"student": "none"}, "losses": {name: {"weight": 0.1}}}, rf"'{name}' needs a student")
            for name in ("orthogonal", "correlation", "mine")
        ),
        *(
            ({"environment": environment, "losses": {name: {"weight": 0.1}}}, rf"'{name}' needs `environment.branch`")
            for name in ("contrast_environment", "mmd_separate", "prototype")
            for environment in ({"student": "mean"}, {"student": "cell_features", "branch": True})
        ),
        (
            {"environment": {**BRANCHED, "teacher": "teacher"}, "losses": {"prototype": {"weight": 0.1}}},
            r"'prototype' needs `environment.branch` and the student 'prototypes'",
        ),
        (
            {**NO_TEACHER, "environment": {"student": "id_table", "teacher": "none"}},
            r"id table raises for an unknown cell.*pseudo_ood_share` to 0",
        ),
        ({"temperature": {"kind": "per_cell"}, "coupling": {"kind": "saturating"}}, r"the saturating coupling is not"),
        *(
            ({"temperature": {"kind": "per_cell"}, "coupling": {"kind": "gate", "form": form}}, rf"the {form} gate")
            for form in ("literal", "hard")
        ),
    ],
)
def test_an_impossible_configuration_is_refused_at_construction_in_one_sentence(options, sentence):
    with pytest.raises(MethodError, match=sentence) as refusal:
        EnergyAdditive(**options)
    assert str(refusal.value).count(". ") == 0


@pytest.mark.parametrize(
    "options",
    [
        {**NO_TEACHER, "sampler": {"kind": "random"}},
        {"sampler": {"pseudo_ood_share": 0.99}},
        {"environment": {"teacher": "teacher"}, "losses": {"graph": {"weight": 0.1}}},
        {"environment": BRANCHED, "losses": {"contrast_environment": {"weight": 0.1}, "mmd_separate": {"weight": 0.1}}},
        {"environment": {"student": "prototypes", "branch": True}, "losses": {"prototype": {"weight": 0.1}}},
        {
            **NO_TEACHER,
            "environment": {"student": "id_table", "teacher": "none"},
            "sampler": {"pseudo_ood_share": 0.0},
        },
        {"temperature": {"kind": "per_cell"}, "coupling": {"kind": "gate", "form": "blocking"}},
        {"temperature": {"kind": "per_cell"}, "coupling": {"kind": "interaction"}},
    ],
)
def test_the_possible_neighbours_of_what_is_refused_train(options):
    sections = set(SMALL) | set(options)
    merged = {name: {**SMALL.get(name, {}), **options.get(name, {})} for name in sections}
    EnergyAdditive(**merged).fit(table(), FitContext(budget=0.01))


def test_an_id_table_that_raises_is_never_asked_in_mixed_batches():
    EnergyIdTable(environment={"unseen": "raise"}, **SMALL).fit(table(), FitContext(budget=0.01))


def test_a_swap_loss_without_twins_is_listed_with_its_reason_and_otherwise_measured():
    with_twins, without = EnergyCmdn(**SMALL), EnergyCmdn(**SMALL)
    assert without.inactive_losses == {}
    with_twins.fit(table(), FitContext(budget=0.01))
    without.fit(table(twins=False), FitContext(budget=0.01))
    assert with_twins.inactive_losses == {}
    assert with_twins.training_losses["joint"]["swap"] > 0
    assert set(without.inactive_losses) == {"potential", "joint"}
    assert "no enhancer-gene pair is in two training cells" in without.inactive_losses["joint"]["swap"]
    assert "swap" not in without.training_losses["joint"]
    assert "bottleneck" in without.training_losses["joint"]


@pytest.mark.parametrize("preset", [EnergyPrototypes, EnergyStaged])
def test_a_pseudo_ood_episode_does_not_read_its_own_prototypes_and_a_known_one_does(preset, monkeypatch):
    told = []
    read = training.EnergyModel.read

    def watched(model, rows, facts):
        told.append(facts)
        return read(model, rows, facts)

    monkeypatch.setattr(training.EnergyModel, "read", watched)
    preset(**SMALL).fit(table(), FitContext(budget=0.03))
    code, hidden = (torch.cat([getattr(facts, name) for facts in told]) for name in ("code", "hidden"))
    assert bool((code >= 0).any())
    assert bool((hidden >= 0).any())
    assert bool(((code >= 0) == (hidden < 0)).all())


def test_each_loss_reads_the_prototypes_it_means():
    """Student and teacher both have some, in spaces of their own."""
    seen = []
    step = training.forward

    def watched(*args, **options):
        made = step(*args, **options)
        seen.append((args[0], made.step))
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "forward", watched)
        EnergyStaged(**SMALL, environment={"dim": 5}).fit(table(), FitContext(budget=0.01))
    model, last = seen[-1]
    assert last.nodes is model.teacher.estimator.nodes
    torch.testing.assert_close(last.prototypes.double(), model.student.estimator.prototypes)
    assert (last.nodes.shape, last.prototypes.shape) == ((12, 5), (12, 6))


@pytest.mark.parametrize(("every", "looks"), [(1000, [3, 14]), (4, [3, 7, 11, 14])])
def test_early_stopping_also_looks_at_the_end_of_a_stage(every, looks, monkeypatch):
    """Of 3 and 11 steps; the last stage freezes the encoder, and U cannot change."""
    states, steps = [], []

    class Rising(training.EarlyStopping):
        def update(self, score, state):
            steps.append(watched[0].done)
            states.append({name: value.clone() for name, value in state.items()})
            return super().update(float(len(steps)), state)

    watched = []
    start = training._Training.__init__
    monkeypatch.setattr(training._Training, "__init__", lambda own, *a: (watched.append(own), start(own, *a))[1])
    monkeypatch.setattr(training, "EarlyStopping", Rising)
    method = EnergyAdditive(**SMALL, stopping={"cells": 1, "every": every})
    method.fit(table(), FitContext(budget=0.04))
    assert steps == looks
    for name, value in method.model.encoder.state_dict().items():
        torch.testing.assert_close(value, states[-1][f"encoder.{name}"].to(value.dtype))

"""Watching leaves a training as it is, and measures what it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from epishot.methods.energy import presets
from epishot.methods.energy.audit.audit import audit_energy, observed
from epishot.methods.energy.audit.cell_monitors import average_precision, equal_precision
from epishot.methods.energy.audit.e26 import E26
from epishot.methods.energy.audit.faults.trial import context, small, table
from epishot.methods.energy.audit.figure import draw_monitors
from epishot.methods.energy.audit.held_out import hold_out
from epishot.methods.energy.audit.information import conditional_nats, hsic, probe
from epishot.methods.energy.audit.mine import conditional_mine, mine
from epishot.methods.energy.losses.build import LOSSES
from epishot.methods.energy.names import LossName


@pytest.mark.parametrize("preset", [presets.EnergyTeacherStudent, presets.EnergyCmdn], ids=lambda one: one.name)
def test_a_watched_training_is_bit_identical(preset):
    train, seen = table(preset), context(3, 0.03)
    subject = observed(small(preset, {}), train, seen)
    rest, _ = hold_out(train, seen.generator(17), transductive=True)
    alone = small(preset, {})
    alone.fit(rest, seen)
    watched = subject.method.model.state_dict()
    for name, value in alone.model.state_dict().items():
        assert torch.equal(value.nan_to_num(), watched[name].nan_to_num()), name


def test_the_audited_method_itself_is_left_alone():
    method = small(presets.EnergyPlatt, {})
    audit_energy(method, table(type(method)), context(3, 0.02))
    assert method.n_parameters() is None
    assert method.observer is None


def test_the_table_of_routing_knows_every_loss_and_agrees_with_the_declarations():
    assert set(E26) == set(LossName)
    for name, loss in LOSSES.items():
        assert loss.reach <= E26[name].full | E26[name].small, name
        assert not (loss.reach - loss.small) & (E26[name].small - E26[name].full), name


def test_monitors_are_tidy_and_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    method = small(presets.EnergyTeacherStudent, {})
    path = tmp_path / "monitors.parquet"
    method.audit(table(type(method)), context(3, 0.05), monitors=path)
    found = pd.read_parquet(path)
    assert list(found.columns) == ["step", "stage", "cell", "monitor", "value"]
    assert found["cell"].isna().any()
    assert set(found["cell"].dropna()) == {"0", "1", "2", "3", "4", "held-out"}
    names = set(found["monitor"])
    assert names >= {
        "cell-information", "hsic-p", "environment-ratio", "correlation-m-u", "temperature", "saturation", "u-mean",
        "rho", "loss-drop", "student-discriminability", "student-mimicry", "score-sd", "parameters-per-row",
        "loss:task", "gradient:task:encoder", "cosine:task:rank", "aupr-equal",
        "mine", "mine-p", "mine-given-y", "mine-given-y-p",
    }  # fmt: skip
    assert found["step"].is_monotonic_increasing
    assert draw_monitors(path, tmp_path / "monitors.svg").stat().st_size > 10_000


def test_with_two_cells_nothing_is_held_out_and_verdicts_on_unseen_cells_are_not_given():
    whole = table(presets.EnergyPlatt)
    rows = np.flatnonzero(whole.cell < 2)
    few = type(whole)(whole.pairs.take(rows), whole.label[rows], whole.cell[rows], 2)
    findings = {f.name: f for f in audit_energy(small(presets.EnergyPlatt, {}), few, context(3, 0.05))}
    assert findings["J6-overfit"].outcome == "not evaluable"
    assert findings["one-energy"].outcome == "pass"


def test_probes_see_location_scale_and_nothing():
    rng = np.random.default_rng(0)
    cell = np.repeat(np.arange(4), 150)
    nothing = rng.normal(size=(600, 8))
    place, scale = nothing.copy(), nothing.copy()
    place[:, 0] += 2 * cell
    scale[:, :4] *= (4.0**cell)[:, None]
    assert probe(nothing, cell).share == 0
    assert hsic(nothing[::3], cell[::3], rng).p > 0.05
    assert probe(place, cell).share > 0.4
    assert hsic(place[::3], cell[::3], rng).p < 0.02
    assert probe(scale, cell).share < 0.1
    assert probe(scale, cell, quadratic=True).share > 0.25
    # What the label explains is not the cell's: given y nothing is left.
    label = (cell >= 2).astype(int)
    told = nothing.copy()
    told[:, 0] += 5 * label
    assert probe(told, cell).nats > 0.5
    assert conditional_nats(told, cell, label) < 0.05


def test_critics_find_what_is_known_of_the_cell_and_nothing_else():
    rng = np.random.default_rng(0)
    cell = np.repeat(np.arange(2), 150)
    nothing = rng.normal(size=(300, 4))
    apart, folded = nothing.copy(), nothing.copy()
    apart[:, 0] += 8 * cell  # I(x; c) = ln 2
    folded[:, 0] = 3 * cell * rng.choice([-1, 1], 300) + 0.3 * nothing[:, 0]  # as much, and nothing linear
    for told in (apart, folded):
        found = mine(told, cell, rng)
        assert 0.4 < found.nats < np.log(2) + 0.02
        assert found.p == 1 / 40
    assert probe(folded, cell).share < 0.1
    assert mine(nothing, cell, rng).p > 0.05
    assert mine(nothing, cell, rng).nats < 0.05
    # Given the label, what the label alone explains is gone.
    label = np.where(rng.random(300) < 0.9, cell, 1 - cell)
    explained = nothing.copy()
    explained[:, 0] += 5 * label
    assert mine(explained, cell, rng).p == 1 / 40
    assert conditional_mine(explained, cell, label, rng).p > 0.05


def test_critics_of_independent_rows_have_p_values_that_are_spread_evenly():
    rng = np.random.default_rng(1)
    found = [mine(rng.normal(size=(120, 4)), np.repeat(np.arange(3), 40), rng).p for _ in range(15)]
    assert 0.25 < np.mean(found) < 0.75
    assert np.mean(np.array(found) <= 0.05) <= 0.2


def test_average_precision_is_the_reference_one_with_ties_and_weights():
    from sklearn.metrics import average_precision_score

    from epishot.tasks.chance import chance_aupr

    rng = np.random.default_rng(1)
    label = (rng.random(200) < 0.3).astype(int)
    score = np.round(rng.normal(size=200) + label, 1)
    chance = chance_aupr(200, int(label.sum()))
    expected = (average_precision_score(label, score) - chance) / (1 - chance)
    assert average_precision(label, score) == pytest.approx(expected)
    weight = np.where(label == 1, 0.2 / label.mean(), 0.8 / (1 - label.mean()))
    assert equal_precision(label, score) == pytest.approx(average_precision_score(label, score, sample_weight=weight))
    assert np.isnan(average_precision(np.zeros(3, int), score[:3]))

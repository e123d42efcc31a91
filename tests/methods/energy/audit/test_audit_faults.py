"""The audit finds what is planted, and healthy presets pass it; other seeds than those of the thresholds."""

from __future__ import annotations

import pytest

from epishot.methods.audits.finding import AuditFailure, Outcome
from epishot.methods.energy import presets
from epishot.methods.energy.audit.audit import ALIGNMENT, audit_energy
from epishot.methods.energy.audit.faults.catalog import FAULTS
from epishot.methods.energy.audit.faults.report import BEGIN, END, write_section
from epishot.methods.energy.audit.faults.trial import BUDGET, SMALL, context, small, table, try_fault, try_preset
from epishot.methods.energy.audit.thresholds import CALIBRATION_SEEDS, TABLE_SEEDS
from epishot.methods.energy.audit.unobservable import UNOBSERVABLE
from epishot.tasks.errors import EpishotError

SEED = 7
BY_NAME = {fault.name: fault for fault in FAULTS}
#: What the records name, and what was missed once; `epishot audit-faults` plants all of them, in some minutes.
PLANTED = (
    "bottleneck-removed",
    "psi-detached",
    "m-constant",
    "r-zero-at-test",
    "cell-in-encoder",
    "distillation-reaches-u",
    "temperature-to-zero",
    "opportunist-in-prediction",
    "support-overlaps-query",
    "resampled-evaluation",
    "branch-on-test-labels",
    "single-cell-contrast",
    "id-to-other",
    "weight-not-applied",
    "checkpoint-partly-loaded",
    "gene-lookup",
    "pseudo-decoupled",
)


@pytest.mark.parametrize("name", PLANTED)
def test_the_audit_catches(name):
    trial = try_fault(BY_NAME[name], SEED)
    assert trial.right, (set(trial.expected) - set(trial.failed), trial.failed)


def test_a_healthy_preset_passes_every_check():
    assert try_preset(presets.EnergyAdditive, (), SEED).failed == ()


def test_with_early_stopping_a_healthy_method_passes_the_evaluation_check():
    method = small(presets.EnergyAdditive, {"stopping": {"cells": 1, "every": 10}})
    findings = audit_energy(method, table(type(method)), context(SEED, BUDGET))
    found = {finding.name: finding for finding in findings}
    assert found["evaluation"].outcome is Outcome.PASS
    assert found["J28-prevalence"].outcome is Outcome.PASS
    assert found["evaluation"].evidence["evaluations"] > 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("distillation-reaches-u", ("losses/transfer.py", "Distill", "loss distill")),
        ("support-overlaps-query", ("samplers/block_meta.py", "BlockMetaSampler")),
        ("weight-not-applied", ("losses/ranking.py", "Rank", "loss rank")),
        ("bottleneck-removed", ("encoders/wrappers.py", "LatentMap")),
    ],
)
def test_strict_aborts_training_and_names_the_place(name, words):
    fault = BY_NAME[name]
    train = table(fault.preset)
    method = small(fault.preset, fault.options)
    with fault.plant(train), pytest.raises(AuditFailure) as failure:
        method.audit(train, context(SEED, 0.05), strict=True)
    assert all(word in str(failure.value) for word in words), str(failure.value)


def test_strict_stops_a_training_that_would_have_gone_on(monkeypatch):
    fault = BY_NAME["distillation-reaches-u"]
    steps = []
    from epishot.methods.energy.audit import watch

    real = watch.Watch.computed
    monkeypatch.setattr(watch.Watch, "computed", lambda self, *given: (steps.append(1), real(self, *given))[1])
    train = table(fault.preset)
    with fault.plant(train), pytest.raises(AuditFailure):
        small(fault.preset, {}).audit(train, context(SEED, 0.2), strict=True)
    assert len(steps) == 1


@pytest.mark.parametrize("preset", [presets.EnergyPlatt, presets.EnergyBilinear], ids=lambda preset: preset.name)
def test_strict_lets_a_healthy_method_through(preset):
    method = small(preset, {})
    findings = method.audit(table(type(method)), context(SEED, 0.1), strict=True)
    assert {finding.name for finding in findings} >= set(ALIGNMENT)


def test_faults_leave_no_trace_in_the_code():
    before = {name: try_state() for name in ("before",)}["before"]
    for fault in FAULTS:
        with fault.plant(table(fault.preset)):
            pass
    assert try_state() == before


def try_state() -> list[int]:
    """Identities of the functions that faults replace."""
    from epishot.methods.energy import method, training
    from epishot.methods.energy.losses.transfer import Distill
    from epishot.methods.energy.parts import SupportRows

    return [id(one) for one in (training.route, method.load_weights, Distill.forward, SupportRows.known)]


def test_every_failure_of_the_list_is_judged_or_named_as_unobservable():
    method = small(presets.EnergyPlatt, {})
    findings = audit_energy(method, table(type(method)), context(SEED, 0.05))
    numbers = {int(f.name[1:].split("-")[0]) for f in findings if f.name[0] == "J"}
    assert numbers == set(range(1, 37))
    for finding in findings:
        assert finding.sentence
        if finding.name in UNOBSERVABLE:
            assert finding.outcome is Outcome.NOT_EVALUABLE
        elif finding.outcome is not Outcome.NOT_EVALUABLE:
            assert finding.evidence, finding.name


def test_seeds_of_thresholds_table_and_tests_differ():
    assert not {SEED, *TABLE_SEEDS} & set(CALIBRATION_SEEDS)
    assert len(FAULTS) >= 16
    assert SMALL


def test_a_file_without_marks_is_not_overwritten(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("no marks")
    with pytest.raises(EpishotError, match="no section"):
        write_section(path, "table")
    path.write_text(f"a\n{BEGIN}\nold\n{END}\nb")
    write_section(path, "new")
    assert path.read_text() == f"a\n{BEGIN}\nnew\n{END}\nb"

"""`epishot audit`: a report, a JSON that is kept, one clear sentence for bad input, and the method's own audit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from epishot.benchmark import audit_worker
from epishot.benchmark.audit import AuditOptions, audit_method
from epishot.benchmark.audit_isolation import handed_labels, support_overlap
from epishot.benchmark.audit_store import audit_json, audit_of
from epishot.benchmark.cli import run_app
from epishot.benchmark.described import describe, locate
from epishot.benchmark.executor import Executor
from epishot.benchmark.records import AuditRecord
from epishot.benchmark.specs import MethodSpec
from epishot.methods.audits import cut as cuts
from epishot.methods.audits.finding import Finding, Outcome
from epishot.methods.base import Reads
from epishot.tasks.task import Task

TASK = "synthetic@cells=4,pairs=800"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def record(plugin: str, task: Task, options: AuditOptions, overrides: str = "{}") -> AuditRecord:
    return audit_method(describe(locate(MethodSpec(plugin, overrides))), task, options, Executor())


def outcomes(found: AuditRecord) -> dict[str, str]:
    return {one.name: one.outcome for one in found.findings}


def test_a_healthy_method_is_reported_kept_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["audit", "distance", "--task", TASK, "--out", "distance.json"]
    assert run_app(arguments) == 0
    text = capsys.readouterr().out
    for words in ("query-order", "gap = 0; allowed = 0.001", "not auditable: only the harness", "Verdict: pass."):
        assert words in text
    found = AuditRecord.model_validate_json(Path("distance.json").read_bytes())
    assert (found.kind, found.method, found.budget, found.own_budget) == ("harness", "distance", 0.1, None)
    (kept,) = Path("runs/audits/distance").glob("*.json")
    assert kept.read_bytes() == Path("distance.json").read_bytes()
    assert str(tmp_path) not in kept.read_text()

    assert run_app([*arguments, "--seed", "1"]) == 0
    (again,) = Path("runs/audits/distance").glob("*.json")
    assert again == kept, "auditing again replaces"
    assert json.loads(again.read_text())["seed"] == 1


def test_a_faulty_plugin_gives_exit_code_1_and_its_place(faulty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["audit", "--method", f"{faulty}:BatchStatistics", "--task", TASK]) == 1
    text = capsys.readouterr().out
    assert "Verdict: query-independence." in text
    assert "Look at faulty_plugins.py:BatchStatistics." in text


def test_strict_stops_and_names_the_place(faulty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["audit", f"{faulty}:GeneLookup", "--task", TASK, "--strict"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: The audit identity-lookup failed (faulty_plugins.py:GeneLookup): ")
    assert error.count("\n") == 1
    assert not Path("runs/audits").exists()
    changed = ["--set", "audits-itself.wrong=true", "--strict"]
    assert run_app(["audit", f"{faulty}:AuditsItself", "--task", TASK, *changed]) == 2
    assert "weight-moves failed (AuditsItself, task loss)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["distanc", "--task", TASK], "Did you mean 'distance'?"),
        (["distance", "--task", "nowhere"], "There is no task named 'nowhere'"),
        ([], "Name one method to audit"),
        (["distance", "--method", "a.py:B"], "Name one method to audit"),
        (["distance", "--budget", "0"], "The budget must be a positive number"),
        (["distance", "--seed", "-1"], "A seed is a whole number"),
        (["distance", "--task", TASK, "--out", "."], "is a folder"),
        (["distance", "--task", TASK, "--set", "distance.width=3"], "has no option 'width'"),
        (["FAULTS:Dies", "--task", TASK], "The audit of faulty_methods.py:Dies broke off"),
    ],
)
def test_bad_input_gives_one_sentence(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    faults = str(Path(__file__).parents[1] / "benchmark" / "faulty_methods.py")
    assert run_app(["audit", *(one.replace("FAULTS", faults) for one in arguments)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_labels_in_its_own_memory_are_caught_by_the_process_without(task: Task, faulty: Path) -> None:
    found = record(f"{faulty}:PeeksAtLabels", task, AuditOptions())
    assert outcomes(found)["fresh-process"] == "fail"
    finding = next(one for one in found.findings if one.name == "fresh-process")
    assert "reads what it was not handed" in finding.sentence
    assert finding.evidence["gap to a process that holds labels"] > finding.evidence["allowed"]


def test_the_clock_is_caught_by_a_second_process(task: Task, faulty: Path) -> None:
    found = record(f"{faulty}:Undecided", task, AuditOptions())
    assert set(audit_of(found).failed) == {"determinism", "fresh-process"}


def test_a_methods_own_audit_is_taken_along(task: Task, faulty: Path, tmp_path: Path) -> None:
    found = record(f"{faulty}:AuditsItself", task, AuditOptions(monitors=tmp_path / "monitors"))
    assert found.kind == "full"
    assert audit_of(found).failed == ()
    own = found.findings[-1]
    assert (own.name, own.outcome, own.where) == ("weight-moves", "pass", "task loss")
    assert own.evidence["rows"] > 100
    assert (tmp_path / "monitors").read_text() == "weights\n"
    wrong = record(f"{faulty}:AuditsItself", task, AuditOptions(), '{"wrong": true}')
    assert audit_of(wrong).failed == ("weight-moves",)
    assert wrong.findings[-1].evidence == {"rows": None}, "a figure that JSON cannot hold is none"
    assert wrong.config_hash != found.config_hash


def test_the_audit_of_the_energy_family_is_taken_along(task: Task, tmp_path: Path) -> None:
    small = '{"encoder": {"width": 16}, "sampler": {"block_rows": 32}}'
    monitors = tmp_path / "monitors.parquet"
    options = AuditOptions(budget=0.01, own_budget=0.04, monitors=monitors)
    found = record("energy-platt", task, options, small)
    assert (found.kind, found.budget, found.own_budget) == ("full", 0.01, 0.04)
    kept = AuditRecord.model_validate_json(audit_json(found))
    assert set(outcomes(kept)) >= {
        "null-task",
        "routing",
        "gradient-share",
        "J1-pseudo-decoupling",
        "J36-duplicated-results",
    }
    assert "own-audit" not in outcomes(kept)
    share = next(one.evidence for one in kept.findings if one.name == "gradient-share")
    assert {f"share_likelihood_{at}" for at in ("start", "middle", "end")} <= set(share)
    assert monitors.stat().st_size > 1000


def test_a_methods_own_audit_trains_on_the_rows_of_the_fold_over_all_its_steps(task: Task) -> None:
    split = cuts.audit_split(task, 0)
    whole = cuts.own_train(task, split, frozenset({Reads.FEATURES}), 0)
    assert whole.label.size >= split.train_rows.size
    assert (AuditOptions().budget, AuditOptions().own_budget) == (0.1, 1.0)


def test_an_audit_that_breaks_off_is_a_finding(task: Task, faulty: Path) -> None:
    found = record(f"{faulty}:AuditBreaksOff", task, AuditOptions())
    assert audit_of(found).failed == ("own-audit",)
    assert "KeyError: 'no such part'" in found.findings[-1].sentence


def test_a_harness_that_hands_over_labels_is_caught(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = frozenset({Reads.FEATURES})
    split = cuts.audit_split(task, 0)
    honest = cuts.pair_table
    assert handed_labels(task, cuts.cut(task, split, reads, seed=0, budget=0.1), reads).outcome is Outcome.PASS

    def leaky(task: Task, rows, reads):
        table = honest(task, rows, reads)
        table.features[:, 0] += task.columns.label[rows]
        return table

    monkeypatch.setattr(cuts, "pair_table", leaky)
    finding = handed_labels(task, cuts.cut(task, split, reads, seed=0, budget=0.1), reads)
    assert finding.outcome is Outcome.FAIL
    assert "query.features" in finding.sentence


def test_support_overlapping_query_is_refused(task: Task) -> None:
    split = cuts.audit_split(task, 0)
    finding = support_overlap(task, split)
    assert (finding.outcome, finding.evidence["refused"]) == (Outcome.PASS, 2)
    from dataclasses import replace

    overlapping = replace(split, pool_rows=split.query_rows[:5])
    assert support_overlap(task, overlapping).outcome is Outcome.FAIL


def test_a_figure_of_the_harness_that_is_not_defined_is_none(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Finding("odd", Outcome.PASS, "A figure is missing.", {"gap": float("nan"), "rows": np.int64(3)})
    monkeypatch.setattr(audit_worker, "run_harness", lambda subject, where: [odd])
    method = describe(locate(MethodSpec("distance")))
    split = cuts.audit_split(task, 0)
    made = cuts.cut(task, split, method.reads, seed=0, budget=0.1)
    order = audit_worker.AuditOrder(method.address, method.code, {}, "here", made, ())
    (found,) = audit_worker.harness(order).findings
    assert found.evidence == {"gap": None, "rows": 3}

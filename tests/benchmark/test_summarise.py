"""From runs to the compact record, on a small synthetic task under both protocols."""

import json
import re

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from epishot.benchmark.bootstrap import FoldScores, cell_replicates, resample_folds
from epishot.benchmark.compact import read_compact, write_compact
from epishot.benchmark.interval import percentile_interval
from epishot.benchmark.records import MethodFacts
from epishot.benchmark.reference_rows import logit, reference_facts, reference_runs
from epishot.benchmark.run_scores import RunFailure, RunScores
from epishot.benchmark.specs import Condition
from epishot.benchmark.summarise import collect_queries, summarise_method
from epishot.methods.base import Balance, Regime
from epishot.tasks.catalog import load_task
from epishot.tasks.chance import chance_aupr
from epishot.tasks.episodes import EpisodeSet
from epishot.tasks.errors import EpishotError, MethodError

ZERO = Condition(0, Regime.NONE, Balance.NATURAL)
NATURAL = Condition(8, Regime.LABELLED, Balance.NATURAL)
BALANCED = Condition(8, Regime.LABELLED, Balance.BALANCED)
TOO_MANY = Condition(512, Regime.LABELLED, Balance.NATURAL)
CONDITIONS = (ZERO, NATURAL, BALANCED)
DRAWS, SEEDS, REPLICATES = 3, (0, 1), 100


@pytest.fixture(scope="module")
def task():
    return load_task("synthetic@cells=3,pairs=400")


@pytest.fixture(scope="module", params=["cell", "cell+chrom"])
def episodes(request, task):
    return EpisodeSet.build(task, request.param, (0, 8, 512), DRAWS)


@pytest.fixture(scope="module")
def strict(task):
    return EpisodeSet.build(task, "cell+chrom", (0, 8, 512), DRAWS)


def facts(name="noisy-truth", logits=True):
    return MethodFacts(
        name=name,
        summary="labels plus noise",
        version="1",
        kind="method",
        marks="",
        reads=("features",),
        regimes=("none", "labelled"),
        deterministic=False,
        logits=logits,
        config="{}",
    )


def noisy_runs(task, episodes, conditions=CONDITIONS, seeds=SEEDS):
    runs = []
    for split in episodes.splits:
        for seed in seeds:
            for number, condition in enumerate(conditions):
                random = np.random.default_rng([seed, number, split.fold, *split.cell.encode()])
                shape = (1 if condition.k == 0 else DRAWS, split.query_rows.size)
                scores = random.normal(size=shape) + task.columns.label[split.query_rows] - 1.0
                key = f"{split.cell}-{split.fold}-{seed}-{number}"
                runs.append(RunScores(split.cell, split.fold, seed, condition, scores, key))
    return runs


def summary(task, episodes, runs=None, **changes):
    arguments = {"conditions": CONDITIONS, "seeds": SEEDS, "replicates": REPLICATES} | changes
    runs = noisy_runs(task, episodes) if runs is None else runs
    return summarise_method(task, episodes, facts(), runs, **arguments)


def test_every_cell_has_every_condition_in_card_order(task, episodes):
    record, replicates = summary(task, episodes)
    assert record.cells == task.card.cells
    assert [(e.cell, e.regime, e.balance, e.k) for e in record.entries] == [
        (cell, c.regime.value, c.balance.value, c.k) for cell in task.card.cells for c in CONDITIONS
    ]
    assert {e.status for e in record.entries} == {"ok"}
    assert [e.replicates for e in record.entries] == list(range(9))
    assert {(e.k, e.draws, e.seeds) for e in record.entries} == {(0, 1, 2), (8, DRAWS, 2)}
    assert replicates.shape == (9, REPLICATES)
    assert replicates.dtype == np.float32
    assert record.test_scorings == len(noisy_runs(task, episodes)) == len(record.run_keys)


def test_cell_metrics_follow_the_protocol_written_out(task, episodes):
    record, _ = summary(task, episodes)
    runs = {(r.cell, r.fold, r.seed, r.condition): r.scores for r in noisy_runs(task, episodes)}
    for entry in record.entries:
        condition = next(c for c in CONDITIONS if (c.k, c.balance.value) == (entry.k, entry.balance))
        splits = [s for s in episodes.splits if s.cell == entry.cell]
        assert entry.n == sum(s.query_rows.size for s in splits)
        corrected, raw, pooled = [], [], []
        for seed in SEEDS:
            for r in range(1 if condition.k == 0 else DRAWS):
                of_folds, ap_of_folds, weights = [], [], []
                for split in splits:
                    labels = task.columns.label[split.query_rows]
                    chance = chance_aupr(labels.size, int(labels.sum()))
                    ap = average_precision_score(labels, runs[entry.cell, split.fold, seed, condition][r])
                    of_folds.append((ap - chance) / (1 - chance))
                    ap_of_folds.append(ap)
                    weights.append(labels.sum())
                corrected.append(np.average(of_folds, weights=weights))
                raw.append(np.average(ap_of_folds, weights=weights))
                pooled.append(
                    average_precision_score(
                        np.concatenate([task.columns.label[s.query_rows] for s in splits]),
                        np.concatenate([runs[entry.cell, s.fold, seed, condition][r] for s in splits]),
                    )
                )
        assert entry.metrics["corrected"] == pytest.approx(np.mean(corrected), abs=1e-12)
        assert entry.metrics["aupr"] == pytest.approx(np.mean(raw), abs=1e-12)
        if len(splits) == 1:
            assert entry.reasons["fold_pooled_aupr"] in ("one-fold", "balanced-support")
        elif condition is BALANCED:
            assert entry.metrics["fold_pooled_aupr"] is None
            assert entry.reasons["fold_pooled_aupr"] == "balanced-support"
        else:
            assert entry.metrics["fold_pooled_aupr"] == pytest.approx(np.mean(pooled), abs=1e-12)


def test_undefined_metrics_and_reasons_agree_in_every_entry(task, episodes):
    record, _ = summary(task, episodes)
    for entry in (*record.entries, *record.across):
        assert {name for name, value in entry.metrics.items() if value is None} == set(entry.reasons)


def test_replicates_and_interval_are_those_of_the_bootstrap(task, strict):
    record, replicates = summary(task, strict)
    cell = task.card.cells[0]
    queries = [q.facts for q in collect_queries(task, strict.splits)[cell]]
    resamples = resample_folds(queries, strict.hash, REPLICATES)
    runs = {(r.fold, r.seed): r.scores for r in noisy_runs(task, strict) if (r.cell, r.condition) == (cell, NATURAL)}
    expected = cell_replicates(
        [FoldScores(q, resamples[q.fold], [runs[q.fold, s] for s in SEEDS]) for q in queries], strict.hash
    )
    entry = record.entries[1]
    np.testing.assert_array_equal(replicates[entry.replicates], expected.values.astype(np.float32))
    assert entry.interval == percentile_interval(expected.values)
    assert entry.redrawn == expected.redrawn


def test_the_order_of_runs_does_not_matter(task, strict):
    runs = noisy_runs(task, strict)
    record, replicates = summary(task, strict, runs)
    again, replicates_again = summary(task, strict, runs[::-1])
    assert record.model_dump_json() == again.model_dump_json()
    np.testing.assert_array_equal(replicates, replicates_again)


def test_infeasible_failed_missing_and_unasked_cells_are_entries_with_reasons(task, strict):
    first, second, third = task.card.cells
    runs = [r for r in noisy_runs(task, strict) if r.cell == first or (r.cell, r.seed) == (second, 0)]
    last = next(s for s in strict.splits if s.cell == second)
    failure = RunFailure(second, last.fold, 1, ZERO, "ValueError: boom", "key")
    record, replicates = summary(
        task,
        strict,
        runs,
        failures=[failure],
        conditions=(ZERO, NATURAL, TOO_MANY),
        cells=(first, second),
    )
    found = {(e.cell, e.k): (e.status, e.reason) for e in record.entries}
    assert found[first, 0] == ("ok", None)
    assert found[first, 512] == ("infeasible", strict.infeasible(first, "natural", 512))
    assert found[second, 0] == ("failed", "ValueError: boom")
    assert found[second, 8][0] == "missing"
    assert "not in the run store" in found[second, 8][1]
    assert found[third, 0] == ("missing", "the cell was not asked for")
    assert found[third, 512][0] == "infeasible"
    assert len(replicates) == 2
    for entry in record.entries:
        assert entry.status == "ok" or (entry.metrics == {} and entry.replicates is None)
        assert entry.n > entry.positives > 0
        assert len(entry.folds) > 1
    assert {a.reasons["cell_pooled_aupr"] for a in record.across} == {"incomplete"}


def test_across_metrics_pool_all_cells(task, episodes):
    record, _ = summary(task, episodes)
    runs = {(r.cell, r.fold, r.seed, r.condition): r.scores for r in noisy_runs(task, episodes)}
    labels = np.concatenate([task.columns.label[s.query_rows] for s in episodes.splits])
    expected = np.mean(
        [
            average_precision_score(
                labels, np.concatenate([runs[s.cell, s.fold, seed, NATURAL][r] for s in episodes.splits])
            )
            for seed in SEEDS
            for r in range(DRAWS)
        ]
    )
    assert record.across[1].metrics["cell_pooled_aupr"] == pytest.approx(expected, abs=1e-12)
    assert record.across[2].reasons["cell_pooled_aupr"] == "balanced-support"
    if str(record.protocol) == "cell":
        assert record.across[0].reasons["swap_auc"] == "cell-chrom-only"


def test_equal_scores_over_draws_equal_one_draw(task, strict):
    """A pooled method scored at k = 8 with broadcast rows has the metrics of its k = 0."""
    zero = noisy_runs(task, strict, (ZERO,), (0,))
    wide = [RunScores(r.cell, r.fold, 0, NATURAL, np.broadcast_to(r.scores, (DRAWS, r.scores.shape[1]))) for r in zero]
    record, replicates = summary(task, strict, [*zero, *wide], conditions=(ZERO, NATURAL), seeds=(0,))
    for none, shot in zip(record.entries[::2], record.entries[1::2], strict=True):
        assert none.reasons == shot.reasons
        for name, value in none.metrics.items():
            assert shot.metrics[name] == (None if value is None else pytest.approx(value, abs=1e-15))
        np.testing.assert_allclose(replicates[none.replicates], replicates[shot.replicates], atol=1e-7)


def test_reference_rows_flow_through_the_same_evaluator(task, strict):
    record, replicates = summarise_method(
        task,
        strict,
        reference_facts("ceiling"),
        reference_runs(task, strict, "ceiling"),
        conditions=(ZERO,),
        seeds=(0,),
        replicates=REPLICATES,
    )
    assert record.method.kind == "reference"
    assert len(replicates) == len(task.card.cells)
    probability = task.references["ceiling"]
    for entry in record.entries:
        assert entry.metrics["corrected"] > 0
        rows = np.concatenate([s.query_rows for s in strict.splits if s.cell == entry.cell])
        brier = np.mean((probability[rows] - task.columns.label[rows]) ** 2)
        assert entry.metrics["brier"] == pytest.approx(brier, abs=1e-12)


def test_logit_is_finite_and_keeps_the_order():
    p = np.array([0.0, 1e-20, 0.2, 0.5, 0.9, 1.0])
    assert np.isfinite(logit(p)).all()
    assert (np.diff(logit(p)) > 0).all()
    np.testing.assert_allclose(1 / (1 + np.exp(-logit(p[2:5]))), p[2:5], atol=1e-15)


def test_scores_that_do_not_fit_are_refused(task, strict):
    runs = noisy_runs(task, strict)
    with pytest.raises(EpishotError, match="Two runs"):
        summary(task, strict, [*runs, runs[0]])
    short = RunScores(runs[0].cell, runs[0].fold, 0, ZERO, runs[0].scores[:, :-1])
    with pytest.raises(EpishotError, match="another episode set"):
        summary(task, strict, [short, *runs[1:]])
    one_draw = [
        RunScores(r.cell, r.fold, r.seed, r.condition, r.scores[:1]) if i == 1 else r for i, r in enumerate(runs)
    ]
    with pytest.raises(EpishotError, match="draws"):
        summary(task, strict, one_draw)
    for bad in (np.array([[np.nan, 1.0]]), np.zeros(3), np.zeros((0, 3))):
        with pytest.raises(MethodError, match="finite"):
            RunScores("A", 0, 0, ZERO, bad)


def test_compact_records_survive_the_board_folder_byte_for_byte(task, strict, tmp_path):
    record, replicates = summary(task, strict, command="epishot run", commit="abc", versions={"numpy": "2"})
    first = write_compact(tmp_path / "a", record, replicates)
    second = write_compact(tmp_path / "b", record, replicates)
    assert first == tmp_path / "a" / "records" / task.card.name / "cell+chrom" / "noisy-truth.json"
    parquet = first.with_name("noisy-truth.replicates.parquet")
    assert first.read_bytes() == second.read_bytes()
    assert parquet.read_bytes() == second.with_name(parquet.name).read_bytes()
    [(again, replicates_again)] = read_compact(tmp_path / "a")
    assert again == record
    np.testing.assert_array_equal(replicates_again, replicates)
    # Nothing is rounded: the JSON holds every bit of every float.
    stored = json.loads(first.read_text())["entries"][0]["metrics"]["corrected"]
    assert stored == record.entries[0].metrics["corrected"]
    assert sorted(p.name for p in first.parent.iterdir()) == ["noisy-truth.json", parquet.name]


def test_damaged_compact_records_are_named(task, strict, tmp_path):
    record, replicates = summary(task, strict, conditions=(ZERO,), seeds=(0,))
    with pytest.raises(ValueError, match="do not belong"):
        write_compact(tmp_path, record, replicates + 1)
    path = write_compact(tmp_path, record, replicates)
    parquet = path.with_name(f"{path.stem}.replicates.parquet")
    other, others = summary(task, strict, conditions=(NATURAL,), seeds=(0,))
    write_compact(tmp_path / "other", other, others)
    whole = parquet.read_bytes()
    parquet.write_bytes((tmp_path / "other" / path.relative_to(tmp_path)).with_name(parquet.name).read_bytes())
    with pytest.raises(EpishotError, match="not those of the record"):
        read_compact(tmp_path)
    parquet.write_bytes(whole[:100])
    with pytest.raises(EpishotError, match="cannot be read"):
        read_compact(tmp_path)
    parquet.unlink()
    with pytest.raises(EpishotError, match="cannot be read"):
        read_compact(tmp_path)
    path.write_text("{}")
    with pytest.raises(EpishotError, match=re.escape(str(path))):
        read_compact(tmp_path)
    assert read_compact(tmp_path / "nothing here") == []


def test_a_board_without_any_score_has_an_empty_table(task, strict, tmp_path):
    record, replicates = summary(task, strict, [])
    assert replicates.shape == (0, REPLICATES)
    write_compact(tmp_path, record, replicates)
    [(again, empty)] = read_compact(tmp_path)
    assert again == record
    assert empty.shape == (0, REPLICATES)

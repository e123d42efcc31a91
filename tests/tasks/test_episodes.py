"""Episode sets: the draw rule, independence of everything but identity, and what the hash protects."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epishot.tasks.draws import Balance, StreamIdentity, draw_support, stream_words
from epishot.tasks.episode_files import list_episode_sets
from epishot.tasks.episode_tables import to_tables
from epishot.tasks.episodes import EpisodeSet
from epishot.tasks.errors import EpishotError

PROTOCOLS = ("cell", "cell+chrom")
SHOTS = (0, 2, 4, 8)


def _brute_force(words, pair, label, balance, k):
    """The rule in plain words: permute, keep the first row of each pair, take the first k."""
    kept, met = [], set()
    for i in sorted(range(len(words)), key=lambda i: (int(words[i]), i)):
        if pair[i] < 0 or pair[i] not in met:
            met.add(pair[i])
            kept.append(i)
    if balance is Balance.NATURAL:
        return kept[:k]
    positives = [i for i in kept if label[i] == 1][: k // 2]
    negatives = [i for i in kept if label[i] == 0][: k // 2]
    return [i for both in zip(positives, negatives, strict=True) for i in both]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), m=st.integers(2, 400), seed=st.integers(0, 2**32 - 1))
def test_a_draw_is_the_front_of_the_permuted_pool(data, m, seed):
    rng = np.random.default_rng(seed)
    pair = rng.integers(-1, max(2, m // 2), m)
    label = (rng.random(m) < data.draw(st.sampled_from([0.02, 0.3, 0.5]))).astype(np.int8)
    words = rng.integers(0, data.draw(st.sampled_from([5, 2**64 - 1])), m, dtype=np.uint64)
    natural = _brute_force(words, pair, label, Balance.NATURAL, m)
    k = data.draw(st.integers(0, len(natural)))
    assert draw_support(words, pair, label, Balance.NATURAL, k).tolist() == natural[:k]
    limit = min((label[natural] == 1).sum(), (label[natural] == 0).sum())
    half = data.draw(st.integers(0, int(limit)))
    drawn = draw_support(words, pair, label, Balance.BALANCED, 2 * half)
    assert drawn.tolist() == _brute_force(words, pair, label, Balance.BALANCED, 2 * half)
    assert label[drawn].tolist() == [1, 0] * half
    with pytest.raises(ValueError, match="cannot give"):
        draw_support(words, pair, label, Balance.NATURAL, len(natural) + 1)


def test_every_row_of_the_pool_is_equally_likely():
    # One row per pair: the first row drawn is uniform over the pool (chi-square, 19 degrees of freedom).
    first = [
        int(np.argmin(stream_words(StreamIdentity("t", "1", "cell", "A", 0, "natural", draw), 20)))
        for draw in range(4000)
    ]
    counts = np.bincount(first, minlength=20)
    assert ((counts - 200) ** 2 / 200).sum() < 43.8  # 99.9 % point


def test_the_stream_is_philox_keyed_by_the_hash_of_the_identity():
    identity = StreamIdentity("bengi", "1", "cell+chrom", "HMEC", 3, "natural", 7)
    text = '["bengi","1","cell+chrom","HMEC",3,"natural",7]'
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
    expected = np.random.Philox(key=key).random_raw(9)
    assert np.array_equal(stream_words(identity, 9), expected)
    assert np.array_equal(stream_words(identity, 5), expected[:5])
    # Golden value: another numpy or platform must draw the same episodes.
    assert [hex(w) for w in expected[:2]] == ["0xe59550db6ae04702", "0x2791793f1251c6d7"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_supports_keep_the_rules_of_the_protocol(make_task, protocol):
    task = make_task()
    columns = task.columns
    episodes = EpisodeSet.build(task, protocol, SHOTS, draws=6)
    assert episodes.task_hash == task.content_hash
    assert episodes.gaps == {}
    seen = set()
    for split in episodes.splits:
        for balance in Balance:
            for k in SHOTS:
                rows = episodes.support_rows(split.cell, split.fold, balance, k)
                assert rows.dtype == np.int64
                assert rows.shape == ((6, k) if k else (1, 0))
                assert np.isin(rows, split.pool_rows).all()
                for one in rows:
                    assert np.unique(columns.pair[one]).size == k
                    if balance is Balance.BALANCED:
                        assert (columns.label[one] == 1).sum() == k // 2
                seen.update(map(tuple, rows))
    assert len(seen) == len(episodes.splits) * 6 * 3 * 2 + 1  # all distinct, but for the empty one


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    protocol=st.sampled_from(PROTOCOLS),
    shots=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    draws=st.integers(1, 5),
)
def test_supports_are_nested_and_depend_on_identity_only(make_task, seed, protocol, shots, draws):
    task = make_task(seed=seed, pairs_per_cell=120)
    full = EpisodeSet.build(task, protocol, range(13), draws=7)
    part = EpisodeSet.build(task, protocol, list(reversed(shots)), draws=draws)
    for split in part.splits:
        for balance in Balance:
            for k in part.shots:
                reason = part.infeasible(split.cell, balance, k)
                assert reason == full.infeasible(split.cell, balance, k)
                if reason is None:
                    rows = part.support_rows(split.cell, split.fold, balance, k)
                    expected = full.support_rows(split.cell, split.fold, balance, k)
                    assert np.array_equal(rows, expected[: max(1, draws) if k else 1])
            feasible = [k for k in range(13) if k and full.infeasible(split.cell, balance, k) is None]
            for small, large in itertools.pairwise(feasible):
                wide = full.support_rows(split.cell, split.fold, balance, large)
                assert np.array_equal(full.support_rows(split.cell, split.fold, balance, small), wide[:, :small])


_CHILD = """
import sys
sys.path.insert(0, {folder!r})
from conftest import _make_task
from epishot.tasks.episodes import EpisodeSet
print(EpisodeSet.build(_make_task(seed=3), {protocol!r}, (0, 2, 4, 8), 3).hash)
assert "datasets" not in sys.modules and "torch" not in sys.modules and "scipy" not in sys.modules
"""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_another_process_draws_the_same_and_needs_no_heavy_library(make_task, protocol):
    here = EpisodeSet.build(make_task(seed=3), protocol, (0, 2, 4, 8), 3).hash
    code = _CHILD.format(folder=os.path.dirname(__file__), protocol=protocol)
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == here, done.stderr


def test_streams_differ_by_task_version_protocol_cell_fold_balance_and_draw():
    base = StreamIdentity("t", "1", "cell", "A", 0, "natural", 0)
    changes = {"task": "u", "version": "2", "protocol": "cell+chrom", "cell": "B", "fold": 1, "draw": 1}
    changes["balance"] = "balanced"
    first = {tuple(stream_words(base._replace(**{name: value}), 2)) for name, value in changes.items()}
    assert len(first | {tuple(stream_words(base, 2))}) == 8


def test_infeasible_is_recorded_with_its_reason_and_never_shrunk(make_task):
    task = make_task(pairs_per_cell=40, prevalence=0.2)
    episodes = EpisodeSet.build(task, "cell", (0, 3, 8, 500), draws=2)
    assert "odd" in episodes.infeasible("A", "balanced", 3)
    assert episodes.infeasible("A", "natural", 3) is None
    reason = episodes.infeasible("A", "natural", 500)
    pool = episodes.split("A", 0).pool_rows
    assert reason == f"the pool has {np.unique(task.columns.pair[pool]).size} of 500 enhancer-gene pairs"
    with pytest.raises(EpishotError, match="of 500 enhancer-gene pairs"):
        episodes.support_rows("A", 0, "natural", 500)
    with pytest.raises(EpishotError, match="shots 0, 3, 8, 500, not 'A' with k = 16"):
        episodes.infeasible("A", "natural", 16)
    with pytest.raises(EpishotError, match="not 'Z' with k = 8"):
        episodes.infeasible("Z", "natural", 8)
    with pytest.raises(EpishotError, match="no query for cell 'A', fold 4"):
        episodes.support_rows("A", 4, "natural", 8)


def test_one_poor_fold_makes_the_cell_infeasible(make_task):
    rows = [
        {"cell": c, "enhancer_id": f"{ch}e{i}", "gene_id": f"{ch}g{i}", "enhancer_chrom": ch, "label": i % 2}
        for c in "AB"
        for ch, count in (("1", 20), ("2", 4))
        for i in range(count)
    ]
    episodes = EpisodeSet.build(make_task(rows, cells=("A", "B")), "cell+chrom", (0, 4, 8), draws=2)
    # Fold 0 holds chromosome 1, so its pool is chromosome 2: 4 pairs.
    assert episodes.infeasible("A", "natural", 4) is None
    assert episodes.infeasible("A", "natural", 8) == "fold 0: the pool has 4 of 8 enhancer-gene pairs"
    assert episodes.infeasible("A", "balanced", 8).startswith("fold 0: the pool has 2 of 4 positive")
    with pytest.raises(EpishotError, match="fold 0"):
        episodes.support_rows("A", 2, "natural", 8)


@pytest.mark.parametrize(("shots", "draws"), [((), 1), ((-1,), 1), ((8,), 0)])
def test_senseless_requests_are_user_errors(make_task, shots, draws):
    with pytest.raises(EpishotError):
        EpisodeSet.build(make_task(), "cell", shots, draws)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_saved_and_loaded_sets_are_equal(make_task, tmp_path, protocol):
    task = make_task(pairs_per_cell=60)
    built = EpisodeSet.build(task, protocol, (0, 2, 8, 300), draws=3)
    folder = built.save(tmp_path / "sets" / "one")
    loaded = EpisodeSet.load(folder, task)
    assert loaded.hash == built.hash
    for name in ("task_name", "task_version", "task_hash", "n_rows", "protocol", "shots", "draws", "cells"):
        assert getattr(loaded, name) == getattr(built, name)
    assert loaded.gaps == built.gaps
    assert built.gaps  # 300 pairs are not there
    for a, b in zip(loaded.splits, built.splits, strict=True):
        assert (a.cell, a.fold, a.protocol, a.dropped_pool, a.unplaced) == (
            b.cell,
            b.fold,
            b.protocol,
            b.dropped_pool,
            b.unplaced,
        )
        for name in ("train_rows", "pool_rows", "query_rows"):
            assert np.array_equal(getattr(a, name), getattr(b, name))
            assert getattr(a, name).dtype == np.int64
    for key, rows in built.supports.items():
        assert np.array_equal(loaded.supports[key], rows)
    assert list(loaded.supports) == list(built.supports)
    (facts,) = list_episode_sets(tmp_path / "sets")
    assert (facts.hash, facts.protocol, facts.shots, facts.problem) == (built.hash, protocol, (0, 2, 8, 300), None)
    assert facts.episodes == len(built.to_dataset()["episodes"])
    assert sorted(path.name for path in (tmp_path / "sets").iterdir()) == ["one"]  # no partial folder left


def test_a_task_without_any_query_is_a_user_error(make_task):
    rows = [{"cell": c, "enhancer_id": "e", "gene_id": "g", "enhancer_chrom": "1"} for c in "AB"]
    with pytest.raises(EpishotError, match="has no labelled query row under protocol 'cell'"):
        EpisodeSet.build(make_task(rows, cells=("A", "B")), "cell", (0, 8), draws=2)


def test_loaded_supports_are_views_of_the_arrow_buffer(make_task, tmp_path):
    built = EpisodeSet.build(make_task(), "cell", SHOTS, draws=3)
    loaded = EpisodeSet.load(built.save(tmp_path / "set"))
    for rows in loaded.supports.values():
        assert not rows.flags.owndata
        assert not rows.flags.writeable


def test_dataset_form(make_task):
    task = make_task()
    built = EpisodeSet.build(task, "cell", SHOTS, draws=3)
    dataset = built.to_dataset()
    assert dataset["episodes"].column_names == [
        *("episode_id", "cell", "fold", "regime", "balance", "k", "draw", "support")
    ]
    assert dataset["queries"].column_names[:3] == ["cell", "fold", "rows"]
    episodes = dataset["episodes"].to_pandas()
    assert episodes.episode_id.is_unique
    assert (episodes.support.str.len() == episodes.k).all()
    # Per cell: 1 zero-shot + 3 shots x 3 draws x (unlabelled, labelled natural, labelled balanced).
    assert len(episodes) == 3 * (1 + 3 * 3 * 3)
    assert set(episodes[episodes.balance == "balanced"].regime) == {"labelled"}
    wide = episodes[episodes.balance == "natural"].pivot(
        index=["cell", "k", "draw"], columns="regime", values="support"
    )
    for line in wide.dropna(subset=["labelled"]).itertuples():
        assert np.array_equal(line.labelled, line.unlabelled)
    for line in dataset["queries"]:
        assert line["rows"] == built.split(line["cell"], line["fold"]).query_rows.tolist()


def test_the_hash_changes_with_every_index_and_with_the_task(make_task):
    task = make_task(pairs_per_cell=60)
    built = EpisodeSet.build(task, "cell+chrom", (0, 4), draws=2)
    assert EpisodeSet.build(task, "cell+chrom", (4, 0, 4), draws=2).hash == built.hash
    others = [
        EpisodeSet.build(task, "cell", (0, 4), draws=2),
        EpisodeSet.build(task, "cell+chrom", (0, 4), draws=3),
        EpisodeSet.build(task, "cell+chrom", (4,), draws=2),
        EpisodeSet.build(make_task(pairs_per_cell=60, version="2"), "cell+chrom", (0, 4), draws=2),
    ]
    key = next(iter(built.supports))
    for at in ((0, 0), (1, 3)):
        changed = built.supports[key].copy()
        changed[at] += 1
        others.append(replace(built, supports={**built.supports, key: changed}))
    for name in ("train_rows", "pool_rows", "query_rows"):
        split = replace(built.splits[2], **{name: getattr(built.splits[2], name)[1:]})
        others.append(replace(built, splits=(*built.splits[:2], split, *built.splits[3:])))
    hashes = {other.hash for other in others}
    assert len(hashes) == len(others)
    assert built.hash not in hashes


def test_a_changed_label_makes_another_task_and_says_so(make_task, tmp_path):
    task = make_task()
    folder = EpisodeSet.build(task, "cell", SHOTS, draws=2).save(tmp_path / "set")
    label = task.table["label"].to_numpy().copy()
    label[5] = 1 - label[5]
    at = task.table.column_names.index("label")
    other = replace(task, table=task.table.set_column(at, task.table.schema.field(at), pa.array(label, pa.int8())))
    with pytest.raises(EpishotError, match=r"built for task 'tiny' version 1 .*but the task at hand is"):
        EpisodeSet.load(folder, other)


def _damage_index(folder):
    path = folder / "episodes" / "data-00000-of-00001.arrow"
    table = pa.ipc.open_stream(path.read_bytes()).read_all()  # not mapped: it is overwritten below
    flat = table["support"].combine_chunks()
    # Swap two rows inside the support of a small k: the largest k alone would not show it.
    k = table["k"].to_numpy()
    row = int(np.flatnonzero(k == 4)[0])
    start = flat.offsets[row].as_py()
    values = flat.values.to_numpy().copy()
    values[[start, start + 1]] = values[[start + 1, start]]
    lists = pa.ListArray.from_arrays(flat.offsets, pa.array(values, pa.int32())).cast(flat.type)
    table = table.set_column(table.column_names.index("support"), table.schema.field("support"), lists)
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


def _drop_reason(folder):
    text = json.loads((folder / "manifest.json").read_text())
    text["infeasible"] = text["infeasible"][1:]
    (folder / "manifest.json").write_text(json.dumps(text))


def _forge_hash(folder):
    text = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**text, "hash": "0" * 64}))


DAMAGES = {
    "an index": _damage_index,
    "a gap": _drop_reason,
    "the hash": _forge_hash,
    "the manifest": lambda folder: (folder / "manifest.json").write_text("{"),
    "a file": lambda folder: (folder / "queries" / "data-00000-of-00001.arrow").unlink(),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_found_on_loading(make_task, tmp_path, what):
    folder = EpisodeSet.build(make_task(), "cell", (0, 4, 8, 900), draws=2).save(tmp_path / "set")
    DAMAGES[what](folder)
    with pytest.raises(EpishotError, match="damaged or was edited"):
        EpisodeSet.load(folder)


def test_other_folder_problems_have_a_remedy(make_task, tmp_path):
    built = EpisodeSet.build(make_task(), "cell", SHOTS, draws=2)
    folder = built.save(tmp_path / "set")
    before = (folder / "manifest.json").stat().st_mtime_ns
    assert built.save(folder) == folder  # the same set again: left as it is
    assert (folder / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(EpishotError, match="already holds another episode set"):
        EpisodeSet.build(make_task(), "cell", SHOTS, draws=3).save(folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(EpishotError, match="holds other files: choose another folder"):
        built.save(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    with pytest.raises(EpishotError, match="no episode set"):
        EpisodeSet.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(EpishotError, match="choose another folder"):
        built.save(tmp_path / "file" / "set")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "manifest.json").write_text('{"schema": "0"}')
    with pytest.raises(EpishotError, match="schema 0"):
        EpisodeSet.load(tmp_path / "bad")
    listed = {facts.folder.name: facts.problem for facts in list_episode_sets(tmp_path)}
    assert listed["set"] is None
    assert "schema 0" in listed["bad"]


@pytest.mark.realdata
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bengi_episode_set(data_mirror, tmp_path, protocol):
    from epishot.tasks.catalog import load_task

    task = load_task("bengi")
    built = EpisodeSet.build(task, protocol, (0, 8, 16, 32, 64, 128), draws=10)
    assert built.gaps == {}
    loaded = EpisodeSet.load(built.save(tmp_path / "set"), task)
    assert loaded.hash == built.hash
    tables = to_tables(loaded)
    assert tables.episodes.num_rows == len(built.splits) * (1 + 10 * 5 * 3)
    assert pc.sum(pc.list_value_length(tables.queries["rows"])).as_py() == sum(s.query_rows.size for s in built.splits)
    # Index rows, not copies: the folder is a small part of one copied support column.
    size = sum(path.stat().st_size for path in (tmp_path / "set").rglob("*"))
    assert size < 8e6

"""Joining predictions to pairs, against a brute-force join; repeats, conflicts and strays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from epishot.benchmark.external_keys import position_key, text_key
from epishot.benchmark.external_match import match_rows
from epishot.benchmark.external_scores import Conflicts, collect_scores
from epishot.benchmark.external_table import PredictionTable, read_predictions
from epishot.tasks.card import Source, TaskCard
from epishot.tasks.errors import EpishotError
from epishot.tasks.schema import arrow_schema
from epishot.tasks.task import Task


def row(cell: str, chrom: str, start: int, gene: str, transcript: str, tss: int, **more: Any) -> dict[str, Any]:
    found = {
        "cell": cell,
        "enhancer_id": f"E{start}",
        "enhancer_chrom": chrom,
        "enhancer_start": start,
        "enhancer_end": start + 100,
        "promoter_chrom": chrom,
        "promoter_start": tss,
        "promoter_end": tss + 1,
        "promoter_strand": "+",
        "transcript_id": transcript,
        "gene_id": gene,
        "gene_symbol": gene.replace("ENSG00000", "SYM").partition(".")[0],
        "distance": float(abs(tss - start)),
        "label": start // 100 % 2,
        "assay": "toy",
        "genome_build": "toy",
        "features": [],
    }
    return found | more


ROWS = [
    row("HeLa-S3", "chr1", 100, "ENSG00000001.4", "ENST00000001.1", 5000),
    row("HeLa-S3", "chr1", 100, "ENSG00000001.4", "ENST00000002.2", 6000),
    row("HeLa-S3", "chr1", 200, "ENSG00000001.4", "ENST00000001.1", 5000),
    row("HeLa-S3", "chr2", 100, "ENSG00000003.1", "ENST00000003.1", 9000),
    row("K562", "chr1", 100, "ENSG00000001.4", "ENST00000001.1", 5000),
    row("K562", "chr2", 300, "ENSG00000003.1", "ENST00000003.1", 9000),
]


@pytest.fixture(scope="module")
def task() -> Task:
    card = TaskCard(
        name="toy",
        version="1",
        summary="hand-made",
        source=Source(repository="generated", revision="1"),
        genome_build="toy",
        licence="MIT",
        citation="none",
        label_meaning="toy",
        cells=("HeLa-S3", "K562"),
        features=(),
        support_pool_chromosomes=("1",),
    )
    rows = [{"pair_id": f"p{i}", **one} for i, one in enumerate(ROWS)]
    return Task(card, pa.Table.from_pylist(rows, schema=arrow_schema(0)))


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., PredictionTable]:
    def make(header: str, *lines: str) -> PredictionTable:
        path = tmp_path / "preds.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return read_predictions(path, {})

    return make


def scores(task: Task, table: PredictionTable, given: dict[str, str] | None = None, **more: Any) -> list[float]:
    match = match_rows(task, table, given or {})
    return collect_scores(task, table, match, more.get("conflicts", Conflicts.REFUSE)).score.tolist()


NONE = pytest.approx(float("nan"), nan_ok=True)


def test_by_pair_id(task: Task, read: Callable[..., PredictionTable]) -> None:
    table = read("pair_id,score", "p3,0.3", "p0,0.5", "nobody,9")
    match = match_rows(task, table, {})
    assert match.by == "pair id"
    assert {reason: rows.tolist() for reason, rows in match.unmatched.items()} == {"pair id not in the task": [2]}
    assert scores(task, table) == [0.5, NONE, NONE, 0.3, NONE, NONE]


@pytest.mark.parametrize("chrom", ["chr1", "1"])
@pytest.mark.parametrize("gene", ["ENSG00000001.4", "ENSG00000001", "ENSG00000001.9", "SYM001"])
@pytest.mark.parametrize("cell", ["HeLa-S3", "hela s3"])
def test_by_coordinates_and_gene_in_any_spelling(
    task: Task, read: Callable[..., PredictionTable], chrom: str, gene: str, cell: str
) -> None:
    table = read("cell,chrom,start,end,gene,score", f"{cell},{chrom},100,200,{gene},0.5")
    # Without transcript or TSS both rows of the pair share the score; other cells and enhancers do not.
    assert scores(task, table) == [0.5, 0.5, NONE, NONE, NONE, NONE]


def test_transcripts_and_tss_tell_rows_of_a_pair_apart(task: Task, read: Callable[..., PredictionTable]) -> None:
    head = "cell,enhancer_id,gene,{},score"
    first, second = "HeLa-S3,E100,ENSG00000001,{},0.5", "HeLa-S3,E100,ENSG00000001,{},0.7"
    by_transcript = read(head.format("transcript"), first.format("ENST00000002"), second.format("ENST00000001.7"))
    assert scores(task, by_transcript)[:2] == [0.7, 0.5]
    by_tss = read(head.format("tss"), first.format("6000"), second.format("5000.0"))
    assert scores(task, by_tss)[:2] == [0.7, 0.5]


def test_every_stray_row_has_one_reason(task: Task, read: Callable[..., PredictionTable]) -> None:
    table = read(
        "cell,chrom,start,end,gene,score",
        "GM12878,chr1,100,200,ENSG00000001,1",
        "K562,chr1,101,200,ENSG00000001,2",
        "K562,chr1,100,200,ENSG00000009,3",
        "K562,chr2,100,200,ENSG00000003,4",
        ",chr2,300,400,ENSG00000003,5",
        "K562,chr2,300,400,ENSG00000003,6",
    )
    match = match_rows(task, table, {})
    assert {reason: rows.tolist() for reason, rows in match.unmatched.items()} == {
        "cell not in the task": [0, 4],
        "enhancer not in the task": [1],
        "gene not in the task": [2],
        "pair not in the task": [3],
    }
    assert scores(task, table) == [NONE] * 5 + [6.0]


def test_own_pair_ids_give_way_to_coordinates_unless_asked_for(
    task: Task, read: Callable[..., PredictionTable]
) -> None:
    table = read("pair_id,cell,enhancer_id,gene,score", "mine-1,K562,E300,ENSG00000003,6")
    assert scores(task, table) == [NONE] * 5 + [6.0]
    with pytest.raises(EpishotError, match=r"None of the 1 rows of preds.csv is a pair of task 'toy'.*mine-1"):
        match_rows(task, table, {"pair_id": "pair_id"})


def test_too_few_columns_are_said(task: Task, read: Callable[..., PredictionTable]) -> None:
    with pytest.raises(EpishotError, match="does not say the gene and cell of a pair"):
        match_rows(task, read("chrom,start,end,score", "chr1,100,200,1"), {})


def test_repeats_collapse_and_conflicts_are_refused_or_settled(
    task: Task, read: Callable[..., PredictionTable]
) -> None:
    table = read("pair_id,score", "p0,1", "p1,2", "p0,1", "p2,3", "p2,5", "p0,1", "p2,4")
    match = match_rows(task, table, {})
    with pytest.raises(EpishotError, match=r"1 pairs have different scores.*rows 4 and 5, p2: 3 against 5"):
        collect_scores(task, table, match, Conflicts.REFUSE)
    for rule, value in ((Conflicts.MAX, 5.0), (Conflicts.MEAN, 4.0), (Conflicts.MIN, 3.0)):
        found = collect_scores(task, table, match, rule)
        assert found.score.tolist() == [1.0, 2.0, value, NONE, NONE, NONE]
        assert (found.repeats.number, found.conflicts.number) == (2, 1)


@pytest.mark.parametrize("word", ["", "nan", "inf", "-inf", "NA"])
def test_scores_that_are_not_finite_are_refused_where_they_matter(
    task: Task, read: Callable[..., PredictionTable], word: str
) -> None:
    with pytest.raises(EpishotError, match=r"1 pairs of the task have no finite score.*row 2.*--fill"):
        scores(task, read("pair_id,score", "p0,1", f"p1,{word}"))
    assert scores(task, read("pair_id,score", "p0,1", f"elsewhere,{word}"))[0] == 1.0


def test_labels_that_contradict_the_task_are_counted(task: Task, read: Callable[..., PredictionTable]) -> None:
    stated = task.columns.label.tolist()
    stated[4] = 1 - stated[4]
    table = read("pair_id,label,score", *(f"p{i},{label},{i}" for i, label in enumerate(stated)))
    found = collect_scores(task, table, match_rows(task, table, {}), Conflicts.REFUSE)
    assert found.labels.number == 1
    assert "row 5, p4" in found.labels.examples[0]


def test_keys_agree_with_a_brute_force_join() -> None:
    rng = np.random.default_rng(1)
    task_text, file_text = (rng.choice(["", "a", "b", "c", extra], 300).tolist() for extra in ("t", "f"))
    task_place, file_place = rng.integers(0, 7, 300), rng.integers(0, 9, 300)
    spelled = [f"{place}.0" if i % 2 else str(place) for i, place in enumerate(file_place)]
    key = text_key(pa.array(task_text), pa.array(file_text)).joined(
        position_key(pa.array(task_place), pa.array(spelled))
    )
    truth = [
        [t != "" and (t, p) == (u, q) for u, q in zip(file_text, file_place, strict=True)]
        for t, p in zip(task_text, task_place, strict=True)
    ]
    assert np.array_equal((key.task[:, None] == key.file[None]) & (key.task >= 0)[:, None], np.array(truth))
    assert key.size == len({(t, p) for t, p in zip(task_text, task_place, strict=True) if t})


@pytest.mark.parametrize("word", ["-5", "1e3", "7.5", "x", None, "99999999999999999999"])
def test_what_is_no_position_matches_nothing(word: str | None) -> None:
    key = position_key(pa.array([5, 7, 1000, None]), pa.array([word], pa.string()))
    assert key.file.tolist() == [-1]

"""Tasks `bengi*`: pair and feature files correspond row by row; the reference figures of the source hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from epishot.tasks import bengi
from epishot.tasks.bengi_transepi import TARGETS, bengi_transepi
from epishot.tasks.errors import TableError
from epishot.tasks.splits import Protocol, cell_splits
from epishot.tasks.task import Task

SMALL = bengi.Assay("bengi", "HiC", ("HeLa", "HMEC"), with_features=True, summary="small")


def pair_rows(cell: str) -> pd.DataFrame:
    """Two transcripts of one gene (one per strand) for one enhancer, and a second enhancer."""
    rows = []
    for accession, start, end in (("E1", 1000, 1501), ("E2", 9000, 9200)):
        for transcript, strand, tss in (("T1.1", "+", 5000), ("T2.1", "-", 6000)):
            region = (tss - 1499, tss + 501) if strand == "+" else (tss - 499, tss + 1501)
            promoter = f"chr1:{tss}-{tss + 1}|{cell}|G.7|{transcript}|{strand}"
            distance = abs((start + end) / 2 - (tss + 1))
            name = f"chr1:{start}-{end}|{cell}|{accession}"
            rows.append((1, distance, "chr1", start, end, name, "chr1", *region, promoter))
    return pd.DataFrame(rows)


def write(folder: Path, pairs: dict[str, pd.DataFrame], features: dict[str, pd.DataFrame]) -> dict[str, Path]:
    paths = {}
    for cell, frame in pairs.items():
        paths[SMALL.pair_file(cell)] = folder / SMALL.pair_file(cell)
        frame.to_csv(paths[SMALL.pair_file(cell)], sep="\t", header=False, index=False)
        paths[SMALL.feature_file(cell)] = folder / SMALL.feature_file(cell)
        features[cell].to_csv(paths[SMALL.feature_file(cell)], index=False)
    return paths


def feature_rows(pairs: pd.DataFrame) -> pd.DataFrame:
    names = [feature.name for feature in bengi.FEATURES]
    values = np.arange(len(pairs) * len(names)).reshape(len(pairs), -1) / 8
    ids = pd.DataFrame({"label": pairs[0], "enh_name": pairs[5], "prom_name": pairs[9], "celltype": "x"})
    # Columns in another order than the card's: they are found by name.
    return pd.concat([ids, pd.DataFrame(values, columns=names)[names[::-1]]], axis=1)


@pytest.fixture
def sources() -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    pairs = {cell: pair_rows(cell) for cell in SMALL.cells}
    return pairs, {cell: feature_rows(frame) for cell, frame in pairs.items()}


def build(folder: Path, sources: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]) -> Task:
    card = SMALL.card()
    return Task(card=card, table=bengi.build(SMALL, card, write(folder, *sources)))


def test_rows_are_read_as_the_source_means_them(
    tmp_path: Path, sources: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]
) -> None:
    task = build(tmp_path, sources)
    first, second = task.table.slice(0, 2).to_pylist()
    features = first.pop("features")
    assert first == {
        "pair_id": "HeLa|HiC|E1|T1.1",
        "cell": "HeLa",
        "assay": "HiC",
        "genome_build": "hg19",
        "enhancer_id": "E1",
        "enhancer_chrom": "chr1",
        "enhancer_start": 1000,
        "enhancer_end": 1501,
        "promoter_chrom": "chr1",
        "promoter_start": 5000,
        "promoter_end": 5001,
        "promoter_strand": "+",
        "transcript_id": "T1.1",
        "gene_id": "G.7",
        "gene_symbol": "",
        "distance": 3750.5,
        "label": 1,
    }
    assert features == [i / 8 for i in range(24)]
    assert second["promoter_strand"] == "-"
    assert len(np.unique(task.columns.pair)) == 2  # two enhancers of one gene, shared by both cells


def test_rows_that_do_not_correspond_are_named(
    tmp_path: Path, sources: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]
) -> None:
    features = sources[1]
    features["HMEC"] = features["HMEC"].iloc[[1, 0, 2, 3]]
    features["HMEC"]["label"] = [1, 1, 0, 1]
    with pytest.raises(TableError) as caught:
        build(tmp_path, sources)
    assert caught.value.total == 3
    assert caught.value.problems[0].startswith(f"{SMALL.feature_file('HMEC')}, row 1, column 'prom_name': 'chr1:6000")
    assert caught.value.problems[2].startswith(f"{SMALL.feature_file('HMEC')}, row 3, column 'label': 0 is not")


def test_a_feature_file_of_another_length_is_named(
    tmp_path: Path, sources: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]
) -> None:
    sources[1]["HeLa"] = sources[1]["HeLa"].iloc[:3]
    with pytest.raises(TableError, match=r"BENGI.HeLa.HiC.*has 3 rows, but the pair file has 4"):
        build(tmp_path, sources)


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (1, 17.0, r"column 'distance': 17.0 is not \|enhancer midpoint - 1-based TSS\|"),
        (3, 1001, "column 'enhancer_name': .* is not at the row's coordinates"),
        (7, 5001, "column 'promoter_name': .* is not inside the row's promoter region"),
        (9, "chr1:5000-5001|NHEK|G.7|T1.1|+", "column 'promoter_name': .* is of another cell line"),
    ],
)
def test_names_distances_and_coordinates_must_agree(
    tmp_path: Path,
    sources: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]],
    column: int,
    value: object,
    text: str,
) -> None:
    sources[0]["HeLa"].loc[0, column] = value
    with pytest.raises(TableError, match=text):
        build(tmp_path, sources)


@pytest.fixture(scope="module")
def tasks(data_mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Task]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EPISHOT_CACHE", str(tmp_path_factory.mktemp("cache")))
        built = (bengi.bengi(), bengi.bengi_hic6(), bengi.bengi_ctcf(), bengi.bengi_rnapii())
        return {task.card.name: task for task in built}


REFERENCE = [
    # task, cell, rows, positives, enhancer-gene pairs, positive ones, AUPR of 1/distance, activity x distance
    ("bengi", "GM12878", 48_907, 2_695, 20_669, 1_307, 0.1149, 0.0917),
    ("bengi", "HeLa", 23_342, 2_256, 9_584, 1_012, 0.1751, 0.1471),
    ("bengi", "HMEC", 22_305, 2_286, 8_493, 973, 0.2290, 0.1723),
    ("bengi", "IMR90", 14_736, 1_468, 6_780, 758, 0.1798, 0.1529),
    ("bengi", "NHEK", 15_402, 1_820, 7_316, 861, 0.1804, 0.1593),
    ("bengi-hic6", "K562", 76_064, 2_765, 30_080, 1_353, None, None),
    ("bengi-ctcf", "GM12878", 40_845, 4_817, 16_990, None, None, None),
    ("bengi-ctcf", "HeLa", 12_135, 1_346, 5_221, None, None, None),
    ("bengi-rnapii", "GM12878", 95_655, 24_985, 40_311, None, None, None),
    ("bengi-rnapii", "HeLa", 2_926, 744, 1_276, None, None, None),
]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "cell", "n", "positives", "pairs", "positive_pairs", "by_distance", "by_activity"), REFERENCE
)
def test_reference_figures(
    tasks: dict[str, Task],
    name: str,
    cell: str,
    n: int,
    positives: int,
    pairs: int,
    positive_pairs: int | None,
    by_distance: float | None,
    by_activity: float | None,
) -> None:
    task = tasks[name]
    rows, columns = task.cell_rows(cell), task.columns
    label, distance, pair = columns.label[rows], columns.distance[rows], columns.pair[rows]
    assert (len(rows), int(label.sum()), len(np.unique(pair))) == (n, positives, pairs)
    if positive_pairs is not None:
        assert len(np.unique(pair[label == 1])) == positive_pairs
    if by_distance is not None:
        assert average_precision_score(label, -distance) == pytest.approx(by_distance, abs=1e-4)
    if by_activity is not None:
        positions = [task.card.feature_names.index(feature) for feature in task.card.activity]
        activity = np.sqrt(columns.features[rows][:, positions].astype(float).prod(axis=1))
        score = activity / np.maximum(distance, 5000) ** 0.87
        assert average_precision_score(label, score) == pytest.approx(by_activity, abs=1e-4)


@pytest.mark.realdata
def test_transcripts_of_a_pair_share_its_label_and_features_are_empty_only_where_known(tasks: dict[str, Task]) -> None:
    task = tasks["bengi"]
    columns = task.columns
    for cell in task.card.cells:
        rows = task.cell_rows(cell)
        by_pair = pd.Series(columns.label[rows]).groupby(columns.pair[rows])
        assert (by_pair.nunique() == 1).all()
        assert 2.0 < len(rows) / by_pair.ngroups < 2.7
        used = (columns.features[rows] > 0).mean(axis=0)
        rare = {name for name, share in zip(task.card.feature_names, used, strict=True) if share < 0.02}
        poor = {"H3K27me3 (enhancer)", "H3K9me3 (enhancer)"} if cell in ("HMEC", "IMR90", "NHEK") else set()
        assert rare >= poor
        assert all(name.startswith(("H3K27me3", "H3K9me3")) for name in rare)
    assert np.isfinite(columns.features).all()
    assert columns.features.shape == (124_692, 24)


@pytest.mark.realdata
def test_gene_versions_are_those_of_one_annotation(tasks: dict[str, Task]) -> None:
    """Were one gene versioned differently between files, rows of the same gene would not meet."""
    genes = {gene for task in tasks.values() for gene in task.table["gene_id"].unique().to_pylist()}
    assert len({gene.partition(".")[0] for gene in genes}) == len(genes)


@pytest.mark.realdata
def test_coordinates_and_distance_describe_the_same_place(tasks: dict[str, Task]) -> None:
    for task in tasks.values():
        columns = task.columns
        midpoint = (columns.enhancer_start + columns.enhancer_end) / 2
        # The source counts from the 1-based TSS, one past the 0-based base that the table stores.
        np.testing.assert_array_equal(np.abs(midpoint - (columns.tss + 1)), columns.distance)
        assert (columns.chrom == columns.promoter_chrom).all()


@pytest.mark.realdata
def test_the_same_pair_has_the_same_hi_c_label_with_and_without_features(tasks: dict[str, Task]) -> None:
    with_features, without = tasks["bengi"].table, tasks["bengi-hic6"].table
    columns = ["pair_id", "label", "distance", "enhancer_start", "promoter_start"]
    known = {row["pair_id"]: row for row in without.select(columns).to_pylist()}
    sample = np.random.default_rng(0).choice(len(with_features), 2000, replace=False)
    assert all(known[row["pair_id"]] == row for row in with_features.select(columns).take(sample).to_pylist())


@pytest.mark.realdata
def test_the_split_of_transepi_trains_on_gm12878_and_hela_alone(data_mirror: Path) -> None:
    task = bengi_transepi()
    rows = dict(zip(task.card.cells, np.bincount(task.columns.cell), strict=True))
    assert rows == {
        "GM12878.HiC": 48_907,
        "GM12878.CTCF": 40_845,
        "HeLa.HiC": 23_342,
        "HeLa.CTCF": 12_135,
        "HeLa.RNAPII": 2_926,
        "HMEC": 22_305,
        "IMR90": 14_736,
        "NHEK": 15_402,
    }
    for split in cell_splits(task, Protocol.CELL_CHROM, TARGETS):
        trained = {task.card.cells[code] for code in np.unique(task.columns.cell[split.train_rows])}
        assert trained == set(rows) - set(TARGETS)

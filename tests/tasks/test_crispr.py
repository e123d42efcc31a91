"""Task `crispr`: columns that betray the label cannot enter, coordinates come from the gene bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from epishot.tasks import crispr
from epishot.tasks.catalog import load_task
from epishot.tasks.errors import TableError
from epishot.tasks.sources import fetch
from epishot.tasks.task import Task
from epishot.tasks.validate import build_table

FORBIDDEN = [
    "EffectSize",
    "Significant",
    "pValueAdjusted",
    "PowerAtEffectSize10",
    "PowerAtEffectSize15",
    "PowerAtEffectSize20",
    "PowerAtEffectSize25",
    "PowerAtEffectSize50",
    "direct_vs_indirect_negative",
    "direct_rate_negative",
    "indirect_rate_negative",
    "imputed_indirect_rate",
    "ValidConnection",
    "Reference",
    "name",
]
#: Not labels in disguise, but wrong (TSS) or a study artefact: they must have no influence either.
UNUSED = ["chrTSS", "startTSS", "endTSS", "elementChromatinCategory"]


def write_sources(folder: Path, training: pd.DataFrame, held_out: pd.DataFrame, bounds: str) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    paths = {name: folder / name for name in crispr.FILES}
    packing = {"method": "gzip", "compresslevel": 1}
    training.to_csv(paths[crispr.TRAINING], sep="\t", index=False, compression=packing)
    held_out.to_csv(paths[crispr.HELD_OUT], sep="\t", index=False, compression=packing)
    paths[crispr.GENE_BOUNDS].write_text(bounds)
    return paths


def row(cell: str, gene: str, start: int, end: int, regulated: bool, **facts: object) -> dict[str, object]:
    base = {"chrom": "chr1", "chromStart": start, "chromEnd": end, "measuredGeneSymbol": gene, "CellType": cell}
    base |= {"measuredGeneEnsemblId": f"ENSG_{gene}", "Dataset": "Study", "distanceToTSS": 900}
    base |= dict.fromkeys(crispr.card().feature_names, 0.5)
    base |= dict.fromkeys([*FORBIDDEN, *UNUSED], 0.25)
    base |= {"Regulated": regulated, "measuredGeneUbiquitousExpressed": True}
    return {**base, **facts}


BOUNDS = (
    "#chr\tstart\tend\tname\tscore\tstrand\tEnsembl_ID\tgene_type\n"
    "chr1\t1000\t1500\tNA\t0\t-\tENSG_1\tx\n"
    "chr1\t7000\t7500\tOTHER\t0\t+\tENSG_NA\tx\n"
)


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Path]:
    held_out = [row(cell, "NA", 100, 400, False) for cell in ("WTC11", "Jurkat", "HCT116")]
    held_out += [row("GM12878", "NA", 250, 250, True), row("K562", "OTHER", 100, 400, True)]
    training = pd.DataFrame([row("K562", "NA", 100, 400, True)])
    return write_sources(tmp_path / "small", training, pd.DataFrame(held_out), BOUNDS)


def test_cells_are_joined_in_card_order_and_k562_comes_from_both_files(small: dict[str, Path]) -> None:
    frame = crispr.build_frame(small)
    table = build_table(frame, crispr.card(), where="crispr")
    assert table["cell"].to_pylist() == ["K562", "K562", "GM12878", "HCT116", "Jurkat", "WTC11"]
    assert table["label"].to_pylist() == [1, 1, 1, 0, 0, 0]
    assert table["enhancer_id"].to_pylist()[:3] == ["chr1:100-400", "chr1:100-400", "chr1:250-250"]


def test_promoters_come_from_the_gene_bounds_by_symbol(small: dict[str, Path]) -> None:
    table = build_table(crispr.build_frame(small), crispr.card(), where="crispr")
    first, second = table.slice(0, 2).to_pylist()
    # A join on the Ensembl id would give gene "NA" the other gene's place.
    assert (first["gene_symbol"], first["promoter_start"], first["promoter_end"]) == ("NA", 1250, 1251)
    assert first["promoter_strand"] == "-"
    assert (second["gene_symbol"], second["promoter_start"], second["promoter_strand"]) == ("OTHER", 7250, "+")


def test_a_gene_without_bounds_is_reported_not_dropped(tmp_path: Path, small: dict[str, Path]) -> None:
    small[crispr.GENE_BOUNDS].write_text("\n".join(BOUNDS.splitlines()[:2]) + "\n")
    with pytest.raises(TableError, match=r"row 2, column 'promoter_chrom'.*is empty"):
        build_table(crispr.build_frame(small), crispr.card(), where="crispr")


def test_no_forbidden_column_is_read_or_named_a_feature() -> None:
    names = crispr.card().feature_names
    assert len(names) == 14
    assert not {*names, *crispr.READ_COLUMNS} & {*FORBIDDEN, *UNUSED}
    assert not set(names) & {"Regulated", "Dataset", "distanceToTSS", "chromStart", "chromEnd"}


def test_altering_every_forbidden_column_changes_nothing(small: dict[str, Path], tmp_path: Path) -> None:
    _assert_immune(small, tmp_path / "altered")


def _assert_immune(paths: dict[str, Path], folder: Path) -> None:
    before = build_table(crispr.build_frame(paths), crispr.card(), where="crispr")
    rng = np.random.default_rng(0)
    files = [pd.read_csv(paths[name], sep="\t", keep_default_na=False) for name in (crispr.TRAINING, crispr.HELD_OUT)]
    for file in files:
        for column in [*FORBIDDEN, *UNUSED]:
            assert column in file.columns
            file[column] = rng.integers(1000, size=len(file))
    altered = write_sources(folder, *files, paths[crispr.GENE_BOUNDS].read_text())
    after = build_table(crispr.build_frame(altered), crispr.card(), where="crispr")
    assert after.equals(before)
    # The comparison can fail: a column that is a feature does change the table.
    files = [file.head(20).assign(**{"DHS.RPM": 7.0}) for file in files]
    changed = write_sources(folder, *files, paths[crispr.GENE_BOUNDS].read_text())
    assert set(crispr.build_frame(changed)["DHS.RPM"]) != set(crispr.build_frame(paths)["DHS.RPM"])


@pytest.fixture(scope="module")
def task(data_mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Task:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EPISHOT_CACHE", str(tmp_path_factory.mktemp("cache")))
        return crispr.crispr()


REFERENCE = {
    # cell: rows, positives, AUPR of 1/distance, AUPR of activity x distance
    "K562": (12_274, 589, 0.4192, 0.5073),
    "GM12878": (68, 16, 0.8527, 0.7559),
    "HCT116": (396, 34, 0.3110, 0.5492),
    "Jurkat": (75, 7, 0.4867, 0.7357),
    "WTC11": (1_921, 15, 0.4583, 0.6743),
}


@pytest.mark.realdata
@pytest.mark.parametrize("cell", REFERENCE)
def test_reference_figures(task: Task, cell: str) -> None:
    rows = task.cell_rows(cell)
    columns = task.columns
    n, positives, by_distance, by_activity = REFERENCE[cell]
    label, distance = columns.label[rows], columns.distance[rows]
    assert (len(rows), int(label.sum())) == (n, positives)
    assert average_precision_score(label, -distance) == pytest.approx(by_distance, abs=1e-4)
    positions = [task.card.feature_names.index(name) for name in task.card.activity]
    activity = np.sqrt(columns.features[rows][:, positions].astype(float).prod(axis=1))
    score = activity * np.maximum(distance, 5000) ** -0.87
    assert average_precision_score(label, score) == pytest.approx(by_activity, abs=1e-4)


@pytest.mark.realdata
def test_labels_in_disguise_cannot_enter_the_real_table(task: Task, data_mirror: Path, tmp_path: Path) -> None:
    paths = fetch("crispr", crispr.FILES)
    _assert_immune(paths, tmp_path / "altered")
    source = pd.concat([pd.read_csv(paths[name], sep="\t") for name in (crispr.TRAINING, crispr.HELD_OUT)])
    order = source["CellType"].map({cell: code for code, cell in enumerate(crispr.CELLS)})
    source = source.iloc[order.argsort(kind="stable")]
    for name in FORBIDDEN:
        if pd.api.types.is_numeric_dtype(source[name]) and source[name].nunique() > 1:
            values = source[name].to_numpy(np.float32)
            assert not (task.columns.features == values[:, None]).all(axis=0).any(), name
    # The label itself is Significant and EffectSize < 0, exactly.
    label = (source["Significant"] & (source["EffectSize"] < 0)).to_numpy()
    np.testing.assert_array_equal(task.columns.label == 1, label)


@pytest.mark.realdata
def test_promoters_agree_with_the_stated_distance(task: Task) -> None:
    columns = task.columns
    midpoint = (columns.enhancer_start + columns.enhancer_end) / 2
    assert np.abs(np.abs(midpoint - columns.tss) - columns.distance).max() <= 1000
    assert (columns.strand != 0).all()
    assert (columns.promoter_chrom == columns.chrom).all()
    length = columns.enhancer_end - columns.enhancer_start
    assert (length == 0).sum() == 1
    assert (length < 50).sum() == 8
    assert (columns.label[length < 50] == 1).all()


@pytest.mark.realdata
def test_gm12878_and_jurkat_test_the_same_loci(task: Task) -> None:
    columns = task.columns
    gm, jurkat = (task.cell_rows(cell) for cell in ("GM12878", "Jurkat"))
    a, b = gm[:, None], jurkat[None, :]
    overlap = (
        (columns.gene[a] == columns.gene[b])
        & (columns.chrom[a] == columns.chrom[b])
        & (columns.enhancer_start[a] < columns.enhancer_end[b])
        & (columns.enhancer_start[b] < columns.enhancer_end[a])
    )
    same = overlap & (columns.label[a] == columns.label[b])
    assert overlap.any(axis=1).sum() == 41
    assert same.any(axis=1).sum() == 35
    assert task.card.family("GM12878") == task.card.family("Jurkat") == ("GM12878", "Jurkat")


@pytest.mark.realdata
def test_the_cached_task_is_the_built_one(
    task: Task, data_mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPISHOT_CACHE", str(tmp_path))
    built = crispr.crispr()
    monkeypatch.delenv("EPISHOT_DATA")  # neither mirror nor network is needed once the table is kept
    again = crispr.crispr()
    assert again.table.equals(built.table)
    assert again.content_hash == built.content_hash == task.content_hash
    assert load_task("crispr").card == again.card

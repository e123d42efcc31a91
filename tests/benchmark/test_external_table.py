"""Reading prediction files: any column names, any of three formats, and every mistake named."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from epishot.benchmark.external_columns import map_columns, parse_mapping
from epishot.benchmark.external_table import read_predictions
from epishot.tasks.errors import EpishotError

HEADER = ["Cell Type", "enhancer_chrom", "enhancer.start", "ENHANCER_END", "Gene ID", "start", "Prediction"]
ROWS = [
    ["HMEC", "chr9", "613609", "614420", "ENSG00000107104.14", "7", "0.25"],
    ["HeLa", "chrX", "5", "17", "RP11-34P13.7", "8", "-1e-3"],
]


def write(path: Path, delimiter: str = "\t", header: list[str] = HEADER, rows: list[list[str]] = ROWS) -> Path:
    path.write_text("".join(delimiter.join(line) + "\n" for line in [header, *rows]))
    return path


def test_common_names_are_recognised_and_the_more_specific_name_wins() -> None:
    assert map_columns(HEADER, {}, "f") == {
        "score": "Prediction",
        "cell": "Cell Type",
        "chrom": "enhancer_chrom",
        "start": "enhancer.start",
        "end": "ENHANCER_END",
        "gene": "Gene ID",
    }
    # As the ABC model and ENCODE-rE2G write them: the Ensembl id outranks the symbol.
    abc = ["#chr", "start", "end", "name", "class", "TargetGene", "TargetGeneEnsemblID", "TargetGeneTSS", "CellType"]
    found = map_columns([name.lstrip("#") for name in [*abc, "ABC.Score"]], {}, "f")
    assert (found["gene"], found["tss"], found["score"], found["chrom"]) == (
        "TargetGeneEnsemblID",
        "TargetGeneTSS",
        "ABC.Score",
        "chr",
    )


def test_a_column_mapped_by_hand_is_taken_and_not_recognised_as_anything_else() -> None:
    found = map_columns(["score", "prob", "cell"], parse_mapping("score=prob"), "f")
    assert found == {"score": "prob", "cell": "cell"}
    assert map_columns(["x", "score"], {"gene": "score", "score": "x"}, "f") == {"gene": "score", "score": "x"}


@pytest.mark.parametrize(
    ("header", "given", "said"),
    [
        (["a", "b"], {}, "--columns score=NAME"),
        (["score", "prob"], {}, "'score', 'prob' may all be the score"),
        (["score", "score"], {}, "several columns named 'score'"),
        (["score"], {"scor": "score"}, "Did you mean 'score'"),
        (["score", "genes"], {"gene": "gense"}, "Did you mean 'genes'"),
    ],
)
def test_what_cannot_be_mapped_is_said(header: list[str], given: dict[str, str], said: str) -> None:
    with pytest.raises(EpishotError, match=r"f has|f: |--columns") as error:
        map_columns(header, given, "f")
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["score", "score=", "=a", "score=a,score=b"])
def test_a_malformed_mapping_is_refused(text: str) -> None:
    with pytest.raises(EpishotError, match=r"each meaning once|does not know"):
        map_columns(["a", "b"], parse_mapping(text), "f")


@pytest.mark.parametrize("kind", ["tsv", "csv", "parquet"])
@pytest.mark.parametrize("packed", [False, True])
def test_all_formats_read_alike(tmp_path: Path, kind: str, packed: bool) -> None:
    path = tmp_path / f"p.{kind}"
    if kind == "parquet":
        columns = {name: [row[i] for row in ROWS] for i, name in enumerate(HEADER)}
        columns["enhancer.start"] = [float(word) for word in columns["enhancer.start"]]  # as pandas leaves them
        columns["Prediction"] = [float(word) for word in columns["Prediction"]]
        pq.write_table(pa.table(columns), path)
    else:
        write(path, "\t" if kind == "tsv" else ",")
    if packed:
        data = path.read_bytes()
        path = tmp_path / f"p.{kind}.gz"
        path.write_bytes(gzip.compress(data))
    table = read_predictions(path, {})
    assert table.score.tolist() == [0.25, -1e-3]
    assert {role: column.to_pylist() for role, column in table.text.items()} == {
        "cell": ["HMEC", "HeLa"],
        "chrom": ["chr9", "chrX"],
        "start": ["613609", "5"],
        "end": ["614420", "17"],
        "gene": ["ENSG00000107104.14", "RP11-34P13.7"],
    }


def test_scores_survive_to_the_last_bit(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(500).clip(0, 200)
    path = write(
        tmp_path / "p.tsv", header=["pair_id", "pred"], rows=[[f"p{i}", repr(s)] for i, s in enumerate(scores.tolist())]
    )
    assert np.array_equal(read_predictions(path, {}).score, scores)


def test_a_file_as_transepi_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "HMEC.prediction.txt"
    path.write_text(
        "##command: evaluate_model.py -t data\n"
        "#true\tpred\tchrom\tenh_name\tprom_name\n"
        "1\t0.5123\tchr9\tchr9:613609-614420|HMEC|EH37E0985881\t"
        "chr9:706888-706889|HMEC|ENSG00000107104.14|ENST00000382293.3|+\n"
    )
    table = read_predictions(path, {})
    assert {role: column.to_pylist() for role, column in table.text.items()} == {
        "label": ["1"],
        "chrom": ["chr9"],
        "start": ["613609"],
        "end": ["614420"],
        "enhancer_id": ["EH37E0985881"],
        "cell": ["HMEC"],
        "gene": ["ENSG00000107104.14"],
        "transcript": ["ENST00000382293.3"],
    }
    path.write_text(path.read_text().replace("706889|HMEC", "706889|HeLa"))
    with pytest.raises(EpishotError, match="row 1: the enhancer and the promoter are named after different cells"):
        read_predictions(path, {})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.tsv", "", "no header"),
        ("p.tsv", "pred\n", "no rows"),
        ("p.tsv", "pred\tcell\n0.1\n", "cannot be read"),
        ("p.tsv", "pred\n0.1\nhigh\n", "row 2, column 'pred': 'high' is not a number"),
        ("p.xlsx", "pred\n0.1\n", "not a .tsv, .csv or .parquet"),
        ("p.parquet", "pred\n0.1\n", "cannot be read"),
        ("p.tsv.gz", "pred\n0.1\n", "cannot be read"),
        ("p.csv", "pred\n\xff\n", "p.csv"),
    ],
)
def test_files_that_cannot_be_read_are_one_sentence(tmp_path: Path, name: str, content: str, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(EpishotError) as error:
        read_predictions(path, {})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EpishotError, match="cannot be read"):
        read_predictions(tmp_path / "p.tsv", {})


def test_missing_scores_are_nan_and_keep_their_text(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", ",", ["pair_id", "score"], [["a", "NA"], ["b", "inf"], ["c", ""], ["d", "nan"]])
    table = read_predictions(path, {})
    assert np.isnan(table.score[[0, 2, 3]]).all()
    assert np.isinf(table.score[1])
    assert table.score_text[0].as_py() == "NA"

"""Tasks `bengi*`: BENGI v3 contact pairs (hg19) with TransEPI's 24 chromatin features where they exist.

One row = one enhancer x one transcript's TSS; rows of one enhancer-gene pair share their label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .card import Feature, Source, TaskCard
from .parse import SourceValues
from .problems import ProblemList
from .sources import fetch, load_manifest
from .table_cache import cached_table
from .task import Task

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MARKS = ("CTCF", "DNase", "H3K27ac", "H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")
FEATURES = tuple(
    Feature(name=f"{mark} ({side})", unit="mean signal", side=side)
    for mark in MARKS
    for side in ("enhancer", "promoter", "window")
)
ACTIVITY = ("DNase (enhancer)", "H3K27ac (enhancer)")
POOL = ("chr1", "chr10", "chr15", "chr21")

_PAIR_COLUMNS = (
    "label",
    "distance",
    "enhancer_chrom",
    "enhancer_start",
    "enhancer_end",
    "enhancer_name",
    "promoter_chrom",
    "region_start",
    "region_end",
    "promoter_name",
)


@dataclass(frozen=True)
class Assay:
    """One BENGI task: an assay, its cell lines, and whether all of them have features."""

    task: str
    assay: str
    cells: tuple[str, ...]
    with_features: bool
    summary: str

    def pair_file(self, cell: str) -> str:
        """Name of the pair file of one cell line."""
        return f"{cell}.{self.assay}-Benchmark.v3.tsv.gz"

    def feature_file(self, cell: str) -> str:
        """Name of the feature file of one cell line; same rows in the same order."""
        return f"BENGI.{cell}.{self.assay}-Benchmark.v3.targetfinder_features.tsv.gz"

    def files(self) -> tuple[str, ...]:
        """All source files, pair files first."""
        pairs = tuple(map(self.pair_file, self.cells))
        return pairs + tuple(map(self.feature_file, self.cells)) if self.with_features else pairs

    def card(self) -> TaskCard:
        """The card of this task."""
        manifest = load_manifest("bengi")
        return TaskCard(
            name=self.task,
            version="1",
            summary=self.summary,
            source=Source(repository=manifest.repository, revision=manifest.commit),
            genome_build="hg19",
            licence=manifest.licence,
            citation=(
                "Moore et al. 2020, A curated benchmark of enhancer-gene interactions for evaluating "
                "enhancer-target gene prediction methods, Genome Biology 21:17; features: Chen et al. 2022, "
                "Capturing large genomic contexts for accurately predicting enhancer-promoter interactions, "
                "Briefings in Bioinformatics 23:bbab577 (TransEPI)"
            ),
            label_meaning=f"1 = {self.assay} links the enhancer to a promoter of the gene in this cell line",
            cells=self.cells,
            features=FEATURES if self.with_features else (),
            activity=ACTIVITY if self.with_features else (),
            support_pool_chromosomes=POOL,
            coordinates="complete",
            notes=(
                "Rows are transcripts: 2.1 to 2.6 rows per enhancer-gene pair, with one label.",
                "Promoter = the TSS base named by the source; its 2 kb region is the features' promoter.",
                "gene_id and transcript_id carry their GENCODE v19 versions, as published.",
                "Feature scales differ by up to two orders of magnitude between cell lines, and H3K27me3 and "
                "H3K9me3 at enhancers are almost all zero in HMEC, IMR90 and NHEK.",
            ),
        )

    def task_of(self) -> Task:
        """The task, from the cache if its table was built before."""
        card = self.card()
        table = cached_table(card, load_manifest("bengi"), self.files(), __name__, lambda: self._build(card))
        return Task(card=card, table=table)

    def _build(self, card: TaskCard) -> pa.Table:
        return build(self, card, fetch("bengi", self.files()))


HIC = Assay(
    "bengi",
    "HiC",
    ("GM12878", "HeLa", "HMEC", "IMR90", "NHEK"),
    with_features=True,
    summary="Hi-C contacts of candidate enhancers with promoters (BENGI v3), 24 chromatin features.",
)
HIC6 = Assay(
    "bengi-hic6",
    "HiC",
    ("GM12878", "HeLa", "HMEC", "IMR90", "K562", "NHEK"),
    with_features=False,
    summary="Hi-C contacts (BENGI v3) with K562, for which there are no features upstream.",
)
CTCF = Assay(
    "bengi-ctcf",
    "CTCF-ChIAPET",
    ("GM12878", "HeLa"),
    with_features=True,
    summary="CTCF ChIA-PET contacts (BENGI v3), 24 chromatin features.",
)
RNAPII = Assay(
    "bengi-rnapii",
    "RNAPII-ChIAPET",
    ("GM12878", "HeLa"),
    with_features=False,
    summary="RNAPII ChIA-PET contacts (BENGI v3); GM12878 has no features upstream.",
)


def bengi() -> Task:
    """Hi-C contacts (BENGI v3), 5 cell lines, 24 chromatin features."""
    return HIC.task_of()


def bengi_hic6() -> Task:
    """Hi-C contacts (BENGI v3), 6 cell lines with K562, no features."""
    return HIC6.task_of()


def bengi_ctcf() -> Task:
    """CTCF ChIA-PET contacts (BENGI v3), 2 cell lines, 24 chromatin features."""
    return CTCF.task_of()


def bengi_rnapii() -> Task:
    """RNAPII ChIA-PET contacts (BENGI v3), 2 cell lines, no features."""
    return RNAPII.task_of()


def build(assay: Assay, card: TaskCard, paths: Mapping[str, Path]) -> pa.Table:
    """The validated EP table of one BENGI task.

    Args:
        assay: which task.
        card: its card.
        paths: local files by the names in `assay.files()`.

    Raises:
        TableError: pair and feature files do not correspond row by row, a stated distance is not the one
            from the enhancer's midpoint to the 1-based TSS, or the table breaks the schema.
    """
    import pandas as pd

    from .validate import build_table

    frames = []
    for cell in assay.cells:
        frame = read_pairs(paths[assay.pair_file(cell)], assay.pair_file(cell), assay.assay)
        if assay.with_features:
            name = assay.feature_file(cell)
            frame = pd.concat([frame, read_features(paths[name], name, frame)], axis=1)
        frames.append(frame.drop(columns=["enhancer_name", "promoter_name"]))
    files = [(assay.pair_file(cell), len(frame)) for cell, frame in zip(assay.cells, frames, strict=True)]
    return build_table(pd.concat(frames, ignore_index=True), card, where=assay.task, files=files)


def read_pairs(path: Path, name: str, assay: str) -> pd.DataFrame:
    """One pair file as schema columns, plus the two name columns that identify its rows.

    Raises:
        TableError: a name contradicts the coordinates, or the distance is not |midpoint - 1-based TSS|.
    """
    import pandas as pd

    raw = pd.read_csv(path, sep="\t", header=None, names=list(_PAIR_COLUMNS))
    enhancer = raw["enhancer_name"].str.split("|", expand=True)
    promoter = raw["promoter_name"].str.split("|", expand=True)
    position = promoter[0].str.extract(r"^(?P<chrom>\w+):(?P<start>\d+)-(?P<end>\d+)$")
    tss = pd.to_numeric(position["start"])
    # The source counts the distance from the 1-based TSS, which is the end of its 0-based interval.
    one_based = pd.to_numeric(position["end"])
    problems = ProblemList(name)
    spelled = raw["enhancer_chrom"] + ":" + raw["enhancer_start"].astype(str) + "-" + raw["enhancer_end"].astype(str)
    _require(enhancer[0] == spelled, "enhancer_name", raw, "is not at the row's coordinates", problems)
    inside = (position["chrom"] == raw["promoter_chrom"]) & tss.between(raw["region_start"], raw["region_end"])
    _require(inside, "promoter_name", raw, "is not inside the row's promoter region", problems)
    _require(enhancer[1] == promoter[1], "promoter_name", raw, "is of another cell line", problems)
    midpoint = (raw["enhancer_start"] + raw["enhancer_end"]) / 2
    exact = (midpoint - one_based).abs() == raw["distance"]
    _require(exact, "distance", raw, "is not |enhancer midpoint - 1-based TSS|", problems)
    problems.raise_if_any()
    cell, accession, transcript = promoter[1], enhancer[2], promoter[3]
    return pd.DataFrame(
        {
            "pair_id": cell + "|" + assay + "|" + accession + "|" + transcript,
            "cell": cell,
            "assay": assay,
            "enhancer_id": accession,
            "enhancer_chrom": raw["enhancer_chrom"],
            "enhancer_start": raw["enhancer_start"],
            "enhancer_end": raw["enhancer_end"],
            "promoter_chrom": raw["promoter_chrom"],
            "promoter_start": tss,
            "promoter_end": tss + 1,
            "promoter_strand": promoter[4],
            "transcript_id": transcript,
            "gene_id": promoter[2],
            "distance": raw["distance"],
            "label": raw["label"],
            "enhancer_name": raw["enhancer_name"],
            "promoter_name": raw["promoter_name"],
        }
    )


def read_features(path: Path, name: str, pairs: pd.DataFrame) -> pd.DataFrame:
    """The 24 feature columns of one feature file, after checking that its rows are those of `pairs`.

    Raises:
        TableError: another number of rows, or rows that name another pair or label.
    """
    import pandas as pd

    names = [feature.name for feature in FEATURES]
    raw = pd.read_csv(path, usecols=["label", "enh_name", "prom_name", *names])
    problems = ProblemList(name)
    if len(raw) != len(pairs):
        problems.add(f"the file has {len(raw)} rows, but the pair file has {len(pairs)}")
        problems.raise_if_any()
    for column, other in (("enh_name", "enhancer_name"), ("prom_name", "promoter_name"), ("label", "label")):
        _require(raw[column] == pairs[other], column, raw, "is not the pair file's row", problems)
    problems.raise_if_any()
    return raw[names]


def _require(holds: pd.Series, column: str, raw: pd.DataFrame, otherwise: str, problems: ProblemList) -> None:
    problems.add_rows(~holds.to_numpy(dtype=bool, na_value=False), column, SourceValues(raw[column]), otherwise)

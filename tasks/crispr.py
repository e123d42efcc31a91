"""Task `crispr`: the ENCODE combined CRISPR element-gene benchmark, five cell lines, GRCh38."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .card import Feature, Source, TaskCard
from .sources import fetch, load_manifest
from .table_cache import cached_table
from .task import Task

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

TRAINING = "EPCrisprBenchmark_combined_data.training_K562.GRCh38.tsv.gz"
HELD_OUT = "EPCrisprBenchmark_combined_data.heldout_5_cell_types.GRCh38.tsv.gz"
GENE_BOUNDS = "CollapsedGeneBounds.hg38.TSS500bp.bed"
FILES = (TRAINING, HELD_OUT, GENE_BOUNDS)
CELLS = ("K562", "GM12878", "HCT116", "Jurkat", "WTC11")

_RPM = "reads per million"
_PERCENTILE = "fraction of genome-wide non-promoter elements, 0-1"
_BINARY = "0 or 1"
#: The only columns that describe biology known before the experiment. Effect sizes, p-values, power, the
#: direct / indirect rates and the study are results of it: labels in disguise, never read as features.
FEATURES = (
    Feature(name="H3K27ac.RPM", unit=_RPM, side="enhancer"),
    Feature(name="H3K27ac.percentile", unit=_PERCENTILE, side="enhancer"),
    Feature(name="H3K27ac.RPM.expandedRegion", unit=f"{_RPM}, element +-150 bp", side="enhancer"),
    Feature(name="H3K27ac.expandedRegion.percentile", unit=_PERCENTILE, side="enhancer"),
    Feature(name="DHS.RPM", unit=_RPM, side="enhancer"),
    Feature(name="DHS.percentile", unit=_PERCENTILE, side="enhancer"),
    Feature(name="CTCF_peak_overlap", unit=_BINARY, side="enhancer"),
    Feature(name="CTCF.RPM", unit=_RPM, side="enhancer"),
    Feature(name="H3K27ac_peak_overlap", unit=_BINARY, side="enhancer"),
    Feature(name="H3K27me3_peak_overlap", unit=_BINARY, side="enhancer"),
    Feature(name="H3K27me3.RPM", unit=_RPM, side="enhancer"),
    Feature(name="H3K4me1_peak_overlap", unit=_BINARY, side="enhancer"),
    Feature(name="H3K4me1.RPM", unit=_RPM, side="enhancer"),
    Feature(name="measuredGeneUbiquitousExpressed", unit=_BINARY, side="gene"),
)
#: Everything that is read from the two pair files. `Regulated` is the label, `Dataset` the assay.
READ_COLUMNS = (
    "chrom",
    "chromStart",
    "chromEnd",
    "measuredGeneSymbol",
    "measuredGeneEnsemblId",
    "CellType",
    "Dataset",
    "Regulated",
    "distanceToTSS",
    *(feature.name for feature in FEATURES),
)


def card() -> TaskCard:
    """The card of `crispr`."""
    manifest = load_manifest("crispr")
    pool = ("1", "3", "4", "7", "10", "15", "19", "21", "X")
    return TaskCard(
        name="crispr",
        version="1",
        summary="CRISPR perturbation of candidate enhancers: does the element regulate the gene?",
        source=Source(repository=manifest.repository, revision=manifest.commit),
        genome_build="GRCh38",
        licence=manifest.licence,
        citation=(
            "Gschwind et al. 2025, An encyclopedia of enhancer-gene regulatory interactions in the human "
            "genome; doi:10.1101/2023.11.09.563812"
        ),
        label_meaning="1 = perturbing the element significantly lowers the expression of the gene",
        cells=CELLS,
        # 41 of GM12878's 68 pairs overlap a Jurkat pair of the same gene.
        families=(("GM12878", "Jurkat"),),
        features=FEATURES,
        activity=("H3K27ac.RPM.expandedRegion", "DHS.RPM"),
        support_pool_chromosomes=tuple(f"chr{name}" for name in pool),
        headline_shots="zero",
        coordinates="complete",
        notes=(
            "K562 = the training file and the K562 rows of the held-out file.",
            "Promoter = the base at the midpoint of the gene's 500 bp TSS window in "
            f"{GENE_BOUNDS}, joined on the gene symbol; the pair files' own TSS is wrong for 14 % of rows.",
            "One element has zero length, as published.",
            "RPM scales differ by cell line.",
        ),
    )


def crispr() -> Task:
    """CRISPR perturbation of enhancers (ENCODE), 5 cell lines, 14 element features."""
    the_card = card()
    table = cached_table(the_card, load_manifest("crispr"), FILES, __name__, lambda: _build(the_card))
    return Task(card=the_card, table=table)


def _build(the_card: TaskCard) -> pa.Table:
    from .validate import build_table

    frame = build_frame(fetch("crispr", FILES))
    return build_table(frame, the_card, where="crispr")


def build_frame(paths: Mapping[str, Path]) -> pd.DataFrame:
    """The EP table as a frame of schema columns plus one column per feature, cells in card order.

    Args:
        paths: local files by the names in `FILES`.
    """
    import pandas as pd

    # Gene symbols such as "NA" are text: only what the schema calls missing may become missing.
    pairs = pd.concat(
        [
            pd.read_csv(paths[name], sep="\t", usecols=list(READ_COLUMNS), keep_default_na=False)
            for name in (TRAINING, HELD_OUT)
        ]
    )
    order = pairs["CellType"].map({cell: code for code, cell in enumerate(CELLS)})
    pairs = pairs.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    bounds = pd.read_csv(paths[GENE_BOUNDS], sep="\t", keep_default_na=False).set_index("name")
    # By symbol, never by Ensembl id: 45 ids occur twice in the file.
    gene = bounds.reindex(pairs["measuredGeneSymbol"]).reset_index(drop=True)
    tss = (gene["start"] + gene["end"]) // 2
    element = pairs["chrom"] + ":" + pairs["chromStart"].astype(str) + "-" + pairs["chromEnd"].astype(str)
    return pd.DataFrame(
        {
            "pair_id": pairs["CellType"] + "|" + element + "|" + pairs["measuredGeneSymbol"],
            "cell": pairs["CellType"],
            "assay": pairs["Dataset"],
            "enhancer_id": element,
            "enhancer_chrom": pairs["chrom"],
            "enhancer_start": pairs["chromStart"],
            "enhancer_end": pairs["chromEnd"],
            "promoter_chrom": gene["#chr"],
            "promoter_start": tss,
            "promoter_end": tss + 1,
            "promoter_strand": gene["strand"],
            "gene_id": pairs["measuredGeneEnsemblId"],
            "gene_symbol": pairs["measuredGeneSymbol"],
            "distance": pairs["distanceToTSS"],
            "label": pairs["Regulated"],
            **{feature.name: pairs[feature.name] for feature in FEATURES},
        }
    )

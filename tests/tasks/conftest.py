"""A small hand-made task whose loci are shared between cells, for tests of splits and episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from epishot.tasks.card import Feature, Source, TaskCard
from epishot.tasks.schema import arrow_schema
from epishot.tasks.task import Task


def _make_task(
    rows: Sequence[dict[str, Any]] | None = None,
    *,
    seed: int = 0,
    cells: tuple[str, ...] = ("A", "B", "C"),
    families: tuple[tuple[str, ...], ...] = (),
    pairs_per_cell: int = 400,
    chromosomes: tuple[str, ...] = ("chr1", "chr2", "chr3", "chr5", "chr12", "chr21"),
    pool: tuple[str, ...] = ("1", "10", "15", "21"),
    prevalence: float = 0.3,
    name: str = "tiny",
    version: str = "1",
) -> Task:
    """A task of explicit rows, or of random ones with one to three transcripts per enhancer-gene pair."""
    card = TaskCard(
        name=name,
        version=version,
        summary="hand-made",
        source=Source(repository="generated", revision="1"),
        genome_build="toy",
        licence="MIT",
        citation="none",
        label_meaning="toy",
        cells=cells,
        families=families,
        features=(Feature(name="signal", unit="a.u.", side="enhancer"),),
        support_pool_chromosomes=pool,
        coordinates="partial",
    )
    rows = _random_rows(seed, cells, pairs_per_cell, chromosomes, prevalence) if rows is None else rows
    schema = arrow_schema(1)
    filled = [{**_DEFAULTS, "pair_id": f"p{i}", "features": [float(i)], **row} for i, row in enumerate(rows)]
    return Task(card, pa.Table.from_pylist(filled, schema=schema))


_DEFAULTS: dict[str, Any] = {
    "assay": "toy",
    "genome_build": "toy",
    "promoter_strand": "+",
    "transcript_id": "",
    "gene_symbol": "",
    "distance": 1000.0,
    "label": 0,
}


def _random_rows(
    seed: int, cells: tuple[str, ...], pairs: int, chromosomes: tuple[str, ...], prevalence: float
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    rows = []
    for cell in cells:
        for _ in range(pairs):
            chrom = str(rng.choice(chromosomes))
            element, gene = int(rng.integers(40)), int(rng.integers(10))
            label = int(rng.random() < prevalence)
            for transcript in range(int(rng.integers(1, 4))):
                start, tss = 100_000 * element, 400_000 * gene + 5000 * transcript
                rows.append(
                    {
                        "cell": cell,
                        "enhancer_id": f"{chrom}:e{element}",
                        "enhancer_chrom": chrom,
                        "enhancer_start": start,
                        "enhancer_end": start + 500,
                        "promoter_chrom": chrom,
                        "promoter_start": tss,
                        "promoter_end": tss + 2,
                        "transcript_id": f"{chrom}:g{gene}.{transcript}",
                        "gene_id": f"{chrom}:g{gene}",
                        "distance": float(abs(start - tss)),
                        "label": label,
                    }
                )
    order = rng.permutation(len(rows))
    return [rows[i] for i in order]


@pytest.fixture(scope="session")
def make_task() -> Callable[..., Task]:
    """Factory of hand-made tasks; see `_make_task` for its arguments."""
    return _make_task

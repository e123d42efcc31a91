"""A synthetic task of any size, written in chunks: what `epishot scale` measures on.

Genes lie 40 kb apart, each with 25 candidate elements 5 kb apart; every cell has all pairs, and labels follow two
features and the distance. It is made to cost what real data cost, not to be learned from: the simulator is `synthetic`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..tasks.folder import CARD_FILE

FEATURES = 8
_CHROMOSOMES = (*(f"chr{number}" for number in range(1, 23)), "chrX")
_CANDIDATES, _NEW_ELEMENTS, _ELEMENT_BP = 25, 8, 5_000
_CHUNK_ROWS = 1 << 18


def write_scale_task(folder: Path, pairs: int, cells: int) -> Path:
    """Write `card.json` and `pairs.parquet` of about `pairs` EP pairs in `cells` cells; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD_FILE).write_text(json.dumps(_card(cells), indent=1) + "\n", encoding="utf-8")
    per_cell = pairs // cells
    writer: pq.ParquetWriter | None = None
    for cell in range(cells):
        for first in range(0, per_cell, _CHUNK_ROWS):
            chunk = _chunk(cell, np.arange(first, min(first + _CHUNK_ROWS, per_cell)))
            writer = writer or pq.ParquetWriter(folder / "pairs.parquet", chunk.schema)
            writer.write_table(chunk)
    if writer is not None:
        writer.close()
    return folder


def _card(cells: int) -> dict[str, object]:
    return {
        "name": "scale",
        "version": "1",
        "summary": "generated pairs for measuring time and memory",
        "source": {"repository": "generated", "revision": "epishot-scale-1"},
        "genome_build": "none",
        "licence": "MIT",
        "citation": "EPIShot",
        "label_meaning": "a draw from a logistic function of two features and the distance",
        "cells": [f"c{cell}" for cell in range(cells)],
        "features": [{"name": f"f{number}", "unit": "a.u.", "side": "enhancer"} for number in range(FEATURES)],
        "support_pool_chromosomes": ["1", "10", "15", "21"],
    }


def _chunk(cell: int, pair: np.ndarray) -> pa.Table:
    """The pairs numbered `pair` of one cell."""
    rng = np.random.default_rng([cell, int(pair[0])])
    gene, candidate = np.divmod(pair, _CANDIDATES)
    place, chromosome = np.divmod(gene, len(_CHROMOSOMES))
    element = place * _NEW_ELEMENTS + candidate
    start = element * _ELEMENT_BP
    tss = (place * _NEW_ELEMENTS + _CANDIDATES // 2) * _ELEMENT_BP + 2_500
    distance = np.abs(start - tss).astype(np.float64)
    features = rng.gamma(2.0, size=(pair.size, FEATURES)).astype(np.float32)
    logit = features[:, 0] + 0.5 * features[:, 1] - np.log10(distance) - 1.0
    label = (rng.random(pair.size) < 1.0 / (1.0 + np.exp(-logit))).astype(np.int8)
    names = pa.DictionaryArray.from_arrays(pa.array(chromosome.astype(np.int32)), pa.array(_CHROMOSOMES))
    chrom = names.dictionary_decode()
    return pa.table(
        {
            "pair_id": _numbered(f"c{cell}p", pair),
            "cell": pa.repeat(f"c{cell}", pair.size),
            "enhancer_id": _numbered("e", element * len(_CHROMOSOMES) + chromosome),
            "enhancer_chrom": chrom,
            "enhancer_start": start,
            "enhancer_end": start + 500,
            "promoter_chrom": chrom,
            "promoter_start": tss - 500,
            "promoter_end": tss + 500,
            "gene_id": _numbered("g", gene),
            "distance": distance,
            "label": label,
            **{f"f{number}": features[:, number] for number in range(FEATURES)},
        }
    )


def _numbered(prefix: str, numbers: np.ndarray) -> pa.Array:
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")

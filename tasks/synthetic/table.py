"""From a simulation to a task: card, EP table, and the ceiling and oracle reference rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from ..card import Source, TaskCard
from ..schema import arrow_schema
from ..task import Task
from . import measure, motifs, nuisance
from .genome import ENHANCER_BP, PROMOTER_BP
from .settings import GENERATOR_VERSION, Coupling, Nuisance, Settings
from .simulate import Simulation, cell_names

_POOL = ("chr1", "chr10", "chr15", "chr21")

_FORMULA = {
    Coupling.ADDITIVE: "logit = (U - R(c)) / T",
    Coupling.MULTIPLICATIVE: "logit = (M(c) U + B(c)) / T(c)",
    Coupling.INTERACTION: "logit = (U - R(c) + lambda U R(c)) / T",
    Coupling.LITERAL_GATE: "logit = (U - u0) sigma(R(c)) / T",
    Coupling.GATE: "logit = s sigma(R(c)) softplus(U) - t",
    Coupling.SATURATING: "logit = (U - u0) / (1 + R(c)) / T",
    Coupling.HILL: "logit = s (h - h0), h = U+^3 / (U+^3 + K(c)^3), U+ = softplus(U)",
    Coupling.XDEPENDENT: "logit = (U + z^T W e(c) - R(c)) / T, W of rank 2",
    Coupling.NONE: "logit constant: labels independent of everything",
}


def base_name(settings: Settings) -> str:
    """Registry name of the variant, without suffix."""
    if settings.nuisance is Nuisance.SHORTCUT:
        return "synthetic-shortcut"
    special = {Coupling.ADDITIVE: "synthetic", Coupling.NONE: "synthetic-null"}
    return special.get(settings.coupling, f"synthetic-{settings.coupling.value}")


def make_task(simulation: Simulation) -> Task:
    """Build the task; `references` holds "ceiling" and "oracle", nothing else of the truth is in it."""
    references = {
        name: np.concatenate([getattr(rows, name) for rows in simulation.cells]) for name in ("ceiling", "oracle")
    }
    return Task(make_card(simulation.settings), _table(simulation), references)


def _ten_digits(probability: np.ndarray) -> np.ndarray:
    """Round to ten significant digits, so that the last bits of another machine do not change the task's hash."""
    scale = 10.0 ** (9 - np.floor(np.log10(probability)))
    return np.round(probability * scale) / scale


def make_card(settings: Settings) -> TaskCard:
    """Card of the task that `settings` yield."""
    has_shortcut = settings.nuisance is Nuisance.SHORTCUT
    notes = [
        "Simulated. Latents of an element = motif content x TF concentration (saturating occupancy) plus a "
        "Gaussian term, U = a linear function of enhancer, promoter and contact, standardised in every cell.",
        f"True coupling: {_FORMULA[settings.coupling]}.",
        "Features are linear readouts of the latents with Gaussian noise, published as cell-specific scale x "
        "exp(gain x readout), measured once per element and cell.",
        "Reference rows: ceiling = exact P(y=1 | sequence, features, distance, cell) by Gauss-Hermite "
        "quadrature; oracle = P(y=1 | latents).",
    ]
    if has_shortcut:
        notes.append(
            "The nuisance block encodes the cell, and prevalence differs strongly by cell, except in the cell "
            f"'{nuisance.SHIFTED}', where the block varies from row to row independently of the label: read the "
            "shortcut's damage on that cell."
        )
    return TaskCard(
        name=base_name(settings) + settings.suffix(),
        version=GENERATOR_VERSION,
        summary=f"Simulated enhancer-promoter pairs; {_FORMULA[settings.coupling]}"
        + (", with a shortcut block" if has_shortcut else ""),
        source=Source(repository="generated", revision=f"simulator {GENERATOR_VERSION}, seed {settings.seed}"),
        genome_build="synthetic",
        licence="CC0-1.0",
        citation="Simulated by epishot.tasks.synthetic; cite EPIShot.",
        label_meaning="1 = the simulated enhancer acts on the promoter in this cell (a Bernoulli draw)",
        cells=cell_names(settings),
        features=(*measure.FEATURES, *(nuisance.FEATURES if has_shortcut else ())),
        activity=measure.ACTIVITY,
        support_pool_chromosomes=_POOL,
        sequence_length=(ENHANCER_BP, PROMOTER_BP),
        notes=tuple(notes),
    )


def _table(simulation: Simulation) -> pa.Table:
    genome = simulation.genome
    enhancer = np.concatenate([rows.candidates.enhancer for rows in simulation.cells])
    gene = np.concatenate([rows.candidates.gene for rows in simulation.cells])
    n_pairs = simulation.settings.pairs
    cells = pa.array([rows.cell.name for rows in simulation.cells])
    cell = cells.take(pa.array(np.repeat(np.arange(len(simulation.cells)), n_pairs)))
    enhancer_id = _text((f"SE{i:05d}" for i in range(len(genome.enhancer_start))), enhancer)
    gene_id = _text((f"SG{i:05d}" for i in range(len(genome.tss))), gene)
    transcript_id = _text((f"ST{i:05d}" for i in range(len(genome.tss))), gene)
    features = np.concatenate([rows.features for rows in simulation.cells])
    schema = arrow_schema(features.shape[1], sequences=True)
    n = len(enhancer)
    columns: dict[str, pa.Array | np.ndarray] = {
        "pair_id": pa.array(
            [
                "|".join(parts)
                for parts in zip(cell.to_pylist(), enhancer_id.to_pylist(), transcript_id.to_pylist(), strict=True)
            ]
        ),
        "cell": cell,
        "assay": pa.array(["simulation"]).take(pa.array(np.zeros(n, dtype=np.int64))),
        "genome_build": pa.array(["synthetic"]).take(pa.array(np.zeros(n, dtype=np.int64))),
        "enhancer_id": enhancer_id,
        "enhancer_chrom": _text(genome.enhancer_chrom, enhancer),
        "enhancer_start": genome.enhancer_start[enhancer],
        "enhancer_end": genome.enhancer_start[enhancer] + ENHANCER_BP,
        "promoter_chrom": _text(genome.gene_chrom, gene),
        "promoter_start": genome.tss[gene] - PROMOTER_BP // 2,
        "promoter_end": genome.tss[gene] + PROMOTER_BP // 2,
        "promoter_strand": _text(genome.gene_strand, gene),
        "transcript_id": transcript_id,
        "gene_id": gene_id,
        "gene_symbol": _text((f"SYN{i}" for i in range(len(genome.tss))), gene),
        "distance": np.concatenate([rows.candidates.distance for rows in simulation.cells]),
        "label": np.concatenate([rows.label for rows in simulation.cells]),
        "features": pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1]),
        "enhancer_sequence": _text(motifs.decode(genome.enhancer_letters), enhancer).cast(pa.large_string()),
        "promoter_sequence": _text(motifs.decode(genome.promoter_letters), gene).cast(pa.large_string()),
    }
    arrays = [columns[field.name] for field in schema]
    return pa.table([array if isinstance(array, pa.Array) else pa.array(array) for array in arrays], schema=schema)


def _text(values: Iterable[str], index: np.ndarray) -> pa.Array:
    """Text column: `values` picked by row."""
    return pa.array(list(values), pa.string()).take(pa.array(index))

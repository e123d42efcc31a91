"""The fixed schema of the EP table. One row = one EP pair in one cell line.

Coordinates are 0-based, half-open. An element may have zero length (start = end). `promoter_start/end`
is whatever interval the source calls the promoter; its midpoint is the TSS position used for the
1 kb promoter bin. Text that a source lacks is the empty string; coordinates it lacks are null.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = "1"

#: Columns every EP table has, in this order (features and sequences follow).
BASE_FIELDS: tuple[pa.Field, ...] = (
    pa.field("pair_id", pa.string(), nullable=False),
    pa.field("cell", pa.string(), nullable=False),
    pa.field("assay", pa.string(), nullable=False),
    pa.field("genome_build", pa.string(), nullable=False),
    pa.field("enhancer_id", pa.string(), nullable=False),
    pa.field("enhancer_chrom", pa.string()),
    pa.field("enhancer_start", pa.int64()),
    pa.field("enhancer_end", pa.int64()),
    pa.field("promoter_chrom", pa.string()),
    pa.field("promoter_start", pa.int64()),
    pa.field("promoter_end", pa.int64()),
    pa.field("promoter_strand", pa.string()),
    pa.field("transcript_id", pa.string(), nullable=False),
    pa.field("gene_id", pa.string(), nullable=False),
    pa.field("gene_symbol", pa.string(), nullable=False),
    pa.field("distance", pa.float64()),
    pa.field("label", pa.int8()),
)

#: Optional sequence columns, upper-case A, C, G, T, N.
SEQUENCE_FIELDS: tuple[pa.Field, ...] = (
    pa.field("enhancer_sequence", pa.large_string()),
    pa.field("promoter_sequence", pa.large_string()),
)


def arrow_schema(n_features: int, *, sequences: bool = False) -> pa.Schema:
    """Return the Arrow schema for a table of `n_features` float32 features.

    Args:
        n_features: length of the fixed-size `features` list (0 allowed).
        sequences: whether the two sequence columns are present.
    """
    features = pa.field("features", pa.list_(pa.float32(), n_features), nullable=False)
    return pa.schema([*BASE_FIELDS, features, *(SEQUENCE_FIELDS if sequences else ())])

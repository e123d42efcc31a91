"""A task: a card and its validated EP table, with the numpy columns everything else works on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .card import TaskCard
from .errors import EpishotError
from .schema import SCHEMA_VERSION

if TYPE_CHECKING:
    import datasets

PROMOTER_BIN_BP = 1000

#: Byte -> base code; everything that is not A, C, G or T is N.
_BASE_CODES = np.full(256, 4, dtype=np.uint8)
for _code, _base in enumerate(b"ACGT"):
    _BASE_CODES[_base] = _code


@dataclass(frozen=True)
class Columns:
    """Numpy columns of an EP table with n rows. Codes are >= 0, and -1 where the source has no value.

    Attributes:
        cell: (n,) int32 index into `TaskCard.cells`.
        label: (n,) int8, 1 / 0, -1 where unlabelled.
        distance: (n,) float64 bp, NaN where unknown.
        features: (n, F) float32, a view of the Arrow buffer.
        chrom: (n,) int32 index into `chromosomes`: the enhancer's chromosome.
        promoter_chrom: (n,) int32 index into `chromosomes`.
        chromosomes: chromosome names, sorted.
        element, gene, pair: (n,) int32 identity of the enhancer, the gene and the enhancer-gene pair,
            shared over cells.
        promoter_bin: (n,) int64 identity of the 1 kb bin that holds the promoter's midpoint.
        enhancer_start, enhancer_end, tss: (n,) int64 bp, -1 where unknown; tss is the promoter's midpoint.
        strand: (n,) int8, +1 / -1, 0 where unknown.
    """

    cell: np.ndarray
    label: np.ndarray
    distance: np.ndarray
    features: np.ndarray
    chrom: np.ndarray
    promoter_chrom: np.ndarray
    chromosomes: tuple[str, ...]
    element: np.ndarray
    gene: np.ndarray
    pair: np.ndarray
    promoter_bin: np.ndarray
    enhancer_start: np.ndarray
    enhancer_end: np.ndarray
    tss: np.ndarray
    strand: np.ndarray


@dataclass(frozen=True, eq=False)
class Task:
    """A named, versioned set of EP pairs over several cell lines.

    Attributes:
        card: the task card.
        table: validated EP table; the row number is the row's identity everywhere.
        references: scores of reference rows by name, each (n,) float64 over all rows. `synthetic` has
            "ceiling" (exact P(y=1) given everything a method may read) and "oracle" (given the latents).
    """

    card: TaskCard
    table: pa.Table
    references: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def content_hash(self) -> str:
        """sha256 (hex) of card and rows; independent of chunking, files and library fingerprints."""
        digest = hashlib.sha256(f"epishot-task-{SCHEMA_VERSION}\n".encode())
        digest.update(self.card.model_dump_json().encode())
        for name in self.table.column_names:
            digest.update(f"\n{name}\n".encode())
            _hash_column(digest, self.table.column(name))
        for name in sorted(self.references):
            digest.update(f"\n{name}\n".encode())
            digest.update(np.ascontiguousarray(self.references[name], dtype="<f8").tobytes())
        return digest.hexdigest()

    @cached_property
    def columns(self) -> Columns:
        """The table as numpy columns, computed once."""
        table = self.table
        n = table.num_rows
        cell = _codes_in(table["cell"], self.card.cells, "cell")
        element, _ = _factorise(table["enhancer_id"])
        gene, n_genes = _factorise(table["gene_id"])
        pair = np.unique(element.astype(np.int64) * max(n_genes, 1) + gene, return_inverse=True)[1]
        chromosomes = sorted(
            {c for name in ("enhancer_chrom", "promoter_chrom") for c in pc.unique(table[name]).to_pylist()}
            - {None, ""}
        )
        chrom = _codes_in(table["enhancer_chrom"], chromosomes, "enhancer_chrom", missing=True)
        promoter_chrom = _codes_in(table["promoter_chrom"], chromosomes, "promoter_chrom", missing=True)
        start, end = (_integers(table[f"promoter_{side}"]) for side in ("start", "end"))
        tss = np.where((start >= 0) & (end >= 0), (start + end) // 2, -1)
        bins = np.where(
            (tss >= 0) & (promoter_chrom >= 0),
            promoter_chrom.astype(np.int64) * 10**9 + tss // PROMOTER_BIN_BP,
            -1,
        )
        strand = np.zeros(n, dtype=np.int8)
        strand[_equal(table["promoter_strand"], "+")] = 1
        strand[_equal(table["promoter_strand"], "-")] = -1
        return Columns(
            cell=cell,
            label=pc.fill_null(table["label"], -1).to_numpy().astype(np.int8),
            distance=table["distance"].to_numpy().astype(np.float64),
            features=self._features(),
            chrom=chrom,
            promoter_chrom=promoter_chrom,
            chromosomes=tuple(chromosomes),
            element=element,
            gene=gene,
            pair=pair.astype(np.int32),
            promoter_bin=bins,
            enhancer_start=_integers(table["enhancer_start"]),
            enhancer_end=_integers(table["enhancer_end"]),
            tss=tss,
            strand=strand,
        )

    def _features(self) -> np.ndarray:
        width = len(self.card.features)
        if width == 0:
            return np.empty((len(self), 0), dtype=np.float32)
        chunks = self.table["features"].chunks
        parts = [chunk.flatten().to_numpy(zero_copy_only=True).reshape(-1, width) for chunk in chunks]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def cell_rows(self, cell: str) -> np.ndarray:
        """Row numbers of one cell, ascending int64.

        Raises:
            EpishotError: the task has no such cell.
        """
        return np.flatnonzero(self.columns.cell == self.cell_code(cell))

    def cell_code(self, cell: str) -> int:
        """Index of a cell on the card.

        Raises:
            EpishotError: the task has no such cell.
        """
        try:
            return self.card.cells.index(cell)
        except ValueError:
            raise EpishotError(
                f"Task {self.card.name!r} has no cell {cell!r}; its cells are {', '.join(self.card.cells)}."
            ) from None

    def sequences(self, side: str, rows: np.ndarray) -> np.ndarray | None:
        """DNA of `rows` as (len(rows), L) uint8 codes A, C, G, T, N = 0..4, or None if the task has none.

        Args:
            side: "enhancer" or "promoter".
            rows: row numbers.
        """
        name = f"{side}_sequence"
        if name not in self.table.column_names:
            return None
        text = self.table[name].take(pa.array(rows)).to_pylist()
        length = max(map(len, text), default=0)
        joined = "".join(s.ljust(length, "N") for s in text).encode()
        return _BASE_CODES[np.frombuffer(joined, dtype=np.uint8)].reshape(len(text), length)

    def to_dataset(self) -> datasets.Dataset:
        """The EP table as a Hugging Face dataset (no copy of the rows)."""
        import datasets

        return datasets.Dataset(self.table)


def _hash_column(digest: hashlib._Hash, column: pa.ChunkedArray) -> None:
    """Feed a canonical byte form of a column: validity, then values (lengths before text)."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    digest.update(np.packbits(pc.is_valid(array).to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        filled = pc.fill_null(array, "").cast(pa.large_string())
        digest.update(pc.binary_length(filled).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
        _, offsets, text = filled.buffers()
        if len(filled) and text is not None:
            ends = np.frombuffer(offsets, dtype=np.int64)[filled.offset :]
            digest.update(memoryview(text)[ends[0] : ends[len(filled)]])
    elif pa.types.is_fixed_size_list(array.type):
        digest.update(np.ascontiguousarray(array.flatten().to_numpy(zero_copy_only=False)).tobytes())
    else:
        digest.update(np.ascontiguousarray(pc.fill_null(array, 0).to_numpy(zero_copy_only=False)).tobytes())


def _factorise(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    """Codes by first appearance and the number of distinct values."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32), len(encoded.dictionary)


def _codes_in(
    column: pa.ChunkedArray, values: tuple[str, ...] | list[str], name: str, *, missing: bool = False
) -> np.ndarray:
    codes = pc.fill_null(pc.index_in(column, pa.array(list(values), pa.string())), -1).to_numpy().astype(np.int32)
    if not missing and (codes < 0).any():
        bad = column[int(np.flatnonzero(codes < 0)[0])].as_py()
        raise EpishotError(f"Column {name!r} holds {bad!r}, which the card does not list.")
    return codes


def _integers(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column, -1).to_numpy().astype(np.int64)


def _equal(column: pa.ChunkedArray, value: str) -> np.ndarray:
    return pc.fill_null(pc.equal(column, value), False).to_numpy().astype(bool)

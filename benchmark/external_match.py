"""Which pair of the task each prediction is about: by pair id, or by enhancer, gene and cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..tasks.errors import EpishotError
from .external_keys import SharedKey, either, position_key, text_key
from .external_table import PredictionTable

if TYPE_CHECKING:
    from ..tasks.task import Task

#: Ensembl identifiers may carry a version; a symbol such as RP11-34P13.7 keeps its full stop.
_VERSION = r"^(ENS[A-Z]*\d{6,})\.\d+(_PAR_Y)?$"


class Match(NamedTuple):
    """Where predictions belong.

    Attributes:
        by: what the rows were joined by, in words.
        task: (n,) int64 key of every task row, -1 for none; rows with one key get one score.
        file: (m,) int64 key of every prediction; -1 where the task has no such pair.
        unmatched: why predictions are of no pair of the task: reason -> (u,) row numbers, each row once.
    """

    by: str
    task: np.ndarray
    file: np.ndarray
    unmatched: dict[str, np.ndarray]


def match_rows(task: Task, table: PredictionTable, given: Mapping[str, str]) -> Match:
    """Join predictions to the pairs of a task.

    Pair ids are taken if at least one of them is the task's. Else a pair is its enhancer (coordinates, else
    identifier), gene (Ensembl id with or without version, else symbol) and cell. Transcript or TSS join too
    where the task has several rows of one enhancer and gene; without either, such rows share their score.

    Args:
        task: the task. table: the predictions.
        given: columns that the user mapped by hand; a transcript or TSS given there is always part of the key.

    Raises:
        EpishotError: too few columns to tell pairs apart, or no prediction is of any pair of the task.
    """
    ids = text_key(task.table["pair_id"], table.text["pair_id"]) if "pair_id" in table.text else None
    if ids is not None and ((ids.file >= 0).any() or "pair_id" in given):
        _require_some(ids, table, task, "pair_id")
        return Match("pair id", ids.task, ids.file, _reasons(ids, {"pair id": ids}))
    parts = _parts(task, table)
    pair = parts["cell"].joined(parts["enhancer"]).joined(parts["gene"])
    fine = _fine_part(task, table, given, repeated=bool((pair.task >= 0).sum() > pair.size))
    if fine is not None:
        name, key = fine
        parts[name] = key
        pair = pair.joined(key)
    _require_some(pair, table, task, ", ".join(parts))
    return Match(" + ".join(parts), pair.task, pair.file, _reasons(pair, parts))


def _parts(task: Task, table: PredictionTable) -> dict[str, SharedKey]:
    """Cell, enhancer and gene."""
    text, rows = table.text, task.table
    parts: dict[str, SharedKey] = {}
    if {"chrom", "start", "end"} <= set(text) and task.card.coordinates != "none":
        chrom = text_key(_bare_chrom(rows["enhancer_chrom"]), _bare_chrom(text["chrom"]))
        start = position_key(rows["enhancer_start"], text["start"])
        parts["enhancer"] = chrom.joined(start).joined(position_key(rows["enhancer_end"], text["end"]))
    elif "enhancer_id" in text:
        parts["enhancer"] = text_key(rows["enhancer_id"], text["enhancer_id"])
    if "gene" in text:
        gene = text_key(_bare_id(rows["gene_id"]), _bare_id(text["gene"]))
        parts["gene"] = either(gene, text_key(rows["gene_symbol"], text["gene"]))
    if "cell" in text:
        parts["cell"] = text_key(*_cells(task, text["cell"]))
    missing = [name for name in ("enhancer", "gene", "cell") if name not in parts]
    if missing:
        raise EpishotError(
            f"{table.name} does not say the {' and '.join(missing)} of a pair: give pair ids, or the "
            "enhancer's chrom, start and end, the gene and the cell "
            "(--columns chrom=NAME,start=NAME,end=NAME,gene=NAME,cell=NAME)."
        )
    return parts


def _fine_part(
    task: Task, table: PredictionTable, given: Mapping[str, str], *, repeated: bool
) -> tuple[str, SharedKey] | None:
    """Transcript or TSS, where it is needed to tell the task's rows apart, or asked for."""
    text, rows = table.text, task.table
    if "transcript" in text and (repeated or "transcript" in given) and "tss" not in given:
        key = text_key(_bare_id(rows["transcript_id"]), _bare_id(text["transcript"]))
        if key.size:
            return "transcript", key
    if "tss" in text and (repeated or "tss" in given):
        tss = task.columns.tss
        return "tss", position_key(pa.array(tss, mask=tss < 0), text["tss"])
    return None


def _reasons(pair: SharedKey, parts: Mapping[str, SharedKey]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    left = pair.file < 0
    for name in ("cell", "pair id", "enhancer", "gene", "transcript", "tss"):
        if name in parts:
            rows = np.flatnonzero(left & (parts[name].file < 0))
            left[rows] = False
            if rows.size:
                found[f"{name} not in the task"] = rows
    if left.any():
        found["pair not in the task"] = np.flatnonzero(left)
    return found


def _require_some(pair: SharedKey, table: PredictionTable, task: Task, by: str) -> None:
    if (pair.file >= 0).any():
        return
    first = ", ".join(f"{name} {column[0].as_py()!r}" for name, column in table.text.items() if name != "label")
    raise EpishotError(
        f"None of the {len(table):,} rows of {table.name} is a pair of task {task.card.name!r} (joined by {by}); its "
        f"first row reads {first}; the task has e.g. {_example(task)}. Compare the genome build "
        f"({task.card.genome_build}), 0-based coordinates and cell names."
    )


def _example(task: Task) -> str:
    one = task.table.slice(0, 1).to_pylist()[0]
    return (
        f"cell {one['cell']!r}, enhancer {one['enhancer_chrom']}:{one['enhancer_start']}-{one['enhancer_end']}, "
        f"gene {one['gene_id']!r}"
    )


def _cells(task: Task, file: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Cell names as they are, or without case and punctuation where these tell no cells apart."""
    loose = [_loose(name) for name in task.card.cells]
    if len(set(loose)) < len(loose):
        return task.table["cell"], file
    encoded = file.dictionary_encode()
    names = pa.array([None if n is None else _loose(n) for n in encoded.dictionary.to_pylist()], pa.string())
    cells = pa.array(loose, pa.string()).take(pa.array(task.columns.cell))
    return cells, names.take(encoded.indices)


def _loose(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _bare_chrom(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return pc.replace_substring_regex(column, r"^(?i:chr)", "")


def _bare_id(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return pc.replace_substring_regex(column, _VERSION, r"\1\2")

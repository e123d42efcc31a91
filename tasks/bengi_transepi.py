"""Task `bengi-transepi`: TransEPI's own split, trained on GM12878 and HeLa only, all their sets with features.

Every set is a cell of its own, because ranks and candidate lists belong to one table. Sets of one cell line are a
family, and so are the three lines of the comparison: each of them is scored by a model that saw none of the three.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from . import bengi
from .bengi import HIC, Assay, read_features, read_pairs
from .card import TaskCard
from .sources import fetch, load_manifest
from .table_cache import cached_table
from .task import Task

if TYPE_CHECKING:
    import pyarrow as pa

_CTCF = Assay("bengi-ctcf", "CTCF-ChIAPET", ("GM12878", "HeLa"), with_features=True, summary="")
_RNAPII = Assay("bengi-rnapii", "RNAPII-ChIAPET", ("HeLa",), with_features=True, summary="")
#: Name in the task: assay and cell line. GM12878's RNAPII set has no features upstream.
SETS: Mapping[str, tuple[Assay, str]] = {
    "GM12878.HiC": (HIC, "GM12878"),
    "GM12878.CTCF": (_CTCF, "GM12878"),
    "HeLa.HiC": (HIC, "HeLa"),
    "HeLa.CTCF": (_CTCF, "HeLa"),
    "HeLa.RNAPII": (_RNAPII, "HeLa"),
    "HMEC": (HIC, "HMEC"),
    "IMR90": (HIC, "IMR90"),
    "NHEK": (HIC, "NHEK"),
}
TARGETS = ("HMEC", "IMR90", "NHEK")


def bengi_transepi() -> Task:
    """TransEPI's split of BENGI v3: GM12878 and HeLa (all sets with features) for HMEC, IMR90, NHEK."""
    card, files = _card(), _files()
    manifest, builders = load_manifest("bengi"), (__name__, bengi.__name__)
    return Task(
        card=card, table=cached_table(card, manifest, files, builders, lambda: build(card, fetch("bengi", files)))
    )


def build(card: TaskCard, paths: Mapping[str, Path]) -> pa.Table:
    """The validated EP table; see `bengi.build`.

    Raises:
        TableError: files do not correspond, or the table breaks the schema.
    """
    import pandas as pd

    from .validate import build_table

    frames, files = [], []
    for name, (assay, cell) in SETS.items():
        pair_file, feature_file = assay.pair_file(cell), assay.feature_file(cell)
        pairs = read_pairs(paths[pair_file], pair_file, assay.assay)
        frame = pd.concat([pairs, read_features(paths[feature_file], feature_file, pairs)], axis=1)
        frames.append(frame.drop(columns=["enhancer_name", "promoter_name"]).assign(cell=name))
        files.append((pair_file, len(frame)))
    return build_table(pd.concat(frames, ignore_index=True), card, where="bengi-transepi", files=files)


def _files() -> tuple[str, ...]:
    names = [assay.pair_file(cell) for assay, cell in SETS.values()]
    return (*names, *(assay.feature_file(cell) for assay, cell in SETS.values()))


def _card() -> TaskCard:
    card = HIC.card()
    families = tuple(tuple(name for name in SETS if name.startswith(line)) for line in ("GM12878", "HeLa"))
    return card.model_copy(
        update={
            "name": "bengi-transepi",
            "summary": "TransEPI's split: GM12878 and HeLa (all sets with features) train for HMEC, IMR90 and NHEK.",
            "label_meaning": "1 = the set's assay links the enhancer to a promoter of the gene in this cell line",
            "cells": tuple(SETS),
            "families": (*families, TARGETS),
            "notes": (*card.notes, "Compare on --cells HMEC,IMR90,NHEK: other cells would train on these three."),
        }
    )

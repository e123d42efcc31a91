"""Episode sets on disk: a folder in Hugging Face `datasets` format with a manifest beside it.

<folder>/episodes/, queries/, dataset_dict.json    what `datasets.load_from_disk` reads
<folder>/manifest.json                             hash, task, protocol, shots, draws, gaps
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .draws import Balance
from .episode_tables import EPISODES_SCHEMA, QUERIES_SCHEMA, EpisodeTables, read_splits, read_supports, to_tables
from .episodes import EPISODE_SCHEMA, EpisodeSet, Gap
from .errors import EpishotError
from .splits import Protocol

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from .task import Task

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class EpisodeSetFacts:
    """What a manifest says of a saved episode set; `problem` is set if it cannot be read."""

    folder: Path
    hash: str = ""
    task: str = ""
    task_version: str = ""
    protocol: str = ""
    shots: tuple[int, ...] = ()
    draws: int = 0
    queries: int = 0
    episodes: int = 0
    problem: str | None = None


def save(episodes: EpisodeSet, folder: Path) -> Path:
    """Write the set to `folder`, which appears complete or not at all.

    A folder that already holds the same set is left as it is.

    Returns:
        the folder.

    Raises:
        EpishotError: the folder holds something else, or cannot be written.
    """
    if _holds(folder, episodes.hash):
        return folder
    partial = folder.parent / f".{folder.name}.{os.getpid()}.partial"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        dataset = to_dataset(episodes)
        with _quiet_datasets():
            dataset.save_to_disk(str(partial))
        (partial / MANIFEST).write_text(json.dumps(_manifest(episodes), indent=1) + "\n", encoding="utf-8")
        # An empty folder is replaced, a filled one makes this fail.
        partial.replace(folder)
    except OSError as error:
        # Another process may have finished the same set meanwhile.
        if not _holds(folder, episodes.hash):
            raise EpishotError(
                f"Cannot write the episode set to {folder} ({error.strerror or error}): choose another folder."
            ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def load(folder: Path, task: Task | None = None) -> EpisodeSet:
    """Read a saved set; every index is verified against the hash.

    Args:
        folder: where `save` put it.
        task: if given, the set must have been built for this very task.

    Raises:
        EpishotError: no set there, another schema, damaged files, or another task.
    """
    manifest = _read_manifest(folder)
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
        tables = EpisodeTables(_plain(loaded["episodes"], EPISODES_SCHEMA), _plain(loaded["queries"], QUERIES_SCHEMA))
        episodes = _from_tables(manifest, tables)
        again = to_tables(episodes)
        intact = episodes.hash == manifest["hash"] and all(a.equals(b) for a, b in zip(again, tables, strict=True))
    except (KeyError, IndexError, TypeError, ValueError, OSError) as error:
        raise _damaged(folder) from error
    if not intact:
        raise _damaged(folder)
    if task is not None:
        episodes.check_task(task)
    return episodes


def holds_intact(episodes: EpisodeSet, folder: Path) -> bool:
    """Whether `folder` holds this very set, undamaged.

    Reads the Arrow files themselves, so that nobody who has the set at hand pays for importing `datasets`.
    """
    import pyarrow as pa

    try:
        if json.loads((folder / MANIFEST).read_text(encoding="utf-8")) != _manifest(episodes):
            return False
        tables = to_tables(episodes)._asdict()
        if json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"] != list(tables):
            return False
        for name, table in tables.items():
            json.loads((folder / name / "dataset_info.json").read_text(encoding="utf-8"))
            state = json.loads((folder / name / "state.json").read_text(encoding="utf-8"))
            parts = []
            for part in state["_data_files"]:
                file = str(folder / name / part["filename"])
                with pa.memory_map(file) as source, pa.ipc.open_stream(source) as reader:
                    parts.append(reader.read_all().select(table.schema.names).cast(table.schema))
            if not pa.concat_tables(parts).equals(table):
                return False
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return False
    return True


def to_dataset(episodes: EpisodeSet) -> datasets.DatasetDict:
    """The two tables as Hugging Face datasets, without copying the indices."""
    import datasets

    tables = to_tables(episodes)
    return datasets.DatasetDict(
        {"episodes": datasets.Dataset(tables.episodes), "queries": datasets.Dataset(tables.queries)}
    )


def list_episode_sets(folder: str | Path) -> list[EpisodeSetFacts]:
    """Facts of all episode sets directly below a folder, by task and protocol; nothing but manifests is read.

    A set whose manifest cannot be read is listed with its problem.
    """
    found = []
    for manifest in sorted(Path(folder).glob(f"*/{MANIFEST}")):
        try:
            read = _read_manifest(manifest.parent)
            found.append(
                EpisodeSetFacts(
                    folder=manifest.parent,
                    hash=read["hash"],
                    task=read["task"]["name"],
                    task_version=read["task"]["version"],
                    protocol=read["protocol"],
                    shots=tuple(read["shots"]),
                    draws=read["draws"],
                    queries=len(read["queries"]),
                    episodes=read["episodes"],
                )
            )
        except (EpishotError, KeyError, TypeError) as error:
            found.append(EpisodeSetFacts(manifest.parent, problem=str(error)))
    return sorted(found, key=lambda facts: (facts.task, facts.protocol, facts.hash))


def _manifest(episodes: EpisodeSet) -> dict[str, Any]:
    """Everything a person wants to know, and what the tables cannot hold."""
    return {
        "what": "EPIShot episode set: row numbers of the task's EP table, in Hugging Face datasets format",
        "schema": EPISODE_SCHEMA,
        "hash": episodes.hash,
        "task": {
            "name": episodes.task_name,
            "version": episodes.task_version,
            "hash": episodes.task_hash,
            "rows": episodes.n_rows,
            "cells": list(episodes.cells),
        },
        "protocol": episodes.protocol.value,
        "shots": list(episodes.shots),
        "draws": episodes.draws,
        "episodes": to_tables(episodes).episodes.num_rows,
        "infeasible": [
            {"cell": gap.cell, "balance": gap.balance.value, "k": gap.k, "reason": reason}
            for gap, reason in episodes.gaps.items()
        ],
        "queries": [
            {
                "cell": split.cell,
                "fold": split.fold,
                "query_rows": int(split.query_rows.size),
                "pool_rows": int(split.pool_rows.size),
                "train_rows": int(split.train_rows.size),
                "dropped_pool": split.dropped_pool,
                "dropped_train": split.dropped_train,
                "unplaced": split.unplaced,
            }
            for split in episodes.splits
        ],
    }


def _from_tables(manifest: dict[str, Any], tables: EpisodeTables) -> EpisodeSet:
    protocol, task = Protocol(manifest["protocol"]), manifest["task"]
    splits = read_splits(tables.queries, protocol, task["rows"])
    counts = [
        {name: facts[name] for name in ("dropped_pool", "dropped_train", "unplaced")} for facts in manifest["queries"]
    ]
    return EpisodeSet(
        task_name=task["name"],
        task_version=task["version"],
        task_hash=task["hash"],
        n_rows=task["rows"],
        protocol=protocol,
        shots=tuple(manifest["shots"]),
        draws=manifest["draws"],
        splits=tuple(replace(split, **facts) for split, facts in zip(splits, counts, strict=True)),
        cells=tuple(task["cells"]),
        supports=read_supports(tables.episodes),
        gaps={
            Gap(entry["cell"], Balance(entry["balance"]), entry["k"]): entry["reason"]
            for entry in manifest["infeasible"]
        },
    )


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        schema = manifest["schema"]
    except FileNotFoundError:
        raise EpishotError(f"{folder} holds no episode set (no {MANIFEST}): name the folder of a saved one.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder) from error
    if schema != EPISODE_SCHEMA:
        raise EpishotError(
            f"{folder} holds an episode set of schema {schema}, this version reads schema {EPISODE_SCHEMA}: "
            "delete the folder and build the set anew."
        )
    return manifest


def _holds(folder: Path, content_hash: str) -> bool:
    """Whether the folder already holds this set; something else there is an error."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not (folder / MANIFEST).exists():
        raise EpishotError(f"{folder} holds other files: choose another folder for the episode set.")
    found = _read_manifest(folder).get("hash")
    if found != content_hash:
        raise EpishotError(
            f"{folder} already holds another episode set ({str(found)[:12]}, not {content_hash[:12]}): choose "
            "another folder or delete it."
        )
    return True


def _damaged(folder: Path) -> EpishotError:
    return EpishotError(
        f"The episode set in {folder} is damaged or was edited: its contents do not match its hash. Delete the "
        "folder and build the set anew."
    )


def _plain(dataset: datasets.Dataset, schema: pa.Schema) -> pa.Table:
    """The memory-mapped Arrow table of a dataset, without the library's metadata."""
    table = dataset.data.table.select(schema.names)
    return table.replace_schema_metadata(None).cast(schema)


@contextmanager
def _quiet_datasets() -> Iterator[None]:
    """No progress bars for files that take milliseconds."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()

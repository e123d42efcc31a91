"""The episode set: every episode of a task and protocol, as row numbers, under one content hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .draws import Balance, StreamIdentity, draw_support, parse_balance, stream_words
from .errors import EpishotError
from .identity import locus_codes
from .limits import PoolLimits, infeasible_reason, parse_shots, pool_limits
from .overlap import audit_overlap
from .schema import SCHEMA_VERSION
from .splits import Protocol, Split, cell_splits, parse_protocol

if TYPE_CHECKING:
    import datasets

    from .task import Task

#: Raise it whenever the same task would give other episodes, or the files another form.
EPISODE_SCHEMA = "1"


class SupportKey(NamedTuple):
    """Supports of one split and balance are stored together."""

    cell: str
    fold: int
    balance: Balance


class Gap(NamedTuple):
    """An infeasible combination."""

    cell: str
    balance: Balance
    k: int


@dataclass(frozen=True, eq=False)
class EpisodeSet:
    """All episodes of one task under one protocol. It holds row numbers of the task's EP table, no rows.

    Attributes:
        task_name, task_version, task_hash: the task it belongs to; the hash is `Task.content_hash`.
        n_rows: rows of the task's EP table.
        protocol: `cell` or `cell+chrom`.
        shots: numbers of support pairs, ascending.
        draws: supports per (cell, fold, balance, k), for k > 0.
        splits: training, pool and query rows of every held-out cell and fold.
        cells: held-out cells in card order, also those without any query row.
        supports: (draws, K) int32 row numbers per split and balance, K the largest feasible k; the support
            of a smaller k is the first k columns.
        gaps: infeasible combinations with the reason.
    """

    task_name: str
    task_version: str
    task_hash: str
    n_rows: int
    protocol: Protocol
    shots: tuple[int, ...]
    draws: int
    splits: tuple[Split, ...]
    cells: tuple[str, ...]
    supports: Mapping[SupportKey, np.ndarray]
    gaps: Mapping[Gap, str]

    @classmethod
    def build(cls, task: Task, protocol: Protocol | str, shots: Sequence[int], draws: int) -> EpisodeSet:
        """Draw all episodes of a task; every split passes the overlap audit first.

        Natural and balanced supports are drawn for each k > 0 that is feasible in every fold of the cell
        with query rows; k = 0 has one empty support. The same identity gives the same support whatever
        else is requested, in whatever order or process.

        Raises:
            EpishotError: no shots, no draws, an unknown protocol, no query row in any cell.
            OverlapError: a split breaks the protocol.
        """
        protocol, shots = parse_protocol(protocol), parse_shots(shots)
        if draws < 1:
            raise EpishotError(f"An episode set needs at least one draw; got {draws}.")
        splits = tuple(cell_splits(task, protocol))
        if not splits:
            raise EpishotError(
                f"Task {task.card.name!r} has no labelled query row under protocol {protocol.value!r}: label some "
                "pairs outside the card's support_pool_chromosomes, or choose the other protocol."
            )
        limits: dict[str, dict[int, PoolLimits]] = {cell: {} for cell in task.card.cells}
        for split in splits:
            audit_overlap(task, split)
            limits[split.cell][split.fold] = pool_limits(task, split)
        gaps = {
            Gap(cell, balance, k): reason
            for cell, of_cell in limits.items()
            for balance in Balance
            for k in shots
            if (reason := infeasible_reason(of_cell, balance, k)) is not None
        }
        supports = {
            SupportKey(split.cell, split.fold, balance): _draw_all(task, split, balance, largest, draws)
            for split in splits
            for balance in Balance
            if (largest := max((k for k in shots if Gap(split.cell, balance, k) not in gaps), default=0)) > 0
        }
        card = task.card
        return cls(
            task_name=card.name,
            task_version=card.version,
            task_hash=task.content_hash,
            n_rows=len(task),
            protocol=protocol,
            shots=shots,
            draws=draws,
            splits=splits,
            cells=card.cells,
            supports=supports,
            gaps=gaps,
        )

    @cached_property
    def hash(self) -> str:
        """sha256 (hex) over the task's content hash, the protocol, the schemas and every index.

        Not a library fingerprint: it is the same before saving, after loading and in every process.
        """
        header = [
            f"epishot-episodes-{EPISODE_SCHEMA}/{SCHEMA_VERSION}",
            self.task_hash,
            self.protocol.value,
            list(self.shots),
            self.draws,
            list(self.cells),
            [[gap.cell, gap.balance.value, gap.k] for gap in self.gaps],
        ]
        digest = hashlib.sha256(json.dumps(header).encode())
        for split in self.splits:
            _feed(digest, f"split {split.cell} {split.fold}", split.query_rows)
            _feed(digest, "pool", row_bits(split.pool_rows, self.n_rows))
            _feed(digest, "train", row_bits(split.train_rows, self.n_rows))
        for key, rows in self.supports.items():
            _feed(digest, f"supports {key.cell} {key.fold} {key.balance.value} {rows.shape[1]}", rows)
        return digest.hexdigest()

    def split(self, cell: str, fold: int) -> Split:
        """The split of a held-out cell and fold.

        Raises:
            EpishotError: there is none.
        """
        try:
            return self._by_name[cell, fold]
        except KeyError:
            raise EpishotError(
                f"The episode set of {self.task_name!r} under {self.protocol.value!r} has no query for cell "
                f"{cell!r}, fold {fold}."
            ) from None

    def support_rows(self, cell: str, fold: int, balance: str, k: int) -> np.ndarray:
        """Row numbers of all supports of one combination, one draw per line.

        Returns:
            (R, k) int64; R = `draws`, or 1 for k = 0. A view of nothing: free to change.

        Raises:
            EpishotError: the combination is infeasible (with the reason) or was not requested.
        """
        self.split(cell, fold)
        balance = parse_balance(balance)
        if (reason := self.infeasible(cell, balance, k)) is not None:
            raise EpishotError(f"{cell} has no {balance.value} support of {k} pairs: {reason}.")
        if k == 0:
            return np.empty((1, 0), dtype=np.int64)
        return self.supports[SupportKey(cell, fold, balance)][:, :k].astype(np.int64)

    def infeasible(self, cell: str, balance: str, k: int) -> str | None:
        """Why a cell lacks (balance, k) in some fold that holds query rows; None if it is feasible.

        Raises:
            EpishotError: the set was built without this k, or the task has no such cell.
        """
        if k not in self.shots or cell not in self.cells:
            raise EpishotError(
                f"The episode set of {self.task_name!r} covers cells {', '.join(self.cells)} and shots "
                f"{', '.join(map(str, self.shots))}, not {cell!r} with k = {k}: build one that does."
            )
        return self.gaps.get(Gap(cell, parse_balance(balance), k))

    def check_task(self, task: Task) -> None:
        """Make sure that the row numbers mean rows of this very task.

        Raises:
            EpishotError: the task differs in name, card or rows.
        """
        if task.content_hash != self.task_hash:
            raise EpishotError(
                f"The episode set was built for task {self.task_name!r} version {self.task_version} (content "
                f"{self.task_hash[:12]}), but the task at hand is {task.card.name!r} version "
                f"{task.card.version} (content {task.content_hash[:12]}): build the episode set anew, or load "
                "the task it was built for."
            )

    def save(self, folder: str | Path) -> Path:
        """Write the set to a folder, all or nothing; see `episode_files.save`."""
        from .episode_files import save

        return save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, task: Task | None = None) -> EpisodeSet:
        """Read a saved set and verify its hash (and, if given, that it belongs to `task`)."""
        from .episode_files import load

        return load(Path(folder), task)

    def to_dataset(self) -> datasets.DatasetDict:
        """The set as Hugging Face datasets `episodes` and `queries`; see `episode_tables`."""
        from .episode_files import to_dataset

        return to_dataset(self)

    @cached_property
    def _by_name(self) -> dict[tuple[str, int], Split]:
        return {(split.cell, split.fold): split for split in self.splits}


def row_bits(rows: np.ndarray, n_rows: int) -> np.ndarray:
    """A set of row numbers as a bit map, (ceil(n_rows / 8),) uint8, bit i % 8 (little) of byte i // 8."""
    mask = np.zeros(n_rows, dtype=bool)
    mask[rows] = True
    return np.packbits(mask, bitorder="little")


def _draw_all(task: Task, split: Split, balance: Balance, k: int, draws: int) -> np.ndarray:
    """All supports of one split and balance; (draws, k) int32 row numbers."""
    pool = split.pool_rows
    pair, label = locus_codes(task)["pair"][pool], task.columns.label[pool]
    rows = np.empty((draws, k), dtype=np.int32)
    for draw, identity in enumerate(_identities(task, split, balance, draws)):
        rows[draw] = pool[draw_support(stream_words(identity, pool.size), pair, label, balance, k)]
    return rows


def _identities(task: Task, split: Split, balance: Balance, draws: int) -> Iterator[StreamIdentity]:
    name, version, protocol = task.card.name, task.card.version, split.protocol.value
    for draw in range(draws):
        yield StreamIdentity(name, version, protocol, split.cell, split.fold, balance.value, draw)


def _feed(digest: hashlib._Hash, title: str, values: np.ndarray) -> None:
    """Add an array in one canonical form: title, length, little-endian int64."""
    digest.update(f"\n{title} {values.size}\n".encode())
    digest.update(np.ascontiguousarray(values, dtype="<i8").tobytes())

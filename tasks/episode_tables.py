"""An episode set as two Arrow tables, and back.

`episodes`: one row per episode (episode_id, cell, fold, regime, balance, k, draw, support).
`queries`: one row per held-out cell and fold (cell, fold, rows, pool_bits, train_bits).
`support` and `rows` are row numbers of the task's EP table. `pool_bits` and `train_bits` say of each row
whether it is in the support pool / in training: bit i % 8 (little) of byte i // 8. So it is on record what
every method was trained on, at an eighth of a byte per row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from .draws import Balance
from .episodes import Gap, SupportKey, row_bits
from .splits import Protocol, Split

if TYPE_CHECKING:
    from .episodes import EpisodeSet

EPISODES_SCHEMA = pa.schema(
    [
        ("episode_id", pa.string()),
        ("cell", pa.string()),
        ("fold", pa.int32()),
        ("regime", pa.string()),
        ("balance", pa.string()),
        ("k", pa.int32()),
        ("draw", pa.int32()),
        ("support", pa.list_(pa.int32())),
    ]
)
QUERIES_SCHEMA = pa.schema(
    [
        ("cell", pa.string()),
        ("fold", pa.int32()),
        ("rows", pa.list_(pa.int32())),
        ("pool_bits", pa.binary()),
        ("train_bits", pa.binary()),
    ]
)


class EpisodeTables(NamedTuple):
    """The two tables of an episode set."""

    episodes: pa.Table
    queries: pa.Table


class _Block(NamedTuple):
    """Episodes that differ in the draw only; rows (R, k) int32."""

    cell: str
    fold: int
    regime: str
    balance: str
    k: int
    rows: np.ndarray


def to_tables(episodes: EpisodeSet) -> EpisodeTables:
    """Write an episode set as tables, in the order cell, fold, regime, balance, k, draw."""
    blocks = list(_blocks(episodes))
    counts = [len(block.rows) for block in blocks]

    def spread(values: list, kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind).take(pa.array(np.arange(len(blocks)).repeat(np.array(counts, dtype=np.int64))))

    supports = _lists([line for block in blocks for line in block.rows])
    columns = [
        pa.array(
            [f"{b.cell}/{b.fold}/{b.regime}/{b.balance}/{b.k}/{draw}" for b in blocks for draw in range(len(b.rows))],
            pa.string(),
        ),
        spread([b.cell for b in blocks], pa.string()),
        spread([b.fold for b in blocks], pa.int32()),
        spread([b.regime for b in blocks], pa.string()),
        spread([b.balance for b in blocks], pa.string()),
        spread([b.k for b in blocks], pa.int32()),
        pa.array([draw for count in counts for draw in range(count)], pa.int32()),
        supports,
    ]
    splits, n = episodes.splits, episodes.n_rows
    queries = [
        pa.array([split.cell for split in splits], pa.string()),
        pa.array([split.fold for split in splits], pa.int32()),
        _lists([split.query_rows for split in splits]),
        pa.array([row_bits(split.pool_rows, n).tobytes() for split in splits], pa.binary()),
        pa.array([row_bits(split.train_rows, n).tobytes() for split in splits], pa.binary()),
    ]
    return EpisodeTables(
        pa.Table.from_arrays(columns, schema=EPISODES_SCHEMA),
        pa.Table.from_arrays(queries, schema=QUERIES_SCHEMA),
    )


def read_splits(queries: pa.Table, protocol: Protocol, n_rows: int) -> tuple[Split, ...]:
    """The splits of a `queries` table."""
    lists = queries["rows"].combine_chunks()
    values, bounds = _list_buffers(lists)
    return tuple(
        Split(
            protocol,
            queries["cell"][i].as_py(),
            queries["fold"][i].as_py(),
            train_rows=_rows_of_bits(queries["train_bits"][i].as_buffer(), n_rows),
            pool_rows=_rows_of_bits(queries["pool_bits"][i].as_buffer(), n_rows),
            query_rows=values[bounds[i] : bounds[i + 1]].astype(np.int64),
        )
        for i in range(queries.num_rows)
    )


def read_supports(episodes: pa.Table) -> dict[SupportKey, np.ndarray]:
    """Supports of the largest k per split and balance, as views of the Arrow buffer."""
    values, bounds = _list_buffers(episodes["support"].combine_chunks())
    k = episodes["k"].to_numpy()
    names = [episodes[name].to_pylist() for name in ("cell", "fold", "balance")]
    labelled = np.flatnonzero(np.array(episodes["regime"].to_pylist(), dtype=object) == "labelled")
    rows_by_key: dict[SupportKey, dict[int, list[int]]] = {}
    for i in labelled.tolist():
        key = SupportKey(names[0][i], names[1][i], Balance(names[2][i]))
        rows_by_key.setdefault(key, {}).setdefault(int(k[i]), []).append(i)
    supports = {}
    for key, by_k in rows_by_key.items():
        largest = max(by_k)
        lines = by_k[largest]
        # The draws of one combination lie one after the other in the buffer.
        flat = values[bounds[lines[0]] : bounds[lines[-1] + 1]]
        supports[key] = flat.reshape(len(lines), largest)
    return supports


def _blocks(episodes: EpisodeSet) -> Iterator[_Block]:
    for split in episodes.splits:
        cell, fold = split.cell, split.fold
        if 0 in episodes.shots:
            yield _Block(cell, fold, "none", Balance.NATURAL.value, 0, np.empty((1, 0), dtype=np.int32))
        for regime, balance in (
            ("unlabelled", Balance.NATURAL),
            ("labelled", Balance.NATURAL),
            ("labelled", Balance.BALANCED),
        ):
            for k in episodes.shots:
                if k > 0 and Gap(cell, balance, k) not in episodes.gaps:
                    rows = episodes.supports[SupportKey(cell, fold, balance)][:, :k]
                    yield _Block(cell, fold, regime, balance.value, k, rows)


def _lists(lines: list[np.ndarray]) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum([len(line) for line in lines])]).astype(np.int32)
    values = np.concatenate(lines) if lines else np.empty(0)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.astype(np.int32)))


def _list_buffers(lists: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Values (int32) and bounds of a list column without copying."""
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], pa.list_(pa.int32()))
    return lists.values.to_numpy(zero_copy_only=True), lists.offsets.to_numpy(zero_copy_only=True)


def _rows_of_bits(buffer: pa.Buffer, n_rows: int) -> np.ndarray:
    bits = np.unpackbits(np.frombuffer(buffer, dtype=np.uint8), count=n_rows, bitorder="little")
    return np.flatnonzero(bits)

"""The board: compact records arranged as one table per task, protocol, regime, balance and k."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..benchmark.records import CellEntry, CompactRecord
from ..tasks.errors import EpishotError
from .audit_words import audit_words
from .config_notes import config_notes
from .statistics import MacroScore, above, tie_groups

#: Metrics shown beside the headline; averages over cells are defined for each of them.
MACRO_METRICS = ("auroc", "distance_aupr", "brier", "ece", "f1_half", "f1_share")
_SHARED = {
    "task_hash": "versions of the task",
    "episode_set": "episode sets",
    "budget": "training budgets",
    "evaluator": "versions of the evaluator",
}
ACROSS_METRICS = ("cell_pooled_aupr", "swap_auc", "swap_auc_quantile")


@dataclass(frozen=True)
class Loaded:
    """A compact record and its replicates (rows, B)."""

    record: CompactRecord
    replicates: np.ndarray


@dataclass(frozen=True, order=True)
class TableKey:
    """What one table is about."""

    task: str
    protocol: str
    regime: str
    balance: str
    k: int

    @property
    def headline(self) -> bool:
        """Whether it is of the headline's grid: zero-shot, or labelled natural supports."""
        return self.k == 0 or (self.regime, self.balance) == ("labelled", "natural")


@dataclass(frozen=True)
class CellHead:
    """Facts of a held-out cell that hold for every row of a table.

    Attributes:
        chance: exact expected AUPR of a random ranker (positive-weighted over folds); None if undefined.
        undefined_folds: folds without positives or without negatives, left out for every row.
        infeasible: why the cell has no episodes at this k, or None.
    """

    cell: str
    n: int
    positives: int
    chance: float | None
    undefined_folds: tuple[int, ...]
    infeasible: str | None


@dataclass(frozen=True)
class Row:
    """One method in one table.

    Attributes:
        constant: every score of a query is the same, in every cell: the row orders nothing here.
        seeds: seeds of its fits, where other rows of the table have more; else None.
        entries: per cell; a cell without a usable result is missing.
        problems: per cell, why there is no result.
        zero_shot: the row is the k = 0 result of a method that uses no support.
        macro: mean of the corrected AUPR over the table's cells, None if it is not defined.
        group: tie group, None without a macro.
        beats_control: separably better than the best control it is compared with; None if not compared.
        notes: what a reader must know of an external row, or of a row's configuration.
        metrics: macro means of the secondary metrics and metrics across cells; None where undefined.
        reasons: reason codes of those that are None.
        audit: `pass`, names of failed checks, or `not audited`.
    """

    name: str
    kind: str
    marks: str
    zero_shot: bool
    entries: dict[str, CellEntry]
    problems: dict[str, str]
    constant: bool = False
    seeds: int | None = None
    macro: MacroScore | None = None
    group: int | None = None
    beats_control: bool | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)
    audit: str = ""


@dataclass(frozen=True)
class BoardTable:
    """One table. `cells` are all held-out cells; `macro_cells` those that enter macro means."""

    key: TableKey
    cells: tuple[CellHead, ...]
    macro_cells: tuple[str, ...]
    macro_reason: str | None
    best_control: str | None
    best_plain_control: str | None
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Board:
    """All tables and the records they were made from."""

    tables: tuple[BoardTable, ...]
    records: tuple[CompactRecord, ...]

    def headlines(self) -> dict[tuple[str, str], list[BoardTable]]:
        """The tables of the headline's grid, by task and protocol."""
        found: dict[tuple[str, str], list[BoardTable]] = {}
        for table in self.tables:
            own = found.setdefault((table.key.task, table.key.protocol), [])
            if table.key.headline:
                own.append(table)
        return found


def build_board(loaded: Iterable[Loaded]) -> Board:
    """Arrange compact records; a pure function of them.

    Args:
        loaded: records with their replicates, in any order.

    Raises:
        EpishotError: records of one task and protocol that cannot be compared: other rows, episodes, budget or
            evaluator.
    """
    everything = sorted(loaded, key=lambda one: (one.record.task, one.record.protocol, one.record.method.name))
    tables = []
    for task, protocol in sorted({(one.record.task, one.record.protocol) for one in everything}):
        members = [one for one in everything if (one.record.task, one.record.protocol) == (task, protocol)]
        _comparable(members)
        order: list[str] = []
        for key in _keys(task, protocol, members):
            table = _table(key, members, order)
            order = order or [row.name for row in table.rows]
            tables.append(table)
    return Board(tuple(tables), tuple(one.record for one in everything))


def _comparable(members: Sequence[Loaded]) -> None:
    """Paired comparisons need the same pairs, the same supports, the same training budget and one evaluator."""
    for name, what in _SHARED.items():
        # Nothing was trained here for an external row.
        held = [one.record for one in members if name != "budget" or one.record.method.kind != "external"]
        odd = [record for record in held if getattr(record, name) != getattr(held[0], name)]
        if odd:
            first = held[0]
            raise EpishotError(
                f"The rows {first.method.name!r} and {odd[0].method.name!r} of {first.task}, {first.protocol}, were "
                f"made with different {what} and cannot stand in one table; run one of them again or delete its record."
            )


def _keys(task: str, protocol: str, members: Sequence[Loaded]) -> list[TableKey]:
    found = {
        TableKey(task, protocol, entry.regime, entry.balance, entry.k)
        for one in members
        for entry in one.record.entries
    }
    # The zero-shot table first: tables without a macro mean follow its order.
    return sorted(found, key=lambda key: (key.k > 0, key.regime, key.balance, key.k))


def _table(key: TableKey, members: Sequence[Loaded], order: Sequence[str]) -> BoardTable:
    picked = [(one, *_pick(one.record, key)) for one in members]
    # What a reference row cannot be computed for, methods still can.
    compared = [entries for one, entries, _ in picked if one.record.method.kind != "reference"]
    cells = _heads(members[0].record.cells, compared or [entries for _, entries, _ in picked])
    usable = tuple(head.cell for head in cells if head.infeasible is None and head.chance is not None)
    reason = None
    if key.k > 0 and members[0].record.headline_shots == "zero":
        reason = "the cells are too small for a macro mean with k > 0"
    elif not usable:
        reason = "no cell is feasible"
    rows = [
        _row(one, entries, zero_shot, cells, usable, reason)
        for one, entries, zero_shot in picked
        # A method that could have been run here and was not is shown as such.
        if entries or key.regime in one.record.method.regimes
    ]
    rows = _mark_fewer_seeds(rows, picked)
    rows, best, plain = _compare(rows)
    ranked = {name: place for place, name in enumerate(order)}
    rows.sort(
        key=lambda row: (
            row.kind != "reference",
            row.macro is None,
            -row.macro.value if row.macro else ranked.get(row.name, len(ranked)),
            row.name,
        )
    )
    return BoardTable(key, cells, usable if reason is None else (), reason, best, plain, tuple(rows))


def _pick(record: CompactRecord, key: TableKey) -> tuple[dict[str, CellEntry], bool]:
    """Entries of a record for a table; a method without support use stands with its k = 0 result."""
    exact = {e.cell: e for e in record.entries if (e.regime, e.balance, e.k) == (key.regime, key.balance, key.k)}
    if exact or record.method.regimes != ("none",):
        return exact, False
    return {e.cell: e for e in record.entries if e.k == 0}, True


def _heads(cells: Sequence[str], rows: Sequence[dict[str, CellEntry]]) -> tuple[CellHead, ...]:
    heads = []
    for cell in cells:
        entries = [row[cell] for row in rows if cell in row]
        infeasible = next((e.reason or "infeasible" for e in entries if e.status == "infeasible"), None)
        facts = next((e for e in entries if e.folds), None)
        defined = [f for f in facts.folds if f.chance is not None] if facts else []
        positives = sum(f.positives for f in defined)
        heads.append(
            CellHead(
                cell=cell,
                n=facts.n if facts else 0,
                positives=facts.positives if facts else 0,
                chance=sum(f.positives * (f.chance or 0.0) for f in defined) / positives if positives else None,
                undefined_folds=tuple(f.fold for f in facts.folds if f.chance is None) if facts else (),
                infeasible=infeasible,
            )
        )
    return tuple(heads)


def _row(
    one: Loaded,
    entries: dict[str, CellEntry],
    zero_shot: bool,
    cells: Sequence[CellHead],
    usable: Sequence[str],
    no_macro: str | None,
) -> Row:
    record = one.record
    good = {cell: e for cell, e in entries.items() if e.status == "ok" and e.metrics.get("corrected") is not None}
    problems = {}
    for head in cells:
        if head.cell not in good:
            entry = entries.get(head.cell)
            problems[head.cell] = "not run" if entry is None else _why(entry)
    macro = None
    if no_macro is None and usable and all(cell in good and good[cell].replicates is not None for cell in usable):
        values = [good[cell].metrics["corrected"] for cell in usable]
        stack = np.stack([one.replicates[good[cell].replicates] for cell in usable])
        macro = MacroScore(float(np.mean([v for v in values if v is not None])), stack.mean(axis=0, dtype=np.float64))
    metrics: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    if no_macro is None and entries:
        metrics = {name: _mean(good, usable, name) for name in MACRO_METRICS}
        reasons = {name: _why_undefined(good, usable, name) for name, value in metrics.items() if value is None}
        sample = next(iter(entries.values()))
        for across in record.across:
            same = (across.regime, across.balance, across.k) == (sample.regime, sample.balance, sample.k)
            # Pooling more cells than the other rows do is another quantity.
            if same and set(across.cells) == set(usable):
                metrics |= {name: across.metrics.get(name) for name in ACROSS_METRICS}
                reasons |= {name: reason for name, reason in across.reasons.items() if metrics.get(name) is None}
    facts = record.method
    constant = bool(good) and all(_is_constant(entry) for entry in good.values())
    notes = (*(record.external.notes if record.external is not None else ()), *config_notes(facts))
    return Row(
        facts.name,
        facts.kind,
        facts.marks,
        zero_shot,
        good,
        problems,
        constant,
        macro=macro,
        metrics=metrics,
        notes=notes,
        reasons=reasons,
        audit=audit_words(record),
    )


def _is_constant(entry: CellEntry) -> bool:
    """Whether the corrected AUPR is exactly what one tie group over the whole query gives."""
    defined = [fold for fold in entry.folds if fold.chance is not None]
    total = sum(fold.positives for fold in defined)
    tied = sum(
        fold.positives / total * (fold.positives / fold.n - fold.chance) / (1 - fold.chance)
        for fold in defined
        if fold.chance is not None
    )
    value = entry.metrics["corrected"]
    return value is not None and abs(value - tied) < 1e-12


def _mark_fewer_seeds(rows: list[Row], picked: Sequence[tuple[Loaded, dict[str, CellEntry], bool]]) -> list[Row]:
    """Deterministic methods need one seed; among the others, the rows with fewer than the most say so."""
    drawn = {one.record.method.name for one, _, _ in picked if not one.record.method.deterministic}
    seeds = {row.name: max((e.seeds for e in row.entries.values()), default=0) for row in rows if row.name in drawn}
    most = max(seeds.values(), default=0)
    return [replace(row, seeds=seeds[row.name]) if seeds.get(row.name, most) < most else row for row in rows]


def _why(entry: CellEntry) -> str:
    return f"{entry.status}: {entry.reason}" if entry.reason else entry.reasons.get("corrected", entry.status)


def _mean(entries: dict[str, CellEntry], cells: Sequence[str], name: str) -> float | None:
    values = [entries[cell].metrics.get(name) if cell in entries else None for cell in cells]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _why_undefined(entries: dict[str, CellEntry], cells: Sequence[str], name: str) -> str:
    missing = [cell for cell in cells if cell not in entries]
    if missing:
        return f"no result in {', '.join(missing)}"
    return next((entries[cell].reasons[name] for cell in cells if name in entries[cell].reasons), "undefined")


def _compare(rows: list[Row]) -> tuple[list[Row], str | None, str | None]:
    """Tie groups over methods and controls, and each method against the best control of its kind."""
    scores = {row.name: row.macro for row in rows if row.macro is not None and row.kind != "reference"}
    groups = tie_groups(scores)
    controls = [row for row in rows if row.kind == "control" and row.macro is not None]
    best = _best(controls)
    plain = _best([row for row in controls if "C" not in row.marks])
    beats: dict[str, bool] = {}
    for baseline, with_context in ((best, True), (plain, False)):
        compared = {
            row.name: row.macro
            for row in rows
            if row.kind in ("method", "external") and row.macro is not None and ("C" in row.marks) == with_context
        }
        if baseline is not None and baseline.macro is not None and compared:
            beats |= above(compared, baseline.macro)
    rows = [replace(row, group=groups.get(row.name), beats_control=beats.get(row.name)) for row in rows]
    return rows, best.name if best else None, plain.name if plain else None


def _best(rows: Sequence[Row]) -> Row | None:
    return max(rows, key=lambda row: (row.macro.value if row.macro else -np.inf, row.name), default=None)

"""Audits of the harness around a method: what it is handed, in which process, and which splits are refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa

from ..methods.audits.cut import AuditCut, cut
from ..methods.audits.finding import Finding, Outcome
from ..methods.base import PairTable, Reads
from ..methods.check_subject import TOLERANCE, relative_gap
from ..tasks.errors import OverlapError
from ..tasks.overlap import audit_overlap
from ..tasks.splits import Split
from ..tasks.task import Task
from .audit_worker import AuditOrder
from .executor import Executor, FitOutcome
from .jobs import FitJob


def support_overlap(task: Task, split: Split) -> Finding:
    """Support, training and query share no locus here, and a planted overlap is refused."""
    name, planted, refused = "support-overlap", 0, 0
    try:
        audit_overlap(task, split)
    except OverlapError as error:
        return Finding(name, Outcome.FAIL, str(error))
    queried = split.query_rows[:1]
    for bad in (
        replace(split, pool_rows=np.append(split.pool_rows, queried)),
        replace(split, train_rows=np.append(split.train_rows, queried)),
    ):
        planted += 1
        try:
            audit_overlap(task, bad)
        except OverlapError:
            refused += 1
    evidence = {"planted": planted, "refused": refused, "support pool": int(split.pool_rows.size)}
    text = "Support and training share no gene, element or promoter bin with the query; a planted overlap is refused."
    if refused < planted:
        return Finding(name, Outcome.FAIL, "A support or training row that is also queried was not refused.", evidence)
    return Finding(name, Outcome.PASS, text, evidence)


def handed_labels(task: Task, made: AuditCut, reads: frozenset[Reads]) -> Finding:
    """Nothing that is handed over changes when all labels of the query are turned round."""
    split, context = made.split, made.case.context
    label = task.columns.label.astype(np.int64)
    label[split.query_rows] = 1 - label[split.query_rows]
    place = task.table.schema.get_field_index("label")
    field = task.table.schema.field(place)
    column = pa.array([None if value < 0 else int(value) for value in label], field.type)
    turned = type(task)(task.card, task.table.set_column(place, field, column))
    other = cut(turned, split, reads, seed=context.seed, budget=context.budget)
    assert not np.array_equal(other.case.query_label, made.case.query_label)
    before, after = _handed(made), _handed(other)
    differ = [name for name in before if before[name] != after.get(name)]
    evidence = {"arrays handed over": len(before), "of these changed": len(differ)}
    if differ:
        text = f"What is handed over depends on labels of the query: {', '.join(differ)}."
        return Finding("handed-labels", Outcome.FAIL, text, evidence)
    text = "No array that it is handed changes when all labels of the query are turned round."
    return Finding("handed-labels", Outcome.PASS, text, evidence)


def _handed(made: AuditCut) -> dict[str, str]:
    """Digest of every array of a fit, by name. Support labels are of other rows, and are handed over on purpose."""
    case = made.case
    tables: dict[str, PairTable] = {
        "train": case.train.pairs,
        "pool": case.pool,
        "query": case.query,
        "cell_table": case.cell_table,
    }
    arrays = {"train.label": case.train.label, "train.cell": case.train.cell, "pool.label": case.pool_label}
    for where, table in tables.items():
        arrays |= {f"{where}.{f.name}": value for f in fields(table) if (value := getattr(table, f.name)) is not None}
    return {name: hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() for name, value in arrays.items()}


def fresh_process(order: AuditOrder, known: Sequence[np.ndarray] | None, transductive: bool, run: Executor) -> Finding:
    """In the runner's own process, where there are no labels, it scores as it did in the audit's; and twice alike."""
    case, name = order.cut.case, "fresh-process"
    job = FitJob(
        method=order.address,
        arguments=order.arguments,
        code=order.code,
        train=case.train,
        context=case.context,
        query=case.query,
        cell_table=case.cell_table if transductive else None,
        requests=order.requests,
    )
    outcomes = [outcome for _, outcome in run.run([(number, lambda: job) for number in range(2)])]
    errors = [error for outcome in outcomes if (error := _error(outcome, len(order.requests)))]
    if errors:
        return Finding(name, Outcome.FAIL, f"It cannot be run as the runner runs it: {errors[0]}.", {}, order.where)
    first, second = ([one.scored[i].scores for i in range(len(order.requests))] for one in outcomes)
    evidence: dict[str, float | int | str | None] = {"gap between two processes": _largest_gap(first, second)}
    if evidence["gap between two processes"] != 0.0:
        text = "Two processes that were handed the same give other scores."
        return Finding(name, Outcome.FAIL, text, evidence, order.where)
    if known is None:
        text = "It could not be scored in the audit's process, so there is nothing to compare with."
        return Finding(name, Outcome.NOT_EVALUABLE, text, evidence, order.where)
    gap = _largest_gap(known, first)
    evidence |= {"gap to a process that holds labels": gap, "allowed": TOLERANCE}
    if gap > TOLERANCE:
        text = "It scores differently where labels of the query lie in its process: it reads what it was not handed."
        return Finding(name, Outcome.FAIL, text, evidence, order.where)
    text = "It scores alike in processes with and without the query's labels, and twice the same bit for bit."
    return Finding(name, Outcome.PASS, text, evidence, order.where)


def _error(outcome: FitOutcome, requests: int) -> str | None:
    found = [error for number in range(requests) if (error := outcome.error_of(number))]
    return found[0].splitlines()[0].rstrip(".") if found else None


def _largest_gap(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float:
    return max(relative_gap(one, other) for one, other in zip(expected, found, strict=True))

"""The checks themselves: one function per clause of the plugin contract."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np

from ..tasks.registry import load_reference
from .base import Reads, Regime, Supports
from .check_case import Case, Setting, served_settings
from .check_null import permutation_p
from .check_subject import BrokenRuleError, RuleNotApplicableError, Subject, demand, rule
from .registry import check_method_class, method_address
from .settings import check_settings

#: A method that reaches its AUPR on shuffled labels with a smaller p-value knows too much.
NULL_LEVEL = 1e-3


@rule("interface")
def interface(subject: Subject) -> None:
    """Declarations are complete, the configuration is JSON, another process can import the class."""
    cls = check_method_class(subject.cls)
    demand(bool(cls.summary.strip()) and "\n" not in cls.summary, "`summary` must be one line of text")
    demand(load_reference(method_address(cls)) is cls, f"{method_address(cls)} is not this class")
    config = dict(cls().config())
    try:
        stored = json.loads(json.dumps(config, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BrokenRuleError(f"config() is not JSON: {error}") from error
    try:
        again = dict(cls(**stored).config())
    except TypeError as error:
        raise BrokenRuleError(f"config() does not fit the constructor: {error}") from error
    demand(json.dumps(again) == json.dumps(config), "config() changes when it is passed to the constructor")


@rule("declared-reads", "interface")
def declared_reads(subject: Subject) -> None:
    """Fit and score work when every column that was not declared is None."""
    try:
        supports = subject.case.supports(subject.settings[0], 1)
        subject.score(supports)
    except Exception as error:
        case = Case.of(subject.whole_task, frozenset(Reads), subject.seed)
        complete = Subject(subject.cls, subject.task, subject.seed, case, subject.arguments)
        try:
            complete.score(complete.case.supports(subject.settings[0], 1))
        except Exception:
            raise error from None
        declared = ", ".join(sorted(subject.cls.reads)) or "nothing"
        raise BrokenRuleError(f"it reads more than it declares ({declared}): {error}") from error


_FITS = ("interface", "declared-reads")


@rule("shapes", *_FITS)
def shapes(subject: Subject) -> None:
    """Scores are (E, n) for E = 1 and 3, in every served regime, with empty and one-class supports."""
    for _setting, supports in _all_supports(subject):
        subject.score(supports)


@rule("finite", *_FITS)
def finite(subject: Subject) -> None:
    """Scores are finite in every served regime, with empty and one-class supports."""
    for setting, supports in _all_supports(subject):
        bad = int((~np.isfinite(subject.score(supports))).sum())
        demand(bad == 0, f"{bad} scores are not finite ({setting})")


@rule("determinism", *_FITS)
def determinism(subject: Subject) -> None:
    """The same seed gives the same scores, bit for bit."""
    again = subject.fit()
    for setting in subject.settings:
        supports = subject.case.supports(setting, 2)
        same = np.array_equal(subject.score(supports), subject.score(supports, again))
        demand(same, f"two fits with one seed score differently ({setting})")


@rule("declared-deterministic", *_FITS)
def declared_deterministic(subject: Subject) -> None:
    """A method that declares itself deterministic scores the same whatever the seed."""
    if not subject.cls.deterministic:
        raise RuleNotApplicableError("not declared deterministic")
    other = subject.fit(context=replace(subject.case.context, seed=subject.seed + 1))
    supports = subject.case.supports(subject.richest, 2)
    same = np.array_equal(subject.score(supports), subject.score(supports, other))
    demand(same, "another seed gives other scores: remove `deterministic = True`")


@rule("query-order", *_FITS)
def query_order(subject: Subject) -> None:
    """Permuting the query pairs permutes the scores."""
    order = np.random.Generator(np.random.Philox(subject.seed)).permutation(subject.case.query.n)
    for setting in subject.settings:
        supports = subject.case.supports(setting, 2)
        permuted = subject.score(supports, query=subject.case.query.take(order))
        subject.demand_close(subject.score(supports)[:, order], permuted, f"the order of the query matters ({setting})")


@rule("query-independence", *_FITS)
def query_independence(subject: Subject) -> None:
    """A pair's score does not depend on which other pairs are queried (transductive: the cell table is fixed)."""
    half = np.arange(0, subject.case.query.n, 2)
    for setting in subject.settings:
        supports = subject.case.supports(setting, 2)
        alone = subject.score(supports, query=subject.case.query.take(half))
        whole = subject.score(supports)[:, half]
        subject.demand_close(whole, alone, f"scores depend on the other query pairs ({setting})")


@rule("cell-table-order", *_FITS)
def cell_table_order(subject: Subject) -> None:
    """The order of the cell table does not matter."""
    if not subject.cls.transductive:
        raise RuleNotApplicableError("not transductive")
    table = subject.case.cell_table
    order = np.random.Generator(np.random.Philox(subject.seed)).permutation(table.n)
    supports = subject.case.supports(subject.richest, 2)
    permuted = subject.score(supports, cell_table=table.take(order))
    subject.demand_close(subject.score(supports), permuted, "the order of the cell table matters")


@rule("support-order", *_FITS)
def support_order(subject: Subject) -> None:
    """The order of the support pairs, and of the pool they come from, does not matter."""
    rng = np.random.Generator(np.random.Philox(subject.seed))
    for setting in _with_support(subject):
        supports = subject.case.supports(setting, 2)
        order = rng.permutation(supports.k)
        label = None if supports.label is None else supports.label[:, order]
        turned = replace(supports, rows=supports.rows[:, order], label=label)
        subject.demand_close(subject.score(supports), subject.score(turned), f"the support's order matters ({setting})")
        pool_order = rng.permutation(supports.pool.n)
        moved = replace(supports, pool=supports.pool.take(pool_order), rows=np.argsort(pool_order)[supports.rows])
        subject.demand_close(subject.score(supports), subject.score(moved), f"the pool's order matters ({setting})")


@rule("batching", *_FITS)
def batching(subject: Subject) -> None:
    """Several supports at once give the scores of one at a time."""
    for setting in _with_support(subject):
        supports = subject.case.supports(setting, 3)
        singly = [
            subject.score(
                replace(
                    supports,
                    rows=supports.rows[e : e + 1],
                    label=None if supports.label is None else supports.label[e : e + 1],
                )
            )[0]
            for e in range(3)
        ]
        subject.demand_close(subject.score(supports), np.stack(singly), f"supports influence each other ({setting})")


@rule("stateless", *_FITS)
def stateless(subject: Subject) -> None:
    """Scoring leaves nothing behind: the same call gives the same scores after any other call."""
    settings = subject.settings
    first = [subject.score(subject.case.supports(setting, 2)) for setting in settings]
    for setting in reversed(settings):
        subject.score(subject.case.supports(setting, 3, stream=1))
    for setting, before in zip(settings, first, strict=True):
        after = subject.score(subject.case.supports(setting, 2))
        subject.demand_close(before, after, f"an earlier call to score changes a later one ({setting})")


@rule("inputs-unchanged", *_FITS)
def inputs_unchanged(subject: Subject) -> None:
    """Fit and score leave the arrays they are given as they were."""
    case = copy.deepcopy(subject.case)
    method = subject.fit(case)
    for where, given, kept in (
        ("fit changes the training pairs", case.train.pairs, subject.case.train.pairs),
        ("fit changes the training labels", case.train, subject.case.train),
    ):
        demand(_same_arrays(given, kept), where)
    for setting in subject.settings:
        supports = case.supports(setting, 2)
        before = copy.deepcopy(supports)
        subject.score(supports, method, query=case.query, cell_table=case.cell_table)
        demand(_same_arrays(supports, before), f"score changes the supports ({setting})")
        demand(_same_arrays(supports.pool, before.pool), f"score changes the support pool ({setting})")
        demand(_same_arrays(case.query, subject.case.query), f"score changes the query ({setting})")
        demand(_same_arrays(case.cell_table, subject.case.cell_table), f"score changes the cell table ({setting})")


@rule("unknown-distance", *_FITS)
def unknown_distance(subject: Subject) -> None:
    """Scores stay finite where distances are unknown (NaN), in training, support and query."""
    if subject.case.query.distance is None:
        raise RuleNotApplicableError("does not read the distance")
    case = copy.deepcopy(subject.case)
    for table in (case.train.pairs, case.pool, case.query, case.cell_table):
        assert table.distance is not None
        table.distance[::3] = np.nan
    method = subject.fit(case)
    for setting in subject.settings:
        scores = subject.score(case.supports(setting, 2), method, query=case.query, cell_table=case.cell_table)
        bad = int((~np.isfinite(scores)).sum())
        demand(bad == 0, f"{bad} scores are not finite ({setting})")


@rule("settings", *_FITS)
def settings(subject: Subject) -> None:
    """The grid holds at most 4 different settings, the default first, and each gives finite scores."""
    if not subject.cls.settings:
        raise RuleNotApplicableError("declares no settings: it is not tuned")
    check_settings(subject.cls)
    supports = subject.case.supports(subject.richest, 2)
    for setting in subject.cls.settings[1:]:
        try:
            method = subject.cls(**setting)
            method.fit(subject.case.train, subject.case.context)
            scores = subject.score(supports, method)
        except Exception as error:
            raise BrokenRuleError(f"the setting {dict(setting)} fails: {error}") from error
        demand(bool(np.isfinite(scores).all()), f"scores are not finite with the setting {dict(setting)}")


@rule("null-task", *_FITS)
def null_task(subject: Subject) -> None:
    """With all labels shuffled, AUPR stays inside its permutation distribution."""
    case = subject.case.shuffled(subject.seed)
    method = subject.fit(case)
    for setting in subject.settings:
        scores = subject.score(case.supports(setting, 3), method)
        p = permutation_p(scores, case.query_label, subject.seed)
        subject.evidence |= {f"p, {setting}": p, "level": NULL_LEVEL}
        demand(
            p > NULL_LEVEL,
            f"AUPR on shuffled labels is above chance (p = {p:.4f}, {setting}): labels leak into the scores",
        )


def _all_supports(subject: Subject) -> Iterator[tuple[str, Supports]]:
    """Every kind of support that a served regime can bring."""
    for setting in subject.settings:
        for episodes in (1, 3):
            yield f"{setting}, E = {episodes}", subject.case.supports(setting, episodes)
    if Regime.LABELLED in subject.cls.capabilities().regimes:
        setting = replace(served_settings({Regime.LABELLED})[0], k=4)
        for value in (0, 1):
            yield f"k = 4 pairs of class {value}", subject.case.supports(setting, 2, only_class=value)


def _with_support(subject: Subject) -> list[Setting]:
    settings = [setting for setting in subject.settings if setting.k > 0]
    if not settings:
        raise RuleNotApplicableError("serves regime none only")
    return settings


def _same_arrays(given: object, kept: object) -> bool:
    for field in fields(kept):  # type: ignore[arg-type]
        value, before = getattr(given, field.name), getattr(kept, field.name)
        if isinstance(before, np.ndarray) and not np.array_equal(value, before, equal_nan=before.dtype.kind == "f"):
            return False
    return True

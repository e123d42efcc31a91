"""Verification of a published board: every number computed again, as far as what is at hand allows.

Nothing of a submission is unpickled, imported or run. Methods are touched through the local registry alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..tasks.errors import EpishotError
from .findings import Finding, Status
from .published import Published, read_published
from .reference_rows import reference_facts
from .verify_scores import Ground, check_scores
from .verify_tasks import LocalTasks, check_episodes, check_task
from .within_cell import LEARNER, is_within_cell, within_cell_facts

if TYPE_CHECKING:
    from rich.console import Console

    from .executor import Executor


@dataclass(frozen=True, eq=False)
class Verified:
    """What was read, and everything that was found.

    Attributes:
        sound: records that agree with themselves and whose task and episodes were verified.
    """

    published: tuple[Published, ...]
    sound: tuple[Published, ...]
    findings: tuple[Finding, ...]


def verify_records(
    board: Path, archive: Path | None, tasks: LocalTasks, executor: Executor, console: Console
) -> Verified:
    """Check every record of a board folder.

    Args:
        board: folder with `records/`. archive: folder of full scores, None if not at hand.
        tasks: the tasks at hand. executor: gives the processes that compute. console: for the progress line.

    Raises:
        EpishotError: there are no records.
    """
    published, findings = read_published(board)
    if not published and not findings:
        raise EpishotError(f"There are no records in {board}; name a folder that was published to.")
    broken = {finding.subject for finding in findings if finding.check == "record" and finding.status is Status.FAILED}
    sound = []
    for one in published:
        findings += check_audit(one)
        findings += [check_method(one), task := check_task(one.record, tasks, one.subject)]
        if task.status is Status.VERIFIED:
            findings.append(episodes := check_episodes(one.record, tasks, one.subject))
            if episodes.status is Status.VERIFIED and one.subject not in broken:
                sound.append(one)
                continue
        text = "not computed again, because its record, task or episodes are not verified"
        findings.append(Finding("scores", one.subject, Status.COULD_NOT, text))
    for number, group in enumerate(_groups(sound)):
        first = group[0].record
        console.print(f"[dim]computing {first.task} {first.protocol} again ({number + 1})[/dim]", highlight=False)
        ground = Ground.of(tasks.find(first.task), tasks.episodes(first), archive)
        for found in executor.map_trusted(check_scores, group, ground):
            findings += found
    return Verified(tuple(published), tuple(sound), tuple(findings))


def _groups(published: Sequence[Published]) -> Iterator[list[Published]]:
    """Records by episode set, which decides what they are computed from."""
    groups: dict[str, list[Published]] = {}
    for one in published:
        groups.setdefault(one.record.episode_set, []).append(one)
    yield from groups.values()


def check_audit(one: Published) -> list[Finding]:
    """An audit that belongs to its row is still its author's word; say how to make it again."""
    audit = one.record.audit
    if audit is None:
        return []
    text = f"the audit is its author's word; `epishot audit {audit.method} --task {audit.task}` makes one"
    return [Finding("audit", one.subject, Status.COULD_NOT, text)]


def check_method(one: Published) -> Finding:
    """Whether the method registered here declares what the record shows of it: kind, marks, what it reads."""
    facts = one.record.method
    oracle = is_within_cell(facts)
    if facts.kind == "reference" and not oracle:
        if facts == reference_facts(facts.name):
            return Finding("method", one.subject, Status.VERIFIED, "a reference row")
        return Finding("method", one.subject, Status.FAILED, "its facts are not those of a reference row")
    from ..methods.registry import METHODS
    from .described import describe, locate
    from .specs import MethodSpec
    from .tuned import tuned_in

    # Never a name with a colon: that would be an address of code.
    name, bracket, _ = (LEARNER if oracle else facts.name).partition("[")
    if facts.kind == "external" or name not in METHODS:
        return Finding("method", one.subject, Status.COULD_NOT, "no method of that name is registered here")
    try:
        registered = describe(locate(MethodSpec(name)))
        tuned = tuned_in(facts.config)
        here = (registered if tuned is None else registered.as_tuned(tuned)).facts
    except EpishotError as error:
        return Finding("method", one.subject, Status.COULD_NOT, str(error))
    here = within_cell_facts(here) if oracle else here
    if here.version != facts.version:
        text = f"version {here.version} is registered here, the record is of version {facts.version}"
        return Finding("method", one.subject, Status.COULD_NOT, text)
    # The summary is prose and may be improved without a new version.
    # A row of other options is not built here, with values that somebody else chose; its declarations are the class's.
    differs = {"summary", "name", "config"} if bracket else {"summary"}
    other = [name for name, value in here if name not in differs and getattr(facts, name) != value]
    if other:
        text = "; ".join(f"{name} is {getattr(facts, name)!r}, declared is {getattr(here, name)!r}" for name in other)
        return Finding("method", one.subject, Status.FAILED, text)
    return Finding("method", one.subject, Status.VERIFIED, f"as declared{', with other options' if bracket else ''}")

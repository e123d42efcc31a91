"""From predictions made elsewhere to a row of the board, through the same metrics and bootstrap as every method.

An external row is zero-shot: nothing here can tell what the model was trained on, and nothing can run it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..methods.base import Regime
from ..tasks.errors import EpishotError
from .external_prepare import ExternalOptions, ExternalScores, Scale
from .records import N_REPLICATES, CompactRecord, ExternalFacts, MethodFacts
from .reference_rows import REFERENCE_CONDITION
from .run_scores import RunScores

if TYPE_CHECKING:
    from ..tasks.episodes import EpisodeSet
    from ..tasks.task import Task
    from .summarise import Summary


def summarise_external(
    task: Task,
    episodes: EpisodeSet,
    scores: ExternalScores,
    name: str,
    options: ExternalOptions,
    *,
    earlier: Sequence[CompactRecord] = (),
    command: str = "",
    replicates: int = N_REPLICATES,
) -> Summary:
    """The compact record and replicates of an external row.

    Args:
        task, episodes: what was scored. scores: from `prepare_scores`. name: of the row. options: as given there.
        earlier: what the board has already; its training budget is taken over (an external row has none), and a
            row of this name that it replaces counts towards the times the held-out cells were scored.
        command: printed as provenance. replicates: bootstrap replicates (tests lower it).
    """
    from . import provenance
    from .summarise import summarise_method

    wanted = options.cells or task.card.cells
    runs = external_runs(episodes, scores.score, wanted)
    before = next((record for record in earlier if record.method.name == name), None)
    scored_before = before.test_scorings if before is not None else 0
    again = before is not None and _same(before.external, scores.facts)
    summary = summarise_method(
        task,
        episodes,
        _method_facts(name, options),
        runs,
        conditions=(REFERENCE_CONDITION,),
        seeds=(0,),
        cells=wanted,
        budget=next((record.budget for record in earlier), 1.0),
        overlap=_overlap(task, episodes),
        test_scorings=scored_before if again else scored_before + len(runs),
        command=command,
        commit=provenance.commit(),
        versions=provenance.versions(),
        replicates=replicates,
    )
    facts = scores.facts.model_copy(update={"notes": (*scores.facts.notes, *_direction(summary.record))})
    return summary._replace(record=summary.record.model_copy(update={"external": facts}))


def external_runs(episodes: EpisodeSet, score: np.ndarray, cells: Sequence[str]) -> list[RunScores]:
    """Scores by task row as runs, one per split of the cells."""
    return [
        RunScores(split.cell, split.fold, 0, REFERENCE_CONDITION, score[split.query_rows][None])
        for split in episodes.splits
        if split.cell in cells
    ]


def keep_scores(record: CompactRecord, episodes: EpisodeSet, scores: ExternalScores, archive: Path) -> CompactRecord:
    """Write the scores that a row was computed from into an archive; returns the record that names them.

    Raises:
        EpishotError: the archive cannot be written to.
    """
    from .archive import RunPlace, archive_path, write_archive

    cells = [entry.cell for entry in record.entries if entry.status == "ok"]
    runs = sorted(external_runs(episodes, scores.score, cells), key=RunPlace.of)
    path = archive_path(archive, record.task, record.protocol, record.method.name)
    try:
        return record.model_copy(update={"archive_sha256": write_archive(path, runs)})
    except OSError as error:
        raise EpishotError(
            f"The archive {archive} cannot be written to ({error.strerror}); choose another one with --archive."
        ) from error


def _same(before: ExternalFacts | None, now: ExternalFacts) -> bool:
    return before is not None and before.model_copy(update={"notes": ()}) == now.model_copy(update={"notes": ()})


def _direction(record: CompactRecord) -> tuple[str, ...]:
    """A ranking worse than a coin's is said, never turned round: that would be choosing by the test labels."""
    known = {
        entry.cell: value
        for entry in record.entries
        if entry.status == "ok" and (value := entry.metrics.get("auroc")) is not None
    }
    below = [cell for cell, value in known.items() if value < 0.5]
    if not below or np.mean(list(known.values())) >= 0.5:
        return ()
    return (f"AUROC is below 0.5 ({', '.join(below)}): does a lower score mean a stronger link?",)


def _method_facts(name: str, options: ExternalOptions) -> MethodFacts:
    return MethodFacts(
        name=name,
        summary="external predictions, not re-runnable",
        version="1",
        kind="external",
        marks="",
        reads=(),
        regimes=(Regime.NONE.value,),
        deterministic=True,
        logits=options.scale is not Scale.RANKS,
        config="{}",
    )


def _overlap(task: Task, episodes: EpisodeSet) -> dict[str, dict[str, float]]:
    from ..tasks.overlap import shared_loci

    if episodes.protocol.value != "cell":
        return {}
    return {split.cell: shared_loci(task, split) for split in episodes.splits}

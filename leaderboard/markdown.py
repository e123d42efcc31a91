"""LEADERBOARD.md and COST.md, generated between markers so that text around them is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..benchmark.atomic import write_bytes
from ..benchmark.records import CompactRecord
from .audit_column import audit_cell
from .board import ACROSS_METRICS, MACRO_METRICS, Board, BoardTable, CellHead, Row
from .config_notes import tuning_note
from .curves import curve_panels
from .external_notes import prediction_files, row_notes
from .format import CALIBRATION_NAMES, code_span, escape_markdown, interval, kind_marks, number, title
from .markdown_notes import cells_note, curve_table, resolution_note, undefined_note

BEGIN, END = "<!-- epishot:board begin -->", "<!-- epishot:board end -->"

LEGEND = """\
**How to read it.** The headline is the chance-corrected AUPR, (AP - E)/(1 - E), with E the exact expected average
precision of a random ranker on the same pairs; 0 is chance, 1 perfect (a constant score lies below 0 on small queries:
all ties give AP = P/n, which is less than E). Below it: raw AP. Under `cell+chrom` a cell's
corrected AUPR is the positive-weighted mean of its five folds, and `pooled` is the raw AP of the five folds' scores
pooled. The macro mean is over corrected values only: raw AP of cells with different prevalence may not be averaged.
Brackets are 95 % percentile bootstrap intervals over locus clusters, draws and seeds, with the same resamples for every
row. They lie a little high (a positive drawn twice ties with itself), and cells are resampled independently although
they share some loci, so macro intervals are a little narrow; differences between rows are hardly touched by either.
A row of one seed cannot show how far its training seeds differ: its interval and comparisons leave that out, and those
of two or three seeds know it poorly.

**Group**: rows of one group cannot be told apart from its top row (paired bootstrap z, Holm at 5 %); group 1 is bold.
**Marks**: T reads all unlabelled pairs of the held-out cell; C reads the cell's candidate list, which exploits how the
table was sampled; control = no transferable biology; external = predictions made elsewhere and scored here, not
re-runnable: what the model was trained on is its author's word; k=0 = uses no support, so its zero-shot result stands
at every k; constant = all scores of a query are equal (a gene or element never seen in training has no prior); seeds=n
= fewer seeds than other rows; ≈control = not separably better than the best control (for rows without C: the best
control without C).
**Audit**: pass, or the names of the checks that failed, with the evidence; "not audited" where there is no audit of the
very source and configuration that gave the row (`epishot audit`).

**Reference rows** are not methods and stand in no group. On simulated tasks: ceiling, the exact P(y = 1) given
everything a method may read; oracle, given the latents. On real tasks: within-cell, boosted trees (the default settings
of pooled-trees-rank) that learn from the held-out cell's own labels, on the loci that supports are drawn from, never
those of the query. No method here may read these labels, so the row shows what the features can tell where the cell is
known; it is not a strict upper bound, for a method learns from more cells. Cells with fewer than 20 positives or
negatives to learn from have no such row.

Missing, failed and infeasible cells are named where they stand and never averaged away: a row without a result in one
of the macro mean's cells has no macro mean. Every metric of every cell, and the reason where one is undefined, is in
`leaderboard.csv` and `leaderboard.json`; seconds, memory and parameters are in `COST.md`.

**What a scalar coupling cannot do.** A logit that is an increasing function of a potential U, with parameters that
depend on the cell only, ranks the pairs of an episode as U does: per-cell AUPR then judges U alone, and the
environment shows in the calibration-sensitive columns only.
"""


def board_markdown(board: Board) -> str:
    """The generated part of LEADERBOARD.md (without markers)."""
    parts = [LEGEND]
    panels = curve_panels(board)
    for place in dict.fromkeys((table.key.task, table.key.protocol) for table in board.tables):
        parts.append(_section_head([r for r in board.records if (r.task, r.protocol) == place]))
        parts += [_table_markdown(t) for t in board.tables if (t.key.task, t.key.protocol) == place]
        parts += [curve_table(panel) for panel in panels if (panel.task, panel.protocol) == place]
    parts.append(_provenance(board.records))
    return "\n".join(parts)


def cost_markdown(board: Board) -> str:
    """The generated part of COST.md: seconds and memory, per task, protocol and method."""
    lines = [
        "Seconds are summed over cells, folds, seeds and draws, one core per fit; memory is the largest fit process.",
        "",
        "| Task | Protocol | Method | Fits | Fit s | Score s | CPU s | Peak MB | Parameters |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for record in board.records:
        cost = record.cost
        if not cost:
            continue
        values = [_count(cost.get("fits")), *(_seconds(cost.get(k)) for k in ("fit_s", "score_s", "cpu_s"))]
        values += [_count(cost.get("peak_memory_mb")), _count(cost.get("n_parameters"))]
        names = [record.task, record.protocol, record.method.name]
        lines.append("| " + " | ".join([*map(escape_markdown, names), *values]) + " |")
    total = sum(record.cost.get("cpu_s") or 0.0 for record in board.records)
    lines += ["", f"Fits and scoring together: {total / 3600:.2f} core-hours, fits that chose settings not counted."]
    return "\n".join(lines) + "\n"


def write_between_markers(path: Path, body: str, heading: str) -> None:
    """Replace the generated part of a Markdown file, keeping what stands around the markers.

    Args:
        path: file to write; made with `heading` if it does not exist.
        body: generated text. heading: text above the markers of a new file.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else f"{heading}\n"
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        # Somebody's own text: keep it, and put the board below.
        before, after = f"{old.rstrip()}\n\n", "\n"
    write_bytes(path, f"{before}{BEGIN}\n{body}{END}{after}".encode())


def _section_head(records: Sequence[CompactRecord]) -> str:
    first = records[0]
    lines = [f"## {escape_markdown(first.task)}, `{first.protocol}`", ""]
    overlap = next((record.overlap for record in records if record.overlap), {})
    if overlap:
        shares = "; ".join(
            f"{escape_markdown(cell)} {100 * shares.get('gene', 0):.0f} % / {100 * shares.get('pair', 0):.1f} %"
            for cell, shares in overlap.items()
        )
        lines += [
            "Training and query share loci under this protocol; query rows whose gene / very pair occurs in training: "
            f"{shares}.",
            "",
        ]
    if note := tuning_note(records):
        lines += [note, ""]
    return "\n".join([*lines, cells_note(len(first.cells)), ""])


def _table_markdown(table: BoardTable) -> str:
    lines = [f"### {escape_markdown(title(table))}", ""]
    if table.macro_reason:
        lines += [f"No macro mean: {table.macro_reason}; rows stand in the order of the zero-shot table.", ""]
    elif len(table.macro_cells) < len(table.cells):
        lines += [
            f"Macro mean over {len(table.macro_cells)} of {len(table.cells)} cells: "
            f"{escape_markdown(', '.join(table.macro_cells))}.",
            "",
        ]
    if table.best_control:
        text = f"Best control: {table.best_control}"
        if table.best_plain_control and table.best_plain_control != table.best_control:
            text += f"; without context: {table.best_plain_control}"
        lines += [f"{escape_markdown(text)}.", ""]
    heads = [_cell_head(head) for head in table.cells]
    lines.append(
        "| Group | Method | Marks | Audit | " + " | ".join([*heads, f"Macro of {len(table.macro_cells)}"]) + " |"
    )
    lines.append("| ---: | --- | --- | --- | " + " | ".join([":---:"] * (len(heads) + 1)) + " |")
    lines += [_row_markdown(row, table) for row in table.rows]
    lines += [""]
    if note := resolution_note(table):
        lines += [note, ""]
    for note in row_notes(table):
        lines += [note, ""]
    lines += _per_cell_details(table)
    if table.macro_reason:
        return "\n".join([*lines, ""])
    lines += [
        "",
        "<details><summary>Calibration and further metrics (macro means; across cells where named so)</summary>",
        "",
    ]
    names = [*MACRO_METRICS, *(ACROSS_METRICS if table.key.protocol == "cell+chrom" else ACROSS_METRICS[:1])]
    lines.append("| Method | " + " | ".join(CALIBRATION_NAMES[name] for name in names) + " |")
    lines.append("| --- | " + " | ".join(["---:"] * len(names)) + " |")
    for row in table.rows:
        lines.append(
            f"| {escape_markdown(row.name)} | " + " | ".join(number(row.metrics.get(name)) for name in names) + " |"
        )
    if reasons := undefined_note(table.rows, names):
        lines += ["", reasons]
    return "\n".join([*lines, "", "</details>", ""])


def _per_cell_details(table: BoardTable) -> list[str]:
    lines = [
        "<details><summary>Gene-pair AUPR (raw; the best TSS of each pair) / precision at 70 % recall</summary>",
        "",
    ]
    lines.append("| Method | " + " | ".join(escape_markdown(head.cell) for head in table.cells) + " |")
    lines.append("| --- | " + " | ".join([":---:"] * len(table.cells)) + " |")
    for row in table.rows:
        cells = []
        for head in table.cells:
            entry = None if head.infeasible else row.entries.get(head.cell)
            both = [entry.metrics.get(name) for name in ("pair_aupr", "precision_at_70")] if entry else []
            cells.append(" / ".join(map(number, both)) or "n/a")
        lines.append(f"| {escape_markdown(row.name)} | " + " | ".join(cells) + " |")
    return [*lines, "", "</details>"]


def _cell_head(head: CellHead) -> str:
    text = f"{escape_markdown(head.cell)}<br>n {head.n:,}, P {head.positives:,}<br>chance {number(head.chance)}"
    if head.undefined_folds:
        text += f"<br>undefined folds: {', '.join(map(str, head.undefined_folds))}"
    return text


def _row_markdown(row: Row, table: BoardTable) -> str:
    bold = "**" if row.group == 1 else ""
    cells = []
    for head in table.cells:
        entry = row.entries.get(head.cell)
        if head.infeasible:
            cells.append(f"infeasible: {escape_markdown(head.infeasible)}")
        elif entry is None:
            cells.append(escape_markdown(row.problems[head.cell]))
        else:
            metrics = entry.metrics
            text = f"{number(metrics['corrected'])} {interval(entry.interval)}<br>AP {number(metrics.get('aupr'))}"
            if metrics.get("fold_pooled_aupr") is not None:
                text += f", pooled {number(metrics['fold_pooled_aupr'])}"
            cells.append(text)
    macro = f"{bold}{number(row.macro.value)}{bold} {interval(row.macro.interval())}" if row.macro else "n/a"
    group = f"{row.group}" if row.group else ""
    name = f"{bold}{escape_markdown(row.name)}{bold}"
    return "| " + " | ".join([group, name, kind_marks(row), audit_cell(row.audit, row.name), *cells, macro]) + " |"


def _provenance(records: Sequence[CompactRecord]) -> str:
    lines = ["## Provenance", "", "Every table can be made again by the command beside it."]
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for record in records:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))
        key = (
            record.task,
            record.protocol,
            record.task_hash,
            record.episode_set,
            record.evaluator,
            record.commit,
        )
        groups[(*key, record.command, versions)].append(f"{record.method.name} {record.method.version}")
    for (task, protocol, task_hash, episodes, evaluator, commit, command, versions), methods in sorted(groups.items()):
        lines += [
            "",
            f"- **{escape_markdown(task)}, `{protocol}`**: {code_span(command)}<br>",
            f"  episode set `{episodes[:16]}`, task rows `{task_hash[:16]}`, evaluator {evaluator},",
            f"  commit {code_span(commit)}<br>",
            f"  {escape_markdown(versions)}<br>",
            f"  methods: {escape_markdown(', '.join(methods))}",
        ]
    if files := list(prediction_files(records)):
        lines += ["", "Prediction files of external rows:", "", *files]
    scorings = _scorings(records)
    lines += ["", f"Times a held-out cell was scored, per method and support setting: {scorings}.", ""]
    return "\n".join(lines)


def _scorings(records: Iterable[CompactRecord]) -> str:
    counts: dict[str, int] = defaultdict(int)
    for record in records:
        counts[record.method.name] += record.test_scorings
    return ", ".join(f"{escape_markdown(name)} {count}" for name, count in sorted(counts.items()))


def _seconds(value: float | None) -> str:
    return "n/a" if value is None else f"{value:,.1f}"


def _count(value: float | None) -> str:
    return "n/a" if value is None else f"{value:,.0f}"

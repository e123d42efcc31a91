"""What `--dry-run` prints: the grid, what is infeasible, and the predicted core-hours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from .runner import PreparedPart


def print_grid(prepared: Sequence[PreparedPart], console: Console) -> None:
    """Print one table of method x task x protocol, the infeasible combinations, and the cost."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Grid", title_justify="left")
    # In a narrow window the task gives way: the name of a method says what is run.
    table.add_column("task", overflow="fold")
    for name in ("protocol", "method"):
        table.add_column(name, no_wrap=True)
    for name in ("fits", "runs", "to run", "predicted s"):
        table.add_column(name, justify="right")
    for one in prepared:
        for row in _rows(one):
            table.add_row(*map(escape, row))
    console.print(table)
    for one in prepared:
        for gap in one.plan.infeasible:
            console.print(
                f"infeasible: {one.plan.task.card.name} {one.plan.part.protocol} {gap.cell} "
                f"{gap.condition.label}: {gap.reason}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
    fits = sum(len(one.missing) for one in prepared)
    hours = sum(one.predicted_s for one in prepared) / 3600
    # Parts of one task under two protocols choose by the same fits.
    choosing = {fit.key: one.tuning_fit_s(fit) for one in prepared for fit in one.tuning.missing}
    if choosing:
        console.print(
            f"{len(choosing)} fits choose settings on inner training cells first, about "
            f"{sum(choosing.values()) / 3600:.2f} core-hours predicted.",
            highlight=False,
        )
    for budget in sorted({one.plan.part.budget for one in prepared}):
        console.print(f"Budget of every fit: {budget:g} x the default training steps of its method.", highlight=False)
    console.print(f"{fits} fits to run, about {hours:.2f} core-hours predicted.", highlight=False)


def _rows(one: PreparedPart) -> list[tuple[str, ...]]:
    plan = one.plan
    rows: list[tuple[str, ...]] = []
    for method in plan.methods:
        fits = [fit for fit in plan.fits if fit.method is method]
        missing = [m for m in one.missing if m.fit.method is method]
        rows.append(
            (
                plan.task.card.name,
                plan.part.protocol,
                method.name,
                str(len(fits)),
                str(sum(len(fit.runs) for fit in fits)),
                str(sum(len(m.runs) for m in missing)),
                f"{one.costs.total_s(missing, plan.part.budget):.0f}",
            )
        )
    return rows

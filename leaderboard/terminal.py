"""The leaderboard in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .board import Board, BoardTable
from .format import interval, kind_marks, number, title


def print_board(board: Board, console: Console) -> None:
    """Print every table of the board.

    Args:
        board: what `build_board` returned.
        console: where to print.
    """
    for table in board.tables:
        console.print(_table(table))
        if table.macro_reason:
            console.print(f"[dim]No macro mean: {escape(table.macro_reason)}.[/dim]")
    console.print(
        "[dim]Corrected AUPR, 0 = chance, 1 = perfect; brackets: 95 % bootstrap interval; rows of one group are not "
        "separable from its top row.\nT transductive, C reads the candidate list, k=0 uses no support, "
        "≈control not separably better than the best control.[/dim]"
    )


def _table(table: BoardTable) -> Table:
    out = Table(title=escape(title(table)), title_justify="left", title_style="bold", header_style="bold")
    out.add_column("group", justify="right")
    out.add_column("method", no_wrap=True)
    out.add_column("marks")
    out.add_column("audit")
    for head in table.cells:
        out.add_column(f"{escape(head.cell)}\n[dim]P {head.positives:,}[/dim]", justify="right")
    out.add_column(f"macro of {len(table.macro_cells)}", justify="right", no_wrap=True)
    for row in table.rows:
        cells = []
        for head in table.cells:
            entry = row.entries.get(head.cell)
            if head.infeasible:
                cells.append("[dim]infeasible[/dim]")
            elif entry is None:
                cells.append(f"[red]{escape(row.problems[head.cell])}[/red]")
            else:
                cells.append(number(entry.metrics["corrected"]))
        macro = f"{number(row.macro.value)} [dim]{escape(interval(row.macro.interval()))}[/dim]" if row.macro else "n/a"
        style = "bold" if row.group == 1 else ("cyan" if row.kind == "reference" else "")
        out.add_row(
            str(row.group or ""), escape(row.name), kind_marks(row), escape(row.audit), *cells, macro, style=style
        )
    return out

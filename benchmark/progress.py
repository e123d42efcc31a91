"""The progress line of a run: fits done, failures, remaining time weighted by what each fit is expected to take."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


class FitProgress:
    """A rich progress bar over predicted seconds; plain lines where there is no terminal.

    Args:
        console: where it is drawn. title: what is being run. total_s: predicted seconds of all fits.
        n_fits: number of fits.
    """

    def __init__(self, console: Console, title: str, total_s: float, n_fits: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.fields[fits]} fits{task.fields[failed]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar = self._progress.add_task(title, total=total_s, fits=n_fits, done=0, failed="")
        self._done = 0
        self._failed = 0

    def __enter__(self) -> FitProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, predicted_s: float, *, failed_runs: int) -> None:
        """One fit has ended."""
        self._done += 1
        self._failed += failed_runs
        failed = f", {self._failed} runs failed" if self._failed else ""
        self._progress.update(self._bar, advance=predicted_s, done=self._done, failed=failed)

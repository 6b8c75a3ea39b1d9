"""The display of a search or a preparation that runs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from supremix.cli.views.search import print_plain
from supremix.progress.words import best, counts, format_duration, share, times

if TYPE_CHECKING:
    from supremix.progress.progress import Progress

SILENCE = 10.0
"""Seconds without news after which the display says how long ago the last ones were."""

LINES = 10
"""Lines that one phase other than the trials gets where nothing can be redrawn."""


class ProgressConsole(Console):
    """Standard error, on which the work goes on when the reader of a pipe has left."""

    def __init__(self) -> None:
        super().__init__(stderr=True)

    def on_broken_pipe(self) -> None:
        """Write nothing more; rich itself would end the process, and close standard output."""
        self.quiet = True
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), self.file.fileno())


class Display:
    """Shows the latest progress: redrawn in place on a terminal, a line a change elsewhere.

    Args:
        console: Where to show it.
        title: What is going on, in a few words.
        quiet: Show nothing.
    """

    def __init__(self, console: Console, title: str, *, quiet: bool = False) -> None:
        self._console = console
        self._title = title
        self._latest: Progress | None = None
        self._since = time.monotonic()
        self._shown: dict[bool, tuple[object, ...]] = {}
        self._lines = not quiet and not console.is_terminal
        self._live = (
            Live(get_renderable=self._render, console=console, transient=True)
            if not quiet and console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        elif self._lines:
            print_plain(self._console, self._title)
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Take note of how far it is; cheap enough to be called as often as one likes."""
        if progress.warning and self._live is not None:
            print_plain(self._console, counts(progress))
            return
        self._latest = progress
        self._since = time.monotonic()
        if self._lines:
            self._tell(progress)

    def _tell(self, progress: Progress) -> None:
        news, about = _news(progress), progress.about_trials
        if news != self._shown.get(about):
            self._shown[about] = news
            parts = (counts(progress), best(progress), times(progress))
            print_plain(self._console, " · ".join(filter(None, parts)))

    def _render(self) -> RenderableType:
        # Called by the terminal's own refresh, so the clock runs on between two reports.
        waited = time.monotonic() - self._since
        if self._latest is None:
            return Text(f"{self._title}  {format_duration(waited)}")
        latest = self._latest
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            Text(self._title, style="bold"),
            ProgressBar(total=1.0, completed=share(latest), width=30),
            Text(counts(latest)),
        )
        ago = f"last news {waited:.0f} s ago" if waited > SILENCE else ""
        below = " · ".join(filter(None, (best(latest), times(latest), ago)))
        return Group(bar, Text(below, style="green"))


def _news(progress: Progress) -> tuple[object, ...]:
    """What has to change for another line to be worth it."""
    if progress.about_trials:
        return progress.part, progress.done, progress.best_error
    return progress.part, progress.message, (progress.done * LINES) // (progress.total or 1)

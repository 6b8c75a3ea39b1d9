"""The progress of a search in a notebook: a bar that is redrawn in its place, as HTML."""

from __future__ import annotations

import time
from collections.abc import Callable

from supremix._display import NotebookOutput, bar_html, in_notebook
from supremix.progress.progress import Listener, Progress, silent
from supremix.progress.words import best, counts, share, times


def default_listener(title: str) -> Listener:
    """A bar in a notebook, nothing elsewhere: in a script the caller says what is shown.

    Args:
        title: What is going on, in a few words.
    """
    return NotebookProgress(title) if in_notebook() else silent


class NotebookProgress:
    """Shows the latest progress in the output of a cell.

    Args:
        title: What is going on, in a few words.
        clock: Gives the time in seconds.
    """

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._title, self._output = title, NotebookOutput(clock=clock)
        self._kept: list[str] = []

    def __call__(self, progress: Progress) -> None:
        """Draw it, unless the last drawing is too young and it brings nothing that stays."""
        if progress.warning:
            self._kept.append(counts(progress))
        over = progress.total is not None and progress.done >= progress.total
        html = progress_html(self._title, progress, self._kept)
        self._output.draw(html, always=over or progress.warning)


def progress_html(title: str, progress: Progress, kept: list[str]) -> str:
    """The bar with the numbers below it.

    Args:
        title: What is going on.
        progress: How far it is.
        kept: Sentences that stay, such as warnings.
    """
    below = " · ".join(filter(None, (counts(progress), best(progress), times(progress))))
    return bar_html(title, share(progress), (below, *kept))

"""The progress of a search in a notebook: a bar that is redrawn in its place, as HTML.

Nothing but IPython is needed, which every kernel has: no widgets, no control codes of terminals.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

from supremix.progress.progress import Listener, Progress, silent
from supremix.progress.words import best, counts, share, times

INTERVAL = 0.5
"""Least seconds between two drawings."""


def default_listener(title: str) -> Listener:
    """A bar in a notebook, nothing elsewhere: in a script the caller says what is shown.

    Args:
        title: What is going on, in a few words.
    """
    return NotebookProgress(title) if in_notebook() else silent


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, which shows HTML."""
    ipython = sys.modules.get("IPython")  # in a kernel it is there already
    shell: Any = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class NotebookProgress:
    """Shows the latest progress in the output of a cell.

    Args:
        title: What is going on, in a few words.
        clock: Gives the time in seconds.
    """

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._title, self._clock = title, clock
        self._handle: Any = None
        self._drawn = 0.0
        self._kept: list[str] = []

    def __call__(self, progress: Progress) -> None:
        """Draw it, unless the last drawing is too young and it brings nothing that stays."""
        if progress.warning:
            self._kept.append(counts(progress))
        now = self._clock()
        over = progress.total is not None and progress.done >= progress.total
        if (
            self._handle is not None
            and now - self._drawn < INTERVAL
            and not (over or progress.warning)
        ):
            return
        self._drawn = now
        self._draw(progress_html(self._title, progress, self._kept))

    def _draw(self, html: str) -> None:
        from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]

        if self._handle is None:
            self._handle = display(HTML(html), display_id=True)
        else:
            self._handle.update(HTML(html))


def progress_html(title: str, progress: Progress, kept: list[str]) -> str:
    """The bar with the numbers below it.

    Args:
        title: What is going on.
        progress: How far it is.
        kept: Sentences that stay, such as warnings.
    """
    below = " · ".join(filter(None, (counts(progress), best(progress), times(progress))))
    lines = "".join(f"<div>{escape(text)}</div>" for text in (below, *kept))
    bar = f'<progress value="{share(progress):.4f}" max="1" style="width: 20em"></progress>'
    return f"<div><b>{escape(title)}</b> {bar}</div>{lines}"

"""What objects of the interface show of themselves, in a shell and in a notebook.

In a notebook nothing but IPython is needed, which every kernel has: no widgets, no control codes of
terminals.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any


class Displayed(ABC):
    """An object that shows a few facts: a line in a shell, a table in a notebook."""

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """What is shown of it, by the word for each."""

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}: {fact}" for name, fact in self.facts().items())
        return f"<{type(self).__name__} {facts}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(fact)}</td></tr>"
            for name, fact in self.facts().items()
        )
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, which shows HTML."""
    ipython = sys.modules.get("IPython")  # in a kernel it is there already
    shell: Any = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class NotebookOutput:
    """HTML in the output of a cell, which the next one replaces.

    Args:
        interval: Least seconds between two drawings.
        clock: Gives the time in seconds.
    """

    def __init__(self, interval: float = 0.5, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._clock = interval, clock
        self._handle: Any = None
        self._drawn = 0.0

    def draw(self, html: str, *, always: bool) -> None:
        """Draw it, unless the last drawing is too young and it need not `always` be drawn."""
        from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]

        now = self._clock()
        if self._handle is None:
            self._handle = display(HTML(html), display_id=True)
        elif always or now - self._drawn >= self._interval:
            self._handle.update(HTML(html))
        else:
            return
        self._drawn = now


def bar_html(title: str, share: float, lines: Iterable[str]) -> str:
    """A bar with a share of it filled, its title before it and lines of text below it."""
    below = "".join(f"<div>{escape(text)}</div>" for text in lines)
    bar = f'<progress value="{share:.4f}" max="1" style="width: 20em"></progress>'
    return f"<div><b>{escape(title)}</b> {bar}</div>{below}"


def notebook_steps(title: str) -> Callable[[int, int], None] | None:
    """A bar for equal steps, called with the numbers done and in all; None outside of a notebook.

    Args:
        title: What is going on, in a few words.
    """
    if not in_notebook():
        return None
    output = NotebookOutput()

    def show(done: int, total: int) -> None:
        html = bar_html(title, done / total if total else 1.0, [f"{done} of {total}"])
        output.draw(html, always=done >= total)

    return show


def shown_values(config: Mapping[str, Any]) -> str:
    """Hyperparameters in a line, numbers with four digits."""
    short = ((k, f"{v:.4g}" if isinstance(v, float) else str(v)) for k, v in config.items())
    return ", ".join(f"{name}={value}" for name, value in short)

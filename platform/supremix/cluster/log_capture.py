"""What a worker says while it executes an order: logging, warnings, tracebacks, within bounds."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from supremix.cluster.messages import LOG_LIMIT


class LogCapture(logging.Handler):
    """Keeps the last `LOG_LIMIT` characters of what is logged from WARNING on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._text = ""

    @property
    def text(self) -> str:
        """What was noted, one line after another."""
        return self._text

    def emit(self, record: logging.LogRecord) -> None:
        """Note a record of the logging."""
        self.add(self.format(record))

    def add(self, text: str) -> None:
        """Note a text of one line or several."""
        self._text = clip(f"{self._text}{text.rstrip()}\n")


@contextmanager
def taking_notes() -> Generator[LogCapture]:
    """Note what is logged and warned inside the ``with`` block, in the whole process."""
    notes = LogCapture()
    root = logging.getLogger()
    root.addHandler(notes)
    logging.captureWarnings(True)
    try:
        yield notes
    finally:
        logging.captureWarnings(False)
        root.removeHandler(notes)


def clip(text: str) -> str:
    """The last `LOG_LIMIT` characters of a text, from the beginning of a line on."""
    if len(text) <= LOG_LIMIT:
        return text
    kept = text[-LOG_LIMIT:]
    return kept[kept.find("\n") + 1 :]


def stacks() -> str:
    """Where every other thread of this process is at the moment."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    mine = threading.get_ident()
    # A public function of Python, in spite of its name.
    frames: dict[int, FrameType] = getattr(sys, "_current_frames")()  # noqa: B009
    parts = [
        f"Thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in frames.items()
        if ident != mine
    ]
    return "".join(parts)

"""The log of a request on a worker: logging, warnings and tracebacks, within bounds."""

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
        self.text = ""
        """The lines so far."""

    def emit(self, record: logging.LogRecord) -> None:
        """Add a log record."""
        self.add(self.format(record))

    def add(self, text: str) -> None:
        """Add a text of one line or several."""
        self.text = clip(f"{self.text}{text.rstrip()}\n")


@contextmanager
def captured_log() -> Generator[LogCapture]:
    """Capture what is logged and warned inside the ``with`` block, in the whole process."""
    log = LogCapture()
    root = logging.getLogger()
    root.addHandler(log)
    logging.captureWarnings(True)
    try:
        yield log
    finally:
        logging.captureWarnings(False)
        root.removeHandler(log)


def clip(text: str) -> str:
    """The last `LOG_LIMIT` characters of a text, from the beginning of a line on."""
    if len(text) <= LOG_LIMIT:
        return text
    kept = text[-LOG_LIMIT:]
    return kept[kept.find("\n") + 1 :]


def stacks() -> str:
    """The stack of every other thread of this process."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    mine = threading.get_ident()
    # A public function of Python, in spite of its name.
    frames: dict[int, FrameType] = getattr(sys, "_current_frames")()  # noqa: B009
    return "".join(
        f"Thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in frames.items()
        if ident != mine
    )

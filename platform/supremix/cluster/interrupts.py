"""Ctrl-C and SIGTERM: taken where they do no harm.

Raised wherever the process happens to be, an interrupt may fall between the two halves of a write
to the ledger, or into Optuna's handling of its lock file, which makes another error of it. So
while trials run it is kept until the search looks for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """What is known of interrupts in this process; signals belong to a process as a whole."""

    def __init__(self) -> None:
        self._pending = False
        self._deferring = 0

    def check(self) -> None:
        """Raise KeyboardInterrupt if one came meanwhile."""
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    @contextmanager
    def deferred(self) -> Generator[None]:
        """Keep the first interrupt until `check`, or the end of the block.

        A second one is raised at once, for the case that nobody comes to look.
        """
        self._deferring += 1
        try:
            yield
        finally:
            self._deferring -= 1
        if not self._deferring:
            self.check()

    @contextmanager
    def handled(self) -> Generator[None]:
        """Have SIGTERM, a batch system's way of asking, do what Ctrl-C does: KeyboardInterrupt.

        Enter it after Ray was started, which takes SIGTERM for itself. Ctrl-C stays with a host
        that ignores or handles it in its own way. Outside of a process's main thread, which alone
        may do this, nothing changes.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._pending = False
        numbers = [signal.SIGTERM]
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            numbers.append(signal.SIGINT)
        before = {number: signal.signal(number, self._take) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._deferring and not self._pending:
            self._pending = True
            return
        self._pending = False
        raise KeyboardInterrupt


interrupts = Interrupts()
"""Those of this process."""

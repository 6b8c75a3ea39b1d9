"""Ctrl-C and SIGTERM, handled where they do no harm.

Raised at any point of the process, an interrupt may fall between the two halves of a write to the
ledger, or into Optuna's handling of its lock file, which makes another error of it. So while trials
run an interrupt is kept until the search checks for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """The interrupts of this process; signals belong to a process as a whole."""

    def __init__(self) -> None:
        self._pending = False
        self._deferring = 0

    def check(self) -> None:
        """Raise KeyboardInterrupt if one is pending."""
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    @contextmanager
    def deferred(self) -> Generator[None]:
        """Keep the first interrupt until `check`, or the end of the block.

        A second one is raised at once, in case nothing checks.
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
        """Have SIGTERM, which batch systems send, do what Ctrl-C does: raise KeyboardInterrupt.

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
        before = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._pending = self._deferring > 0 and not self._pending
        if not self._pending:
            raise KeyboardInterrupt


interrupts = Interrupts()
"""The interrupts of this process."""

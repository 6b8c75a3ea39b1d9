"""A time limit for a step of work: a process that exceeds it is ended, wherever it hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Watchdog:
    """Ends the process when a step takes too long.

    Args:
        end: Called in a thread of its own with the reason; shall end the process, since nothing
            less ends a loop or a collective operation that hangs.
    """

    def __init__(self, end: Callable[[str], None]) -> None:
        self._end = end

    @contextmanager
    def within(self, seconds: float, what: str) -> Generator[None]:
        """Let the ``with`` block take so many seconds at most.

        Args:
            seconds: The limit.
            what: The step, as in "no `what` within 10 s".
        """
        timer = threading.Timer(seconds, self._end, [f"hung: no {what} within {seconds:g} s"])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

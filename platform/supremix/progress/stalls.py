"""The rule for how long an epoch may take, and a watch that notices when none comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from supremix.errors import SpecError

LEAST_LIMIT, LIMIT_FACTOR, FIRST_LIMIT = 600.0, 20.0, 3600.0


def epoch_limit(longest: float | None, given: float | None = None) -> float:
    """Seconds that an epoch may take before it counts as hanging, and its search as stalled.

    An hour for the first epoch, then 20 times the longest one so far, at least ten minutes. Worker
    groups, ``status``, ``watch`` and the webhook all go by it.

    Args:
        longest: Seconds of the longest epoch so far; None before the first.
        given: Seconds that the user asks for in place of that.
    """
    if given is not None:
        return given
    return FIRST_LIMIT if longest is None else max(LEAST_LIMIT, LIMIT_FACTOR * longest)


class StallWatch:
    """Notices that no epoch has been done for long, once until there is one again.

    Args:
        stalled: Called with the seconds of silence.
        resumed: Called when there is an epoch after that.
        given: Seconds that count as long, above 0; None to go by the longest epoch.
        clock: Current time in s.

    Raises:
        SpecError: `given` is not above 0.
    """

    def __init__(
        self,
        stalled: Callable[[float], None],
        resumed: Callable[[], None],
        given: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if given is not None and not given > 0:
            raise SpecError(f"expected the time without an epoch to be above 0 s, got {given:g}.")
        self._given, self._stalled, self._resumed = given, stalled, resumed
        self._longest: float | None = None
        self._clock, self._last, self._is_stalled = clock, clock(), False
        self._lock = threading.Lock()

    def moved(self, longest: float | None = None) -> None:
        """Take note of an epoch, and of how long the longest one took in s; cheap."""
        with self._lock:
            if longest is not None:
                self._longest = max(self._longest or 0.0, longest)
            self._last = self._clock()
            was_stalled, self._is_stalled = self._is_stalled, False
        if was_stalled:
            self._resumed()

    def check(self) -> None:
        """See whether it has been long."""
        with self._lock:
            silence = self._clock() - self._last
            if self._is_stalled or silence < epoch_limit(self._longest, self._given):
                return
            self._is_stalled = True
        self._stalled(silence)

    @contextmanager
    def watching(self) -> Generator[None]:
        """Check from a thread until the end of the block; its beginning counts as an epoch."""
        over = threading.Event()
        self.moved()

        def work() -> None:
            while not over.wait(min(1.0, epoch_limit(self._longest, self._given) / 4)):
                self.check()

        thread = threading.Thread(target=work, name="stalls", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

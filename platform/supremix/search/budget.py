"""How long a search may go on."""

from __future__ import annotations

import time
from dataclasses import dataclass

from supremix.errors import SpecError


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Limits of a search; whichever is reached first ends it.

    Args:
        trials: Trials to run, at least 1; None for no limit.
        seconds: Wall time in s from the first trial's start, over all sessions of a resumed run;
            a trial that is under way then stops after its epoch. None for no limit.
    """

    trials: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.trials is None and self.seconds is None:
            raise SpecError("a search needs a budget: give trials, time, or both.")
        if (self.trials is not None and self.trials < 1) or (
            self.seconds is not None and self.seconds <= 0
        ):
            raise SpecError(
                f"a budget is at least 1 trial and more than 0 s; got trials={self.trials}, "
                f"time={self.seconds}."
            )


class Clock:
    """Time a run has used, over all its sessions; stands still until it is started.

    Args:
        used: Seconds that earlier sessions used.
    """

    def __init__(self, used: float = 0.0) -> None:
        self._used = used
        self._zero: float | None = None

    def start(self, ago: float = 0.0) -> None:
        """Let it run, since `ago` seconds; starting it twice is not an error."""
        if self._zero is None:
            self._zero = time.monotonic() - self._used - ago

    def now(self) -> float:
        """Seconds used so far."""
        return self._used if self._zero is None else time.monotonic() - self._zero

"""The budget of a search, and the clock that measures it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from supremix.errors import SpecError

TIME_IS_UP = "the time was used up"
GPU_HOURS_ARE_UP = "the GPU hours were used up"

HOUR = 3600.0
"""Seconds of an hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Limits of a search; whichever is reached first ends it in order.

    Args:
        trials: Trials to run, at least 1; None for no limit.
        seconds: Wall time in s from the first trial's start, over all sessions of a resumed run;
            a trial that is under way then stops after its epoch. None for no limit.
        gpu_hours: Hours that GPUs train, added up over all GPUs: an epoch of s seconds on a worker
            group with g GPUs uses s·g/3600. None for no limit.

    Raises:
        SpecError: There is no limit at all, or one that leaves nothing to do.
    """

    trials: int | None = None
    seconds: float | None = None
    gpu_hours: float | None = None

    def __post_init__(self) -> None:
        if self.trials is None and self.seconds is None and self.gpu_hours is None:
            raise SpecError(
                "a search needs a budget: give trials, time, GPU hours, or several of them."
            )
        if self.trials is not None and self.trials < 1:
            raise SpecError(f"a budget is at least 1 trial; got trials={self.trials}.")
        for name, limit in (("time", self.seconds), ("gpu_hours", self.gpu_hours)):
            if limit is not None and not (limit > 0 and math.isfinite(limit)):
                raise SpecError(
                    f"a budget is a finite number above 0; got {name}={limit:g}. Leave {name} out "
                    "for no such limit."
                )

    def spent(self, clock_seconds: float, gpu_seconds: float) -> str | None:
        """The limit that has been reached, other than that of the trials.

        Args:
            clock_seconds: Seconds of search so far, by its `Clock`.
            gpu_seconds: Sum over all epochs so far of their seconds times the GPUs of their worker
                group.

        Returns:
            The reason in words; None where neither limit is reached.
        """
        if self.seconds is not None and clock_seconds >= self.seconds:
            return TIME_IS_UP
        if self.gpu_hours is not None and gpu_seconds >= self.gpu_hours * HOUR:
            return GPU_HOURS_ARE_UP
        return None


class Clock:
    """Seconds that a run has used, over all its sessions; stands still until it is started.

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

"""What a search tells about itself while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from supremix.search.budget import Budget
from supremix.search.record import best_record
from supremix.search.study import Study


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """A look at a search under way.

    Args:
        message: What is being done.
        done: Trials that have ended.
        running: Trials under way.
        pruned: Ended trials that were pruned or stopped.
        failed: Ended trials that failed.
        total: Trials there will be; None when time alone is the limit.
        best_error: Least error of a finished trial, in `unit`.
        best_trial: Its number.
        unit: Unit of the target.
        elapsed: Seconds since the first trial began.
        left: Seconds that the trials will take still, as far as can be told.
    """

    message: str
    done: int = 0
    running: int = 0
    pruned: int = 0
    failed: int = 0
    total: int | None = None
    best_error: float | None = None
    best_trial: int | None = None
    unit: str = ""
    elapsed: float = 0.0
    left: float | None = None


Listener = Callable[[Progress], None]


def study_progress(study: Study, budget: Budget, unit: str) -> Progress:
    """The state of a study's trials."""
    states = [record.state for record in study.records.values()]
    running = states.count("running")
    best = best_record(study.records.values())
    done, elapsed = len(states) - running, study.clock.now()
    return Progress(
        message="searching",
        done=done,
        running=running,
        pruned=states.count("pruned") + states.count("stopped"),
        failed=states.count("failed"),
        total=budget.trials,
        best_error=None if best is None else best.error,
        best_trial=None if best is None else best.number,
        unit=unit,
        elapsed=elapsed,
        left=_left(budget, done, elapsed),
    )


def _left(budget: Budget, done: int, elapsed: float) -> float | None:
    estimates: list[float] = []
    if budget.seconds is not None:
        estimates.append(max(0.0, budget.seconds - elapsed))
    if budget.trials is not None and done:
        estimates.append(elapsed / done * max(0, budget.trials - done))
    return min(estimates, default=None)

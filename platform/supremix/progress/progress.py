"""The progress of a search, and the listeners that are called with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from supremix.tuning.study.budget import Budget
from supremix.tuning.study.study import Study

SEARCHING, DONE = "searching", "done"
"""Messages of a search whose trials run, and of one that is concluded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """The progress of a search at a moment.

    Args:
        message: Description of the current step.
        part: Name of the part, where several are done one after the other: ``"rnc (2 of 5)"``.
        done: Trials that have ended; images, epochs or the like while no trials run.
        running: Trials under way.
        pruned: Ended trials that were pruned or stopped.
        failed: Ended trials that failed.
        total: Number of those that there will be; None when time alone is the limit.
        best_error: Error of the best hyperparameters, in `unit`.
        best_basis: What `best_error` was measured on, in words.
        best_trial: Number of their trial.
        unit: Unit of the target.
        elapsed: Seconds since the first trial, or what else is being done, began.
        left: Seconds that it will still take, as far as that can be estimated.
        longest: Seconds of the longest epoch so far; None before the first.
        warning: Whether the message is to stay on the screen.
    """

    message: str
    part: str = ""
    done: int = 0
    running: int = 0
    pruned: int = 0
    failed: int = 0
    total: int | None = None
    best_error: float | None = None
    best_basis: str = ""
    best_trial: int | None = None
    unit: str = ""
    elapsed: float = 0.0
    left: float | None = None
    longest: float | None = None
    warning: bool = False

    @property
    def about_trials(self) -> bool:
        """Whether it is about trials, and not about what comes before or after them."""
        return self.message in (SEARCHING, DONE)


Listener = Callable[[Progress], None]


class Steps:
    """Informs a listener how many of many equal steps are done, and when the last one will be."""

    def __init__(
        self, message: str, listen: Listener, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._message, self._listen, self._clock = message, listen, clock
        self._begun = clock()
        self._first: tuple[int, float] | None = None

    def __call__(self, done: int, total: int) -> None:
        """Tell that `done` of `total` steps are done."""
        now = self._clock()
        # Steps from before an interruption may come with the first news, so these set the zero.
        known, since = self._first = self._first or (done, now)
        left = (now - since) / (done - known) * (total - done) if done > known else None
        self._listen(
            Progress(
                message=self._message,
                done=done,
                total=total,
                elapsed=now - self._begun,
                left=left,
            )
        )


def study_progress(
    study: Study, budget: Budget, unit: str, longest: float | None = None
) -> Progress:
    """The state of a study's trials, replicates included."""
    states, best = study.states, study.best
    done, elapsed = sum(states.values()) - states["running"], study.clock.now()
    total = None if budget.trials is None else budget.trials + study.planned_replicates
    return Progress(
        message=SEARCHING,
        done=done,
        running=states["running"],
        pruned=states.get("pruned", 0) + states.get("stopped", 0),
        failed=states.get("failed", 0),
        total=total,
        best_error=None if best is None else study.error_of(best),
        best_basis="" if best is None else study.basis_of(best),
        best_trial=None if best is None else best.number,
        unit=unit,
        elapsed=elapsed,
        left=_left(budget, total, done, elapsed),
        longest=longest,
    )


def _left(budget: Budget, total: int | None, done: int, elapsed: float) -> float | None:
    estimates: list[float] = []
    if budget.seconds is not None:
        estimates.append(max(0.0, budget.seconds - elapsed))
    if total is not None and done:
        estimates.append(elapsed / done * max(0, total - done))
    return min(estimates, default=None)


def silent(progress: Progress) -> None:
    """Listen to nothing."""


def messages(listen: Listener) -> Callable[[str], None]:
    """A function that tells a listener a sentence."""
    return lambda sentence: listen(Progress(message=sentence))

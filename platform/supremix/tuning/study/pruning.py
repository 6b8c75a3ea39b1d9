"""Asynchronous successive halving (Li et al., arXiv 1810.05934) whose verdicts no timing changes.

Tune's own scheduler compares a trial with whoever happened to be there first. Here trial n is
compared with the trials of number n - P and below, P being the number of trials that run at once:
those are at a rung before it, as a rule, and where one is not, the verdict waits for it while
trial n trains on. So the same trials give the same verdicts, whatever took how long.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

from supremix.errors import SpecError


@dataclass(frozen=True, kw_only=True, slots=True)
class Rungs:
    """Where trials are compared.

    Args:
        epochs: Epochs after which they are, ascending, below `total`; empty for never.
        total: Epochs of a whole trial.
        reduction: A rung lets the best 1/reduction of its trials pass; above 1.
    """

    epochs: tuple[int, ...]
    total: int
    reduction: float = 3.0

    @property
    def mean(self) -> float:
        """Epochs a trial has on average, when every rung lets 1/reduction of its trials pass."""
        steps = zip((0, *self.epochs), (*self.epochs, self.total), strict=True)
        return sum((high - low) / self.reduction**k for k, (low, high) in enumerate(steps))


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruning:
    """When a trial is given up.

    Args:
        grace: Epochs every trial gets; None for half of all epochs, at least 1. On recorded curves
            of both stages a trial's rank says little before.
        reduction: A rung lets the best 1/reduction of its trials pass; rungs are grace,
            grace·reduction, grace·reduction², … epochs. Above 1.
    """

    grace: int | None = None
    reduction: float = 3.0

    def __post_init__(self) -> None:
        if self.reduction <= 1 or (self.grace is not None and self.grace < 1):
            raise SpecError(
                f"pruning needs grace >= 1 and reduction > 1; got grace={self.grace}, "
                f"reduction={self.reduction:g}."
            )

    def first_rung(self, epochs: int) -> int:
        """Epochs until the first decision, of trials that last `epochs`."""
        return min(epochs, self.grace or max(1, epochs // 2))

    def rungs(self, epochs: int, legs: int = 1) -> Rungs:
        """The rungs of trials that last `epochs` on each of `legs` datasets, one after the other.

        On the first dataset they are those of the halving; from then on each dataset's end is one.
        """
        first, found = self.first_rung(epochs), list[int]()
        while first < epochs:
            found.append(first)
            first = max(first + 1, math.floor(first * self.reduction))
        found += [leg * epochs for leg in range(1, legs)]
        return Rungs(epochs=tuple(found), total=legs * epochs, reduction=self.reduction)


def never(total: int) -> Rungs:
    """No rungs: every trial lasts its `total` epochs."""
    return Rungs(epochs=(), total=total)


class Rung:
    """One rung: who is there with which score, who will never be, who may pass.

    A trial settles at a rung by reaching it, the rungs before it passed, or by having ended.

    Args:
        reduction: Of the halving.
        lead: Trial n is compared with trials n - lead and below; at least 1.
    """

    def __init__(self, reduction: float, lead: int = 1) -> None:
        self._reduction, self._lead = reduction, lead
        self._ahead: dict[int, float | None] = {}
        self._settled: dict[int, float] = {}
        self._entered: list[int] = []  # numbers of those with a score, up to where peers were asked
        self._scores: list[float] = []  # theirs, sorted
        self._by_number: dict[int, float] = {}
        self._next_entry = 0
        self._waiting: list[int] = []
        self.frontier = 0
        """The first trial that has not settled; all before it have."""

    def settle(self, number: int, score: float | None) -> None:
        """Note that a trial has reached the rung with `score`, or (None) never will."""
        self._ahead[number] = score
        while self.frontier in self._ahead:
            score = self._ahead.pop(self.frontier)
            if score is not None and not math.isnan(score):
                self._settled[self.frontier] = score
            self.frontier += 1

    def ready(self, number: int) -> bool:
        """Whether everybody that a trial is compared with has settled."""
        return self.frontier > number - self._lead

    def wait(self, number: int) -> None:
        """Remember a trial whose verdict has to wait."""
        heapq.heappush(self._waiting, number)

    def released(self) -> int | None:
        """The next of them that need not wait any longer, taken off the list."""
        if self._waiting and self.ready(self._waiting[0]):
            return heapq.heappop(self._waiting)
        return None

    def passes(self, number: int, score: float | None) -> bool:
        """Whether a trial may go on: it is among the best 1/reduction of its peers and itself.

        While it has fewer than `reduction` - 1 peers, and without a score, it may.
        """
        last = number - self._lead
        self._enter(last)
        count, better = self._peers(last, score)
        if score is None or math.isnan(score) or count + 1 < self._reduction:
            return True
        return better < max(1, math.ceil((count + 1) / self._reduction))

    def _enter(self, last: int) -> None:
        while self._next_entry <= last:
            score = self._settled.pop(self._next_entry, None)
            if score is not None:
                self._entered.append(self._next_entry)
                insort(self._scores, score)
                self._by_number[self._next_entry] = score
            self._next_entry += 1

    def _peers(self, last: int, score: float | None) -> tuple[int, int]:
        """How many peers there are up to `last`, and how many of them are better."""
        position = bisect_right(self._entered, last)
        if score is None:
            return position, 0
        # Trials that reach a rung out of order find later ones entered: those are no peers.
        later = self._entered[position:]
        better = bisect_left(self._scores, score)
        return position, better - sum(self._by_number[number] < score for number in later)

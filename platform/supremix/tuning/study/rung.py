"""One rung of a study: the trials that reached it, and those that never will."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right, insort

from supremix.tuning.pruners.pruner import Peers


class Rung:
    """The scores of trials after one epoch, in the order of their numbers.

    A trial settles at a rung by reaching it, the rungs before it passed, or by having ended.

    Args:
        lead: Trial n is compared with trials n - lead and below; at least 1.
    """

    def __init__(self, lead: int = 1) -> None:
        self._lead = lead
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
        """Whether every trial that this one is compared with has settled."""
        return self.frontier > number - self._lead

    def wait(self, number: int) -> None:
        """Remember a trial whose comparison has to wait."""
        heapq.heappush(self._waiting, number)

    def released(self) -> int | None:
        """The next of them that need not wait any longer, taken off the list."""
        if self._waiting and self.ready(self._waiting[0]):
            return heapq.heappop(self._waiting)
        return None

    def peers(self, number: int) -> Peers:
        """The scores that a trial is compared with, once it is `ready`."""
        last = number - self._lead
        while self._next_entry <= last:
            score = self._settled.pop(self._next_entry, None)
            if score is not None:
                self._entered.append(self._next_entry)
                insort(self._scores, score)
                self._by_number[self._next_entry] = score
            self._next_entry += 1
        # Trials that reach a rung out of order find later ones entered: those are no peers.
        later = self._entered[bisect_right(self._entered, last) :]
        return Peers(self._scores, [self._by_number[number] for number in later])
